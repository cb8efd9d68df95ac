"""The JSON type of a Field's elements, and the words for what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field
from keepfit.serve.wire.tables import numpy_type

_INTEGERS = {
    DType.UINT8: (0, 2**8 - 1),
    DType.UINT16: (0, 2**16 - 1),
    DType.UINT32: (0, 2**32 - 1),
    DType.INT8: (-(2**7), 2**7 - 1),
    DType.INT16: (-(2**15), 2**15 - 1),
    DType.INT32: (-(2**31), 2**31 - 1),
}
_FLOATS = {DType.FP16: float(np.finfo(np.float16).max), DType.FP32: float(np.finfo(np.float32).max)}


def element_type(field: Field) -> Any:
    """What msgspec decodes one element of a Field as: bounds of the type inside, None where it may be missing."""
    kind: Any
    if field.dtype is DType.BYTES:
        kind = str
    elif field.dtype is DType.BOOL:
        kind = bool
    elif field.dtype in _INTEGERS:
        low, high = _INTEGERS[field.dtype]
        kind = Annotated[int, msgspec.Meta(ge=low, le=high)]
    elif field.dtype in (DType.INT64, DType.UINT64):
        kind = int  # 64 bits are more than msgspec's bounds can say: numpy checks them
    elif field.dtype in _FLOATS:
        most = _FLOATS[field.dtype]
        kind = Annotated[float, msgspec.Meta(ge=-most, le=most)]
    else:
        kind = float
    return kind | None if field.nullable and field.dtype in (DType.BYTES, DType.FP16, DType.FP32, DType.FP64) else kind


def array_of(field: Field, values: Sequence[Any]) -> NDArray[Any]:
    """The array of decoded elements, flat: a missing number is NaN, a missing text empty."""
    if field.dtype is DType.BYTES:
        if field.nullable:
            values = ["" if value is None else value for value in values]
        return np.array(values, dtype=object)
    try:
        return np.array(values, dtype=numpy_type(field.dtype))
    except OverflowError as error:
        raise SignatureInvalid(
            f"input '{field.name}': a number is out of the range of {field.dtype}", code="wrong_type"
        ) from error


def parsed(body: bytes | msgspec.Raw) -> Any:
    """Any JSON value; SignatureInvalid for what is none, or holds a number no computer word can."""
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        raise SignatureInvalid(f"a number is beyond all finite ones: {error}", code="not_finite") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid_json(bytes(body), error) from error


def invalid_json(body: bytes, error: Exception) -> SignatureInvalid:
    """The error for bytes that are no JSON; NaN and Infinity, which some writers produce, are named as such."""
    if b"NaN" in body or b"Infinity" in body:
        return SignatureInvalid(
            "the body holds NaN or Infinity, which JSON does not have; send null where a value is missing",
            code="not_finite",
        )
    return SignatureInvalid(f"the body is not JSON: {error}", code="invalid_json")


def wrong_value(name: str, field: Field, found: Any) -> SignatureInvalid:
    """The error for one element that is not of its Field's type."""
    if found is None:
        return SignatureInvalid(
            f"input '{name}': null, but the model was never shown a missing value here; expected {field.dtype}",
            code="wrong_type",
        )
    shown = repr(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return SignatureInvalid(f"input '{name}': expected {field.dtype}, found {shown}", code="wrong_type")


def fits(field: Field, value: Any) -> bool:
    """Whether one decoded JSON value is an element of the Field."""
    try:
        msgspec.convert(value, element_type(field))
    except msgspec.ValidationError:
        return False
    return True
