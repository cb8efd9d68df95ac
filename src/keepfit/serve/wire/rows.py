"""Plain rows: a JSON array of objects, or one object, with the Signature's inputs as keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.nouns import RECORD_ID
from keepfit.core.signature import Field, Signature
from keepfit.serve.wire.elements import array_of, element_type, fits, invalid_json, parsed, wrong_value

_encode = msgspec.json.Encoder().encode


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
        [("id", str, ""), *((f"x{i}", _type(field)) for i, field in enumerate(signature.inputs))],
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
        self._getters = [(field, attrgetter(f"x{i}")) for i, field in enumerate(signature.inputs)]
        self._decode, self._answer = _shapes(signature)

    def decode(self, body: bytes) -> Batch:
        """The rows in `body`; SignatureInvalid says which row and which input does not fit, with its machine code."""
        try:
            found: Any = self._decode(body)
        except msgspec.ValidationError as error:
            raise self._explained(body, error) from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise invalid_json(body, error) from error
        single = not isinstance(found, list)
        rows = [found] if single else found
        if not rows:
            raise SignatureInvalid("the request has no rows; send at least one", code="empty_batch")
        inputs = {field.name: _column(field, list(map(get, rows))) for field, get in self._getters}
        return Batch(self._ids(rows), len(rows), inputs, single)

    def encode(self, ids: list[str], outputs: dict[str, NDArray[Any]], *, single: bool) -> bytes:
        """The answer's JSON: one object per row with its `_id` and its outputs; one object when one was sent."""
        columns = [outputs[field.name].tolist() for field in self._outputs]
        answers = [self._answer(*values) for values in zip(ids, *columns, strict=True)]
        return _encode(answers[0] if single else answers)

    def _ids(self, rows: list[Any]) -> list[str]:
        ids = [row.id for row in rows]
        if len(ids) > 1 and len(set(ids)) < len(ids):
            twice = next((id for id in ids if id and ids.count(id) > 1), None)
            if twice is not None:
                raise SignatureInvalid(f"'{RECORD_ID}' {twice!r} is on more than one row", code="duplicate_id")
        return ids

    def _explained(self, body: bytes, error: msgspec.ValidationError) -> SignatureInvalid:
        """The first thing wrong, looked for again one value at a time."""
        data = parsed(body)
        names = {field.name: field for field in self._fields}
        for number, row in enumerate(data if isinstance(data, list) else [data]):
            if not isinstance(row, dict):
                return SignatureInvalid(
                    f"row {number}: expected an object, found {type(row).__name__}", code="wrong_type"
                )
            for key, value in row.items():
                if key == RECORD_ID and not isinstance(value, str):
                    return SignatureInvalid(f"row {number}: '{RECORD_ID}': expected text", code="wrong_type")
                if key not in names and key != RECORD_ID:
                    return SignatureInvalid(
                        f"row {number}: input '{key}' does not exist; expected: {', '.join(names)}",
                        code="unknown_input",
                    )
            for name, field in names.items():
                if name not in row:
                    return SignatureInvalid(
                        f"row {number}: input '{name}' is missing; send null where a value is missing",
                        code="missing_input",
                    )
                elements = _leaves_of(field, row[name])
                wrong = [value for value in elements if not fits(field, value)]
                if wrong:
                    return wrong_value(f"{name}' of row '{number}", field, wrong[0])
        return SignatureInvalid(f"the rows do not fit: {error}", code="wrong_type")


def _type(field: Field) -> Any:
    return list[element_type(field)] if field.shape else element_type(field)  # type: ignore[misc]  # made at run time


def _column(field: Field, values: list[Any]) -> NDArray[Any]:
    if not field.shape:
        return array_of(field, values)
    size = prod(field.shape)
    for number, row in enumerate(values):
        if len(row) != size and -1 not in field.shape:
            raise SignatureInvalid(
                f"row {number}: input '{field.name}': expected {size} values, found {len(row)}", code="wrong_shape"
            )
    try:
        return np.concatenate([array_of(field, row) for row in values]).reshape(len(values), *field.shape)
    except ValueError as error:
        raise SignatureInvalid(
            f"input '{field.name}': rows differ in length and do not make one tensor", code="wrong_shape"
        ) from error


def _leaves_of(field: Field, value: Any) -> list[Any]:
    return value if field.shape and isinstance(value, list) else [value]
