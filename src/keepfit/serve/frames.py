"""What goes over the socket between a server and a model's own process: raw arrays, in a layout both sides know.

A frame is a head (kind, number, rows, free dimensions, length) and a body. A body of arrays has one packed record per
row, with the fields in Signature order, then the texts of all rows one after another; a record holds the lengths of
its texts in UTF-8. So requests are put together by joining their bytes, and nothing in a frame has to be searched.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field
from keepfit.serve.wire.tables import numpy_type

Buffer = bytes | bytearray | memoryview

_HEAD = struct.Struct("<BxHII4xQ8x")  # 32 bytes, so that what follows is aligned for every element type
_CHUNK = 2**16  # bytes read at once; a frame that is longer gets a buffer of its own
_MOST = 2**31  # bytes a body may claim to have: a process of user code may claim anything
_LENGTH = np.dtype(np.uint32)  # of a text


class Kind(IntEnum):
    """What a frame carries: arrays, what holds the process, the word that it has loaded, or why something failed."""

    ARRAYS = 1
    GRANTED = 2
    READY = 3
    FAULT = 4


class Frame(NamedTuple):
    """One frame that has arrived; `number` says which question it belongs to."""

    kind: Kind
    number: int
    rows: int
    dims: tuple[int, ...]
    body: memoryview


class Packed(NamedTuple):
    """Arrays as bytes; those with equal `dims` (the free dimensions, in Signature order) can be joined."""

    rows: int
    dims: tuple[int, ...]
    records: Buffer
    texts: bytes


def framed(kind: Kind, number: int, packed: Sequence[Packed]) -> list[Buffer]:
    """The buffers of one frame of arrays, to be sent one after another."""
    dims = packed[0].dims
    texts = [part.texts for part in packed if part.texts]
    parts: list[Buffer] = [b"".join([part.records for part in packed]) if len(packed) > 1 else packed[0].records]
    parts += [b"".join(texts)] if texts else []
    rows = sum(part.rows for part in packed)
    head = _HEAD.pack(kind, len(dims), number, rows, _padded(len(dims)) + sum(map(_size, parts)))
    if dims:
        head += struct.pack(f"<{len(dims)}Q", *dims).ljust(_padded(len(dims)), b"\0")
    if _size(parts[0]) < _CHUNK:
        return [b"".join([head, *parts])]
    return [head, *parts]


def told(kind: Kind, number: int, text: bytes) -> bytes:
    """A frame of a few words."""
    return _HEAD.pack(kind, 0, number, 0, len(text)) + text


def send(connection: socket.socket, buffers: Sequence[Buffer]) -> None:
    """Write a frame to a blocking socket; OSError when the other side is gone."""
    for buffer in buffers:
        connection.sendall(buffer)


class Incoming:
    """Puts the frames of one socket together; there is never more than one on its way."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(_CHUNK))
        self._have = 0

    def read(self, connection: socket.socket) -> Frame | None:
        """The next frame; None where a non-blocking socket has no more of it yet.

        EOFError when the other side is gone, OSError (TimeoutError) from the socket, ValueError where what came is no
        frame.
        """
        while True:
            try:
                count = connection.recv_into(self._buffer[self._have :])
            except BlockingIOError:
                return None
            if not count:
                raise EOFError("the other side closed the connection")
            self._have += count
            if self._have >= _HEAD.size and (frame := self._frame()) is not None:
                return frame

    def _frame(self) -> Frame | None:
        kind, free, number, rows, length = _HEAD.unpack_from(self._buffer)
        total = _HEAD.size + length
        if length > _MOST or self._have > total or _padded(free) > length:
            raise ValueError(f"{self._have} bytes arrived which are not a frame of {length}")
        if self._have < total:
            if total > len(self._buffer):
                self._buffer = _grown(self._buffer[: self._have], total)
            return None
        buffer, self._have = self._buffer, 0
        if len(buffer) == _CHUNK:
            buffer = memoryview(bytearray(buffer[:total]))
        else:
            self._buffer = memoryview(bytearray(_CHUNK))
        dims = struct.unpack_from(f"<{free}Q", buffer, _HEAD.size)
        return Frame(Kind(kind), number, rows, dims, buffer[_HEAD.size + _padded(free) :])


def _grown(buffer: memoryview, size: int) -> memoryview:
    """A larger buffer with the same beginning, whose memory is only taken as it is written to."""
    larger = np.empty(size, np.uint8).data
    larger[: len(buffer)] = buffer
    return larger


