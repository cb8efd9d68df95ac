"""Raw tensors: the Open Inference Protocol's binary data extension, and the raw contents of its gRPC messages.

Numbers are little-endian and end to end; a BYTES element is its length (4 bytes, little-endian) and its UTF-8. Source:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import sys
from math import isfinite
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field
from keepfit.serve.wire.elements import wrong_choice, wrong_value
from keepfit.serve.wire.tables import numpy_type

_WIRE = {dtype.value: numpy_type(dtype).newbyteorder("<") for dtype in DType if dtype is not DType.BYTES}
_LITTLE = sys.byteorder == "little"
_FEW = 64
_size = Struct("<I")


def head_length(header: bytes, body: int) -> int:
    """The length of the JSON that a binary request begins with, by its header; `body` is the length of all of it."""
    if not header.isdigit() or len(header) > 18:
        raise SignatureInvalid(
            f"Inference-Header-Content-Length: expected a number of bytes, found {header[:40].decode('latin-1')!r}",
            code="invalid_framing",
        )
    if int(header) > body:
        raise SignatureInvalid(
            f"Inference-Header-Content-Length is {int(header)}, but the whole body has {body} bytes",
            code="invalid_framing",
        )
    return int(header)


def from_raw(field: Field, datatype: str, raw: memoryview, count: int) -> NDArray[Any]:
    """`count` elements sent as `datatype`, flat, as the Field's type; SignatureInvalid where they are not that.

    Numbers of the Field's own type are not copied, where they lie at an address that the processor likes.
    """
    if field.dtype is DType.BYTES:
        return _texts(field, raw, count)
    sent, target = _WIRE[datatype], numpy_type(field.dtype)
    if len(raw) != count * sent.itemsize:
        raise SignatureInvalid(
            f"input '{field.name}': expected {count * sent.itemsize} bytes for {count} elements of {datatype}, "
            f"found {len(raw)}",
            code="wrong_shape",
        )
    if sent.kind == "b" and count and np.frombuffer(raw, np.uint8).max() > 1:
        raise wrong_value(field.name, field, int(np.frombuffer(raw, np.uint8).max()))
    values = np.frombuffer(raw, sent) if count else np.empty(0, sent)
    if sent.kind == "f":
        _expect_finite(field, values)
    return values if values.flags.aligned and sent == target else values.astype(target)


def to_raw(values: NDArray[Any]) -> bytes:
    """The raw content of an output."""
    if values.dtype.kind != "O":
        return (values if _LITTLE else values.astype(values.dtype.newbyteorder("<"))).tobytes()
    texts = [str(value).encode() for value in values.reshape(-1)]
    return b"".join([piece for text in texts for piece in (_size.pack(len(text)), text)])


def finite(values: NDArray[Any]) -> bool:
    """Whether all numbers are finite; to fetch a library's code costs more than to add up a few."""
    few = values.size <= _FEW and isfinite(sum(values.reshape(-1).tolist()))
    return few or bool(np.isfinite(values).all())


def _expect_finite(field: Field, values: NDArray[Any]) -> None:
    """What JSON cannot say is no value on this wire either, but for NaN where a value may be missing."""
    if finite(values):
        return
    if not field.nullable or np.isinf(values).any():
        wrong = "Infinity" if np.isinf(values).any() else "NaN, but the model was never shown a missing value here"
        raise SignatureInvalid(f"input '{field.name}': expected finite numbers, found {wrong}", code="not_finite")


def _texts(field: Field, raw: memoryview, count: int) -> NDArray[Any]:
    values: list[str] = []
    at, end = 0, len(raw)
    while at < end:
        if end - at < 4:
            raise _cut(field, len(values), f"its length needs 4 bytes, {end - at} are left")
        (size,) = _size.unpack_from(raw, at)
        at += 4
        if size > end - at:
            raise _cut(field, len(values), f"its length is {size}, {end - at} bytes are left")
        try:
            values.append(str(raw[at : at + size], "utf-8"))
        except UnicodeDecodeError as error:
            raise SignatureInvalid(
                f"input '{field.name}': element {len(values)} is not UTF-8: {error.reason} at its byte {error.start}",
                code="not_utf8",
            ) from error
        at += size
    if len(values) != count:
        raise SignatureInvalid(
            f"input '{field.name}': expected {count} elements, found {len(values)}", code="wrong_shape"
        )
    expect_choices(field, values)
    return np.array(values, dtype=object)


def expect_choices(field: Field, values: list[str]) -> None:
    """SignatureInvalid (`wrong_choice`) where a text is none of the Field's choices."""
    if not field.choices:
        return
    wrong = set(values).difference(field.choices, ("",) if field.nullable else ())
    if wrong:
        raise wrong_choice(field.name, field, min(wrong))


def _cut(field: Field, element: int, found: str) -> SignatureInvalid:
    return SignatureInvalid(f"input '{field.name}': element {element} is cut off: {found}", code="invalid_framing")
