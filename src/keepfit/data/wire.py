"""The protobuf wire of `tf.Example`: as much of it as that message needs."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_KINDS = {1: "bytes", 2: "float", 3: "int64"}
_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_SIGN = 1 << 63


@dataclass(frozen=True)
class Feature:
    """The values of one feature in one row; `kind` is bytes, float, int64, or empty where nothing is set."""

    kind: str
    values: list[Any]


def features_of(example: bytes) -> dict[str, Feature]:
    """The features of an Example; ValueError, IndexError or struct.error where it is none."""
    found: dict[str, Feature] = {}
    for features in _messages(example, 1):
        for entry in _messages(features, 1):
            name, feature = b"", Feature("", [])
            for number, kind, value in _fields(entry):
                if number == 1 and kind == _BYTES:
                    name = value
                elif number == 2 and kind == _BYTES:
                    feature = _feature(value)
            found[name.decode()] = feature
    return found


def encode_example(row: Mapping[str, Any]) -> bytes:
    """A row as an Example."""
    entries = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, _encoded(value)))
        for name, value in row.items()
        if value is not None
    )
    return _field(1, entries)


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    return (value for number, kind, value in _fields(data) if number == wanted and kind == _BYTES)


def _feature(data: bytes) -> Feature:
    for number, kind, value in _fields(data):
        if number in _KINDS and kind == _BYTES:
            return Feature(_KINDS[number], _values(number, value))
    return Feature("", [])


def _values(number: int, data: bytes) -> list[Any]:
    found: list[Any] = []
    for place, kind, value in _fields(data):
        if place != 1:
            continue
        match number, kind:
            case (1, 2):
                found.append(value)
            case (2, 2):
                found += np.frombuffer(value, "<f4").tolist()
            case (2, 5):
                found += struct.unpack("<f", value)
            case (3, 2):
                found += _varints(value)
            case (3, 0):
                found.append(_signed(value))
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field of a message."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _varint(data, at)
            value: Any = data[at : at + size]
            if len(value) < size:
                raise ValueError(f"a field of {size} bytes is cut after {len(value)}")
            at += size
        elif kind == _VARINT:
            value, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
            value = data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {kind} is not one of a tf.Example")
        yield key >> 3, kind, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    found, shift = byte & 127, 7
    while True:
        at += 1
        byte = data[at]
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at + 1
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than ten bytes")


def _varints(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(_signed(value))
    return found


def _signed(value: int) -> int:
    value &= 2 * _SIGN - 1
    return value - 2 * _SIGN if value >= _SIGN else value


def _encoded(value: Any) -> bytes:
    values = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(one, str | bytes) for one in values):
        data = b"".join(_field(1, one.encode() if isinstance(one, str) else one) for one in values)
        return _field(_NUMBERS["bytes"], data) if values else b""
    if all(isinstance(one, int) for one in values):
        packed = b"".join(_number(one & (2 * _SIGN - 1)) for one in values)
        return _field(_NUMBERS["int64"], _field(1, packed))
    return _field(_NUMBERS["float"], _field(1, struct.pack(f"<{len(values)}f", *values)))


def _field(number: int, data: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(data)) + data


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
