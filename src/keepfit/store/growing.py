"""Open segments: an Arrow IPC file that has no footer yet, so that sealing it writes none of its rows again.

    magic of Arrow files (8 bytes) | frame with the schema | frame per append | footer, only when it is sealed

A frame is a length, a checksum and an Arrow IPC message. Readers of Arrow files go by the footer, which tells where
each message begins; that frames stand between the messages does not matter to them. Format:
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from keepfit.core.errors import StorageFault

_MAGIC = b"ARROW1\0\0"
_PREFIX = 8  # bytes of a message before its metadata
_FRAME = struct.Struct("<II")  # length and checksum of what follows
_SMALL = 2**14  # bytes of a batch: reading it costs as much as the fixed cost of a batch
_SECTOR = 64  # words of 8 bytes: no disk writes less than 512 bytes at once


class Frames:
    """The pieces of open segments, for one writer: the memory in which it makes them is used again.

    New memory for every batch would be taken from the system and given back to it each time, page by page.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def opening(self, schema: pa.Schema) -> list[Any]:
        """What an open segment begins with."""
        return [_MAGIC, *_framed(schema.serialize())]

    def of(self, batch: pa.RecordBatch) -> list[Any]:
        """A batch as it stands in an open segment, of use until the next one."""
        begin = batch.schema.serialize().size
        end = begin + pa.ipc.get_record_batch_size(batch)
        if len(self._memory) < end + _PREFIX:  # a stream has a schema before its batches and a mark behind them
            self._memory = np.empty(end + end // 8 + _PREFIX, np.uint8)
        with pa.ipc.new_stream(pa.FixedSizeBufferWriter(pa.py_buffer(self._memory)), batch.schema) as writer:
            writer.write_batch(batch)
        return _framed(self._memory[begin:end].data)


def _framed(message: Any) -> list[Any]:
    return [_FRAME.pack(len(message), _checksum(message)), message]


def _checksum(data: Any) -> int:
    """The CRC-32 of the sums of all sectors and of the bytes behind the last whole one.

    What a crash tears is whole sectors, and a sum tells them from any others at memory's speed; a CRC-32 of everything
    takes five times as long.
    """
    words = np.frombuffer(data, "<u8", len(data) // 8)
    whole = len(words) // _SECTOR * _SECTOR
    sums = np.add.reduce(words[:whole].reshape(-1, _SECTOR), axis=1)
    return zlib.crc32(memoryview(data)[8 * whole :], zlib.crc32(sums))


class Place(NamedTuple):
    """Where the message of a batch begins, and the bytes of its head (prefix, metadata) and of its body."""

    at: int
    head: int
    body: int


@dataclass(frozen=True)
class Scanned:
    """The complete batches found, where each stands, and where the last one ends."""

    schema: pa.Schema | None
    batches: tuple[pa.RecordBatch, ...]
    places: tuple[Place, ...]
    end: int

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(batch.num_rows for batch in self.batches)


def scan(path: Path, *, start: int = 0, schema: pa.Schema | None = None) -> Scanned:
    """Read the complete batches of an open segment from a batch's border on; a torn tail is left alone.

    Nothing in or behind a torn tail was acknowledged. The bytes are copied, not mapped, because the writer may cut a
    failed append off while we look.
    """
    with path.open("rb") as file:
        file.seek(start)
        return _scanned(path, memoryview(file.read()), start=start, schema=schema)


def scan_own(path: Path, *, trusted: int = 0) -> Scanned:
    """All complete batches of an open segment that the caller has locked, mapped; `trusted` bytes are known to be."""
    with pa.memory_map(str(path)) as file:
        return _scanned(path, memoryview(file.read_buffer()), trusted=trusted)


def _scanned(
    path: Path, data: memoryview, *, start: int = 0, schema: pa.Schema | None = None, trusted: int = 0
) -> Scanned:
    batches: list[pa.RecordBatch] = []
    places: list[Place] = []
    end = start
    if not start:
        if data[: len(_MAGIC)] != _MAGIC:
            _expect_torn(path, data)
            return Scanned(None, (), (), 0)
        data, end = data[len(_MAGIC) :], len(_MAGIC)
    first = end
    for message, at, length in _messages(data, trusted - first):
        if schema is None:
            schema = pa.ipc.read_schema(message)
        else:
            batches.append(pa.ipc.read_record_batch(message, schema))
            head = message.metadata.size + _PREFIX
            places.append(Place(first + at, head, length - head))
        end = first + at + length
    return Scanned(schema, tuple(batches), tuple(places), end)


def _messages(data: memoryview, trusted: int) -> Iterator[tuple[pa.Message, int, int]]:
    """The whole frames at the beginning of `data`: their messages, and where each begins and how long it is."""
    at = 0
    while at + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        message = data[at : at + length]
        if not length or len(message) < length or (at + length > trusted and _checksum(message) != checksum):
            return  # a torn tail, or one whose length came to the disk and its content did not
        yield pa.ipc.read_message(pa.py_buffer(message)), at, length
        at += length


def _expect_torn(path: Path, data: memoryview) -> None:
    """StorageFault where a file does not begin as an open segment but as one of an earlier release."""
    if len(data) > _FRAME.size:
        length, checksum = _FRAME.unpack_from(data)
        message = data[_FRAME.size : _FRAME.size + length]
        if length and len(message) == length and zlib.crc32(message) == checksum:
            raise StorageFault(
                f"{path}: was left open by an earlier release, which wrote such files otherwise; start that release "
                "once on this store, which seals it, or move the file away to go on without its rows",
                code="old_format",
            )


# --- footers --------------------------------------------------------------------------------------------------------


def footer(found: Scanned) -> bytes | None:
    """What makes a whole Arrow file of an open segment; None where this release of Arrow lays batches out otherwise.

    Arrow's own writer makes it: it gets the batches again, on a sink that keeps nothing before the footer. That says of
    each batch where it would stand without our frames, as one list of fixed length, and is told better.
    """
    sink = _Sink()
    without = []
    with pa.ipc.new_file(pa.PythonFile(sink, "w"), found.schema) as writer:
        for batch, place in zip(found.batches, found.places, strict=True):
            writer.write_batch(batch)
            without.append(place._replace(at=sink.written - place.head - place.body))
        sink.kept = []
    said = b"".join(sink.kept)
    blocks, wanted = (b"".join(map(_block, places)) for places in (without, found.places))
    return said.replace(blocks, wanted) if said.count(blocks) == 1 else None


def _block(place: Place) -> bytes:
    """A place as a footer has it: `struct Block` of Arrow's File.fbs."""
    return struct.pack("<qixxxxq", *place)


class _Sink:
    """A file to Arrow's writer: counts what it is given, and keeps it once there is a list to keep it in."""

    closed = False

    def __init__(self) -> None:
        self.written = 0
        self.kept: list[bytes] | None = None

    def write(self, data: Any) -> int:
        size = len(data)
        self.written += size
        if self.kept is not None:
            self.kept.append(bytes(data))
        return size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def scattered(places: Sequence[Place]) -> bool:
    """Whether batches are so many and so small that it pays to write them in one piece."""
    return len(places) > 1 and sum(place.body for place in places) < _SMALL * len(places)