class Layout:
    """The raw form of the arrays of some Fields."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)
        self._types = [_LENGTH if f.dtype is DType.BYTES else numpy_type(f.dtype) for f in fields]
        self._texts = [f for f in fields if f.dtype is DType.BYTES]
        self._free = any(-1 in f.shape for f in fields)
        self._records: dict[tuple[int, ...], np.dtype[Any]] = {}

    def pack(self, arrays: Mapping[str, NDArray[Any]], rows: int) -> Packed:
        """Bytes of arrays of shape (rows, *field.shape) by name; SignatureInvalid where they are of another form."""
        columns = [_fitting(field, arrays, rows) for field in self._fields]
        dims = self._dims(columns) if self._free else ()
        texts = b""
        if self._texts:
            texts = self._encoded(columns, rows)
        if len(columns) == 1:
            return Packed(rows, dims, _bytes(columns[0]), texts)
        if rows == 1:  # then a record is its columns, one after another
            return Packed(1, dims, b"".join([column.tobytes() for column in columns]), texts)
        records = np.empty(rows, self._record(dims))
        for field, column in zip(self._fields, columns, strict=True):
            records[field.name] = column
        return Packed(rows, dims, _bytes(records.view(np.uint8)) if records.nbytes else b"", texts)

    def unpack(self, rows: int, dims: tuple[int, ...], body: memoryview) -> dict[str, NDArray[Any]]:
        """The arrays of a body; they own the body, and may be written to. ValueError where its length is another."""
        record = self._record(dims)
        end = record.itemsize * rows
        if len(body) < end or (len(body) > end and not self._texts):
            raise ValueError(f"{len(body)} bytes for {rows} records of {record.itemsize}")
        table = np.ndarray((rows,), record, body)
        if len(self._fields) == 1 and not self._texts:
            return {self._fields[0].name: table[self._fields[0].name]}
        arrays = {field.name: table[field.name].copy() for field in self._fields}
        if self._texts:
            arrays |= self._decoded(arrays, rows, body[end:])
        return arrays

    def _dims(self, columns: list[NDArray[Any]]) -> tuple[int, ...]:
        return tuple(
            found
            for field, column in zip(self._fields, columns, strict=True)
            for declared, found in zip(field.shape, column.shape[1:], strict=True)
            if declared == -1
        )

    def _record(self, dims: tuple[int, ...]) -> np.dtype[Any]:
        known = self._records.get(dims)
        if known is None:
            left = iter(dims)
            shapes = [tuple(next(left) if size == -1 else size for size in field.shape) for field in self._fields]
            names = (field.name for field in self._fields)
            known = np.dtype(list(zip(names, self._types, shapes, strict=True)))
            if len(self._records) < 1000:  # callers choose free dimensions
                self._records[dims] = known
        return known

    def _encoded(self, columns: list[NDArray[Any]], rows: int) -> bytes:
        """The texts of all rows; in place of the columns of texts come those of their lengths."""
        parts: list[list[list[bytes]]] = []
        for place, field in enumerate(self._fields):
            if field.dtype is DType.BYTES:
                column = columns[place]
                words = [_utf8(field, word) for word in column.reshape(-1).tolist()]
                columns[place] = np.fromiter(map(len, words), _LENGTH, len(words)).reshape(column.shape)
                width = prod(column.shape[1:])
                parts.append([words[row * width : (row + 1) * width] for row in range(rows)])
        return b"".join([word for row in zip(*parts, strict=True) for words in row for word in words])

    def _decoded(
        self, arrays: dict[str, NDArray[Any]], rows: int, texts: memoryview
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        lengths = [arrays[f.name].reshape(rows, prod(arrays[f.name].shape[1:])) for f in self._texts]  # also of no rows
        ends = np.cumsum(np.concatenate(lengths, axis=1), dtype=np.int64)
        if (ends[-1] if len(ends) else 0) != len(texts):
            raise ValueError(f"{len(texts)} bytes of text where {ends[-1:].tolist()} were announced")
        words = np.empty(len(ends), object)
        begin = 0
        for place, end in enumerate(ends.tolist()):
            words[place] = str(texts[begin:end], "utf-8", "surrogatepass")
            begin = end
        table, left = words.reshape(rows, sum(column.shape[1] for column in lengths)), 0
        for field, column in zip(self._texts, lengths, strict=True):
            right = left + column.shape[1]
            yield field.name, table[:, left:right].reshape(arrays[field.name].shape)
            left = right


def _fitting(field: Field, arrays: Mapping[str, NDArray[Any]], rows: int) -> NDArray[Any]:
    array = arrays.get(field.name)
    if array is None:
        raise SignatureInvalid(f"'{field.name}' is missing", code="missing_input")
    shape = array.shape
    if shape != (rows, *field.shape) and (
        len(shape) != len(field.shape) + 1
        or any(declared not in (-1, found) for declared, found in zip((rows, *field.shape), shape, strict=True))
    ):
        raise SignatureInvalid(
            f"'{field.name}': expected shape {[rows, *field.shape]}, found {list(shape)}", code="wrong_shape"
        )
    dtype = numpy_type(field.dtype)
    if array.dtype != dtype:
        try:
            return array.astype(dtype, casting="same_kind")
        except TypeError as error:
            raise SignatureInvalid(
                f"'{field.name}': expected {field.dtype}, found {array.dtype}", code="wrong_type"
            ) from error
    return array


def _utf8(field: Field, word: Any) -> bytes:
    if not isinstance(word, str):
        raise SignatureInvalid(f"'{field.name}': expected text, found {type(word).__name__}", code="wrong_type")
    return word.encode("utf-8", "surrogatepass")


def _bytes(array: NDArray[Any]) -> Buffer:
    """The bytes of an array: copied where that is quicker than to look at them in place."""
    if array.nbytes < _CHUNK:
        return array.tobytes()
    return np.ascontiguousarray(array).data.cast("B")


def _padded(dims: int) -> int:
    return (dims + 1) // 2 * 16


def _size(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
