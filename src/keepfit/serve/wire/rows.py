"""Plain rows: a JSON array of objects, or one object, with the Signature's inputs as keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.nouns import RECORD_ID
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.elements import (
    MOST_ROWS,
    arrays_of,
    element_type,
    enough,
    invalid_json,
    misfit,
    oneofs,
    parsed,
    plain,
    refuse_duplicates,
    wrong_oneof,
    wrong_value,
)

_encode = msgspec.json.Encoder().encode
_PLACE = re.compile(r"\$\[(\d+)\]")
Column = Callable[[Sequence[Any]], NDArray[Any]]


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Rows, decoded: the caller's record ids ("" where none was sent), arrays by input, whether it was one object."""

    ids: list[str]
    rows: int
    inputs: dict[str, NDArray[Any]]
    single: bool


@lru_cache(maxsize=32)
def _shapes(signature: Signature) -> tuple[Callable[[bytes], Any], Callable[..., Any]]:
    """The decoder of rows and the type of an answer's row; made once, for all Versions of a Signature."""
    row = msgspec.defstruct(
        "Row",
        [
            ("id", str, ""),
            *(
                (f"x{i}", _type(field) | None, None) if field.oneof else (f"x{i}", _type(field))
                for i, field in enumerate(signature.inputs)
            ),
        ],
        rename={"id": RECORD_ID} | {f"x{i}": field.name for i, field in enumerate(signature.inputs)},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )
    answer = msgspec.defstruct(
        "Answer",
        [("id", str), *((f"y{i}", Any) for i in range(len(signature.outputs)))],
        rename={"id": RECORD_ID} | {f"y{i}": field.name for i, field in enumerate(signature.outputs)},
        gc=False,
    )
    decoder = msgspec.json.Decoder(list[row] | row)  # type: ignore[valid-type]  # made at run time
    return decoder.decode, answer


