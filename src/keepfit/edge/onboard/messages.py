"""Messages: protobuf files looked at field by field, without their schema and without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keepfit.core.errors import Refused

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_GRAPH = 7
_ONNX_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})


class _Broken(ValueError):
    """Bytes that are no protobuf message, with how far they were one."""


def require_onnx(path: Path) -> None:
    """Return where a file is an ONNX model; Refused names what else it is, or where it breaks off."""
    data = path.read_bytes()
    try:
        fields = list(fields_of(data))
    except _Broken as error:
        if data[:1] == b"\x08" and len(data) > 64:
            raise Refused(f"{path}: begins as an ONNX model and is broken: {error}", code="truncated") from error
        raise Refused(f"{path}: {_shown(data)}: no model that keepfit knows", code="not_a_model") from error
    numbers = {number for number, _, _ in fields}
    if _GRAPH in numbers and numbers <= _ONNX_FIELDS:
        return
    raise Refused(f"{path}: {_named(numbers, data)}", code="not_a_model")


def _named(numbers: set[int], data: bytes) -> str:
    if 1 in numbers and 2 in numbers and any(number >= 200 for number in numbers):
        return "is a CoreML model, which runs on Apple's systems only; export the model to ONNX"
    if numbers <= {1, 2} and b"serve" in data:
        return "is a TensorFlow SavedModel's graph, and keepfit has no TensorFlow; convert the folder with tf2onnx"
    if numbers <= {1, 2, 3, 4} and 4 in numbers:
        return "is a frozen TensorFlow graph, and keepfit has no TensorFlow; convert it with tf2onnx"
    if numbers <= _ONNX_FIELDS and 1 in numbers and len(data) > 64:
        return "is an ONNX model without a graph, so it is broken; export it again"
    return f"{_shown(data)}: no model that keepfit knows"


def _shown(data: bytes) -> str:
    return f"{len(data)} bytes that begin with {data[:16]!r}"


def fields_of(data: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """Number, wire type and content of each field of a protobuf message; ValueError where it is none."""
    place, end = 0, len(data)
    while place < end:
        key, place = _number(data, place)
        number, wire = key >> 3, key & 7
        if not number:
            raise _Broken(f"byte {place} of {end} begins no field")
        if wire == _VARINT:
            value, place = _number(data, place)
            yield number, wire, value
            continue
        if wire == _LENGTH:
            length, place = _number(data, place)
        elif wire in (_EIGHT, _FOUR):
            length = 8 if wire == _EIGHT else 4
        else:
            raise _Broken(f"byte {place} of {end} begins no field")
        if place + length > end:
            raise _Broken(f"a part of {length} bytes begins at byte {place}, and the file ends at byte {end}")
        yield number, wire, data[place : place + length]
        place += length


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
    raise _Broken(f"the file ends within a number, at byte {place}")
