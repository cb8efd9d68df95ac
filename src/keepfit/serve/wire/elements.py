"""The JSON type of a Field's elements, what stands for a missing one, and the words for what does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import MISSING_TIME, DType, Field
from keepfit.serve.wire.tables import numpy_type

MOST_ROWS = 2**20
"""Records of one request: each gets an id and a place in the Stream, which a few bytes must not buy millions of."""

_INTEGERS = {
    DType.UINT8: (0, 2**8 - 1),
    DType.UINT16: (0, 2**16 - 1),
    DType.UINT32: (0, 2**32 - 1),
    DType.INT8: (-(2**7), 2**7 - 1),
    DType.INT16: (-(2**15), 2**15 - 1),
    DType.INT32: (-(2**31), 2**31 - 1),
}
_FLOATS = {DType.FP16: float(np.finfo(np.float16).max), DType.FP32: float(np.finfo(np.float32).max)}
_REAL = frozenset({DType.FP16, DType.FP32, DType.FP64})
_PLACE = re.compile(r"\$\[(\d+)\]")


def element_type(field: Field) -> Any:
    """What msgspec decodes one element of a Field as: bounds of the type inside, None where it may be missing."""
    kind = _kind(field)
    return kind | None if field.nullable and missing(field) is not None else kind


@lru_cache(maxsize=4096)
def elements_type(field: Field) -> Any:
    """The type of a list of a Field's elements."""
    return list[element_type(field)]  # type: ignore[misc]  # made at run time


def _kind(field: Field) -> Any:
    if field.choices:
        return Literal[field.choices]
    if field.dtype is DType.BYTES:
        return str
    if field.dtype is DType.BOOL:
        return bool
    if field.dtype in _INTEGERS:
        low, high = _INTEGERS[field.dtype]
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    if field.dtype in (DType.INT64, DType.UINT64):
        return int  # 64 bits are more than msgspec's bounds can say: numpy checks them
    if field.dtype in _FLOATS:
        most = _FLOATS[field.dtype]
        return Annotated[float, msgspec.Meta(ge=-most, le=most)]
    return float


def missing(field: Field) -> Any:
    """What an array holds where a value is missing; None for types that have nothing to say it with."""
    if field.dtype is DType.BYTES:
        return ""
    if field.dtype in _REAL:
        return float("nan")
    return MISSING_TIME if field.timestamp else None


def arrays_of(field: Field) -> Callable[[Sequence[Any]], NDArray[Any]]:
    """What makes the array of decoded elements, flat: a missing one is what `missing` says, or zero without that."""
    target = numpy_type(field.dtype)
    filled = field.nullable and field.dtype not in _REAL
    nothing = 0 if missing(field) is None else missing(field)

    def made(values: Sequence[Any]) -> NDArray[Any]:
        if filled:
            values = [nothing if value is None else value for value in values]
        try:
            return np.array(values, target)
        except OverflowError as error:
            raise SignatureInvalid(
                f"input '{field.name}': a number is out of the range of {field.dtype}", code="wrong_type"
            ) from error

    return made


def plain(field: Field, values: NDArray[Any]) -> list[Any]:
    """The elements as Python values, None where one is missing; NaN stays, for JSON writers make null of it."""
    found: list[Any] = values.tolist()
    nothing = missing(field) if field.nullable and field.dtype not in _REAL else None
    return found if nothing is None else _without(found, nothing)


def _without(values: list[Any], nothing: Any) -> list[Any]:
    return [
        _without(value, nothing) if isinstance(value, list) else None if value == nothing else value for value in values
    ]