class Rows:
    """Decodes rows to and encodes answers of one Signature."""

    def __init__(self, signature: Signature) -> None:
        self._fields = signature.inputs
        self._outputs = signature.outputs
        self._batched = signature.batched
        self._getters = [
            (field.name, attrgetter(f"x{i}"), _column(field), field.dtype is DType.BYTES)
            for i, field in enumerate(signature.inputs)
        ]
        self._groups = oneofs(signature.inputs)
        self._decode, self._answer = _shapes(signature)
        self._keys = 2 * len(signature.inputs)
        self._getter = {name: get for name, get, _, _ in self._getters}

    def decode(self, body: bytes) -> Batch:
        """The rows in `body`; SignatureInvalid says which row and which input does not fit, with its machine code."""
        try:
            found: Any = self._decode(body)
        except msgspec.ValidationError as error:
            raise self._explained(body, error) from error
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise invalid_json(body, error) from error
        single = not isinstance(found, list)
        rows = [found] if single else found
        if not 0 < len(rows) <= MOST_ROWS:
            enough(len(rows))
        if not self._batched and len(rows) > 1:
            raise SignatureInvalid(f"this model takes one row a request, found {len(rows)}", code="one_record")
        return Batch(self._ids(rows), len(rows), self._columns(body, rows), single)

    def encode(self, ids: list[str], outputs: dict[str, NDArray[Any]], *, single: bool) -> bytes:
        """The answer's JSON: one object per row with its `_id` and its outputs; one object when one was sent."""
        columns = [
            plain(field, outputs[field.name]) if field.nullable else outputs[field.name].tolist()
            for field in self._outputs
        ]
        answers = [self._answer(*values) for values in zip(ids, *columns, strict=True)]
        return _encode(answers[0] if single else answers)

    def _columns(self, body: bytes, rows: list[Any]) -> dict[str, NDArray[Any]]:
        """The arrays by input; a body with more quotation marks than the rows account for is searched for doubles."""
        for group, members in self._groups.items():
            sent = [sum(self._getter[field.name](row) is not None for field in members) for row in rows]
            wrong = next((number for number, count in enumerate(sent) if count != 1), None)
            if wrong is not None:
                raise wrong_oneof(group, members, wrong, sent[wrong])
        inputs: dict[str, NDArray[Any]] = {}
        marks = self._keys * len(rows)
        for name, get, made, is_text in self._getters:
            values = list(map(get, rows))
            if is_text:
                marks += 2 * _texts(values)
            inputs[name] = made(values)
        found = body.count(b'"')
        if found != marks and found != marks + 4 * sum(1 for row in rows if row.id):
            refuse_duplicates(body)
        return inputs

    def _ids(self, rows: list[Any]) -> list[str]:
        ids = [row.id for row in rows]
        if len(ids) > 1 and len(set(ids)) < len(ids):
            seen: set[str] = set()
            twice = next((id for id in ids if id and (id in seen or seen.add(id))), None)  # type: ignore[func-returns-value]
            if twice is not None:
                raise SignatureInvalid(f"'{RECORD_ID}' {twice[:60]!r} is on more than one row", code="duplicate_id")
        return ids

    def _explained(self, body: bytes, error: msgspec.ValidationError) -> SignatureInvalid:
        """The first thing wrong, in the row where it was found, looked for again one value at a time."""
        data = parsed(body)
        place = _PLACE.search(str(error))
        number = int(place[1]) if place and isinstance(data, list) else 0
        row = data[number] if isinstance(data, list) else data
        if not isinstance(row, dict):
            return SignatureInvalid(f"row {number}: expected an object, found {type(row).__name__}", code="wrong_type")
        return self._explained_row(number, row) or SignatureInvalid(f"the rows do not fit: {error}", code="wrong_type")

    def _explained_row(self, number: int, row: dict[str, Any]) -> SignatureInvalid | None:
        names = {field.name: field for field in self._fields}
        if not isinstance(row.get(RECORD_ID, ""), str):
            return SignatureInvalid(f"row {number}: '{RECORD_ID}': expected text", code="wrong_type")
        unknown = next((key for key in row if key not in names and key != RECORD_ID), None)
        if unknown is not None:
            return SignatureInvalid(
                f"row {number}: input '{unknown[:60]}' does not exist; expected: {', '.join(names)}",
                code="unknown_input",
            )
        for name, field in names.items():
            if field.oneof and row.get(name) is None:
                continue
            if name not in row:
                return SignatureInvalid(
                    f"row {number}: input '{name}' is missing; send null where a value is missing",
                    code="missing_input",
                )
            wrong, found = misfit(field, _leaves_of(field, row[name]))
            if wrong:
                return wrong_value(f"{name}' of row '{number}", field, found)
        return None


def _type(field: Field) -> Any:
    return list[element_type(field)] if field.shape else element_type(field)  # type: ignore[misc]  # made at run time


def _texts(values: list[Any]) -> int:
    """How many texts a column's decoded values are."""
    if values and isinstance(values[0], list):
        return sum(len(row) - row.count(None) for row in values if row is not None)
    return len(values) - values.count(None)


def _column(field: Field) -> Column:
    """What makes the array of a column's decoded values."""
    made = arrays_of(field)
    if not field.shape:
        return made
    size = prod(field.shape)
    empty: list[Any] = [None] * abs(size)  # a member of a oneof that was left out

    def stacked(values: Sequence[Any]) -> NDArray[Any]:
        rows = [empty if row is None else row for row in values]
        for number, row in enumerate(rows):
            if len(row) != size and -1 not in field.shape:
                raise SignatureInvalid(
                    f"row {number}: input '{field.name}': expected {size} values, found {len(row)}", code="wrong_shape"
                )
        try:
            return np.concatenate([made(row) for row in rows]).reshape(len(rows), *field.shape)
        except ValueError as error:
            raise SignatureInvalid(
                f"input '{field.name}': rows differ in length and do not make one tensor", code="wrong_shape"
            ) from error

    return stacked


def _leaves_of(field: Field, value: Any) -> list[Any]:
    return value if field.shape and isinstance(value, list) else [value]