def absent(field: Field, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of the n records of an array have no value at all."""
    nothing = missing(field)
    if nothing is None:
        return np.zeros(len(values), dtype=bool)
    gone = np.isnan(values) if field.dtype in _REAL else values == nothing
    return np.asarray(gone.reshape(len(values), -1).all(axis=1))


def oneofs(fields: Iterable[Field]) -> dict[str, tuple[Field, ...]]:
    """The members of each oneof, by its name."""
    found: dict[str, tuple[Field, ...]] = {}
    for field in fields:
        if field.oneof:
            found[field.oneof] = (*found.get(field.oneof, ()), field)
    return found


def settle(groups: Mapping[str, tuple[Field, ...]], inputs: dict[str, NDArray[Any]], rows: int) -> None:
    """Add the members of each oneof that were left out; SignatureInvalid where a record has not exactly one."""
    for group, members in groups.items():
        sent = np.zeros(rows, dtype=np.int64)
        for field in members:
            if field.name in inputs:
                sent += ~absent(field, inputs[field.name])
            else:
                shape = (rows, *(abs(size) for size in field.shape))
                nothing = missing(field)
                inputs[field.name] = np.full(shape, 0 if nothing is None else nothing, numpy_type(field.dtype))
        if (wrong := np.flatnonzero(sent != 1)).size:
            raise wrong_oneof(group, members, int(wrong[0]), int(sent[wrong[0]]))


def wrong_oneof(group: str, members: Iterable[Field], row: int, found: int) -> SignatureInvalid:
    """The error for a record that has none, or more than one, of the members of a oneof."""
    names = ", ".join(field.name for field in members)
    return SignatureInvalid(f"row {row}: expected exactly one of {names} ('{group}'), found {found}", code="oneof")


def enough(rows: int) -> None:
    """SignatureInvalid where a request has no rows, or more than any request may have."""
    if not rows:
        raise SignatureInvalid("the request has no rows; send at least one", code="empty_batch")
    if rows > MOST_ROWS:
        raise SignatureInvalid(f"the request has {rows} rows; send at most {MOST_ROWS} at a time", code="too_many_rows")


def parsed(body: bytes | msgspec.Raw) -> Any:
    """Any JSON value; SignatureInvalid for what is none, or holds a number no computer word can."""
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise SignatureInvalid(f"a number is beyond all finite ones: {error}", code="not_finite") from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise invalid_json(bytes(body), error) from error


def refuse_duplicates(body: bytes) -> None:
    """SignatureInvalid where an object in `body` has a key twice: who checked it before us may have read the other.

    The quick parser keeps the last one and says nothing; this one is slow, and meant for bodies with more strings in
    them than what was understood accounts for.
    """
    try:
        json.loads(body, object_pairs_hook=_once)
    except (RecursionError, ValueError) as error:
        raise invalid_json(body, error) from error


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > len({key for key, _ in pairs}):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise SignatureInvalid(f"the key {_shown(twice)} is in one object twice; send it once", code="duplicate_key")


def invalid_json(body: bytes, error: Exception) -> SignatureInvalid:
    """The error for bytes that are no JSON; NaN and Infinity, which some writers produce, are named as such."""
    if b"NaN" in body or b"Infinity" in body:
        return SignatureInvalid(
            "the body holds NaN or Infinity, which JSON does not have; send null where a value is missing",
            code="not_finite",
        )
    if isinstance(error, RecursionError):
        return SignatureInvalid("the body is nested too deeply; a tensor has few dimensions", code="too_deep")
    return SignatureInvalid(f"the body is not JSON: {error}", code="invalid_json")


def wrong_value(name: str, field: Field, found: Any) -> SignatureInvalid:
    """The error for one element that is not of its Field's type, or not among its choices."""
    if found is None:
        return SignatureInvalid(
            f"input '{name}': null, but the model was never shown a missing value here; expected {field.dtype}",
            code="wrong_type",
        )
    if field.choices and isinstance(found, str):
        return wrong_choice(name, field, found)
    return SignatureInvalid(f"input '{name}': expected {field.dtype}, found {_shown(found)}", code="wrong_type")


def wrong_choice(name: str, field: Field, found: str) -> SignatureInvalid:
    """The error for a text that is not among the choices of its Field."""
    some = ", ".join(map(repr, field.choices[:10])) + (", …" if len(field.choices) > 10 else "")
    return SignatureInvalid(f"input '{name}': expected one of {some}; found {_shown(found)}", code="wrong_choice")


def misfit(field: Field, values: list[Any]) -> tuple[bool, Any]:
    """Whether one of the decoded values is not an element of the Field, and the first that is not."""
    try:
        msgspec.convert(values, elements_type(field))
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        return True, values[int(place[1])] if place else values
    return False, None


def fits(field: Field, value: Any) -> bool:
    """Whether one decoded JSON value is an element of the Field."""
    return not misfit(field, [value])[0]


def _shown(found: Any) -> str:
    try:
        shown = repr(found)
    except ValueError:  # a whole number of more digits than Python will write
        return "a number of thousands of digits"
    return shown if len(shown) <= 60 else shown[:57] + "..."
