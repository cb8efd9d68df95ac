"""Segments: the files a Stream consists of, and how each of them survives a crash.

    w0-00000007.open              being written, locked by its writer: frames of (length, CRC-32, Arrow IPC message),
                                  the schema first, then one batch per append
    w0-00000007-50000.arrow       sealed: an Arrow IPC file of so many rows; beside it
    w0-00000007-50000.arrow.ids   its sidecar: first and last time, and the sorted hashes of its ids
    part-00000002.parquet         compacted segments (compaction.py)

A sealed segment takes the place of the open one of the same writer and number, so that wherever a crash falls between
the two, every row is there exactly once. Whether a writer lives is told by its lock (flock), which the operating
system gives back with the process; so nothing ever waits for the dead.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.nouns import RECORD_ID
from keepfit.store.disk import lock, still, sync_directory, write_durably

Hashes = NDArray[np.uint64]
TIME = pa.timestamp("us", tz="UTC")
"""How all times are kept."""

_OPEN = re.compile(r"(?P<writer>.+)-(?P<number>\d{8})\.open")
_SEALED = re.compile(r"(?P<writer>.+)-(?P<number>\d{8})-(?P<rows>\d+)\.arrow")
_FRAME = struct.Struct("<II")  # length and CRC-32 of what follows
_HEADER = struct.Struct("<8sqqQ")
_MAGIC = b"KFIDS\0\0\1"


@dataclass(frozen=True, order=True)
class Name:
    """Which segment: numbers grow over all writers of a directory, so that names sort by age and are never reused."""

    number: int
    writer: str

    def __str__(self) -> str:
        return f"{self.writer}-{self.number:08d}"

    @property
    def open(self) -> str:
        """The file's name while it is written."""
        return f"{self}.open"

    @classmethod
    def of(cls, file: str) -> Name | None:
        """The segment a file name stands for, None for any other file."""
        match = _OPEN.fullmatch(file) or _SEALED.fullmatch(file)
        return cls(int(match["number"]), match["writer"]) if match else None


def rows_of(file: str) -> int | None:
    """The rows of a sealed segment by its file name, None for any other file."""
    match = _SEALED.fullmatch(file)
    return int(match["rows"]) if match else None


# --- ids as numbers -------------------------------------------------------------------------------------------------


_FIRST_BYTES = np.array([2 ** (8 * count) - 1 for count in range(9)], np.uint64)
"""What to keep of a word for its first so many bytes (in memory; the words are little-endian)."""


def _mix(x: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_ids(ids: pa.Array | pa.ChunkedArray) -> Hashes:
    """One 64-bit number per id, the same in every process: its words of eight bytes, each mixed, summed, mixed.

    Equal ids have equal hashes; that any two of a million different ones share theirs has a chance of about 3e-8.
    """
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    text = ids.cast(pa.large_string())
    _, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer or bytes(8), np.int64)[text.offset : text.offset + len(text) + 1]
    begins, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    content = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]] if len(text) else np.empty(0, np.uint8)
    padded = np.concatenate([content, np.zeros(8, np.uint8)])
    words: Hashes = np.ndarray((len(content) + 1,), "<u8", padded, strides=(1,))  # one at every byte
    sums = lengths.astype(np.uint64)
    longer, word = np.flatnonzero(lengths), 0
    while len(longer):
        rest = np.minimum(lengths[longer] - 8 * word, 8)
        part = words[begins[longer] + 8 * word] & _FIRST_BYTES[rest]
        sums[longer] += _mix(part + np.uint64((word + 1) * 0x9E3779B97F4A7C15 % 2**64))
        word += 1
        longer = longer[lengths[longer] > 8 * word]
    return _mix(sums)


def micros(times: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """A column of times as microseconds since 1970."""
    if isinstance(times, pa.ChunkedArray):
        times = times.combine_chunks()
    counted = times.cast(TIME).cast(pa.int64())
    return np.asarray(counted, np.int64)


# --- sidecars -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sidecar:
    """What is asked of a sealed file most often: first and last time (µs since 1970) and its ids' sorted hashes."""

    first: int
    last: int
    hashes: Hashes

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """For each hash whether an id of that hash is in the file."""
        return among(hashes, self.hashes)


def among(hashes: Hashes, within: Hashes) -> NDArray[np.bool_]:
    """For each hash whether it is in the sorted ones."""
    if not len(within):
        return np.zeros(len(hashes), np.bool_)
    at = np.minimum(np.searchsorted(within, hashes), len(within) - 1)
    return np.asarray(within[at] == hashes)


def sidecar_of(rows: pa.Table, time: str) -> Sidecar:
    """The sidecar of at least one row."""
    times = micros(rows[time])
    return Sidecar(int(times.min()), int(times.max()), np.sort(hash_ids(rows[RECORD_ID])))


def read_sidecar(file: Path, rows: int) -> Sidecar | None:
    """The sidecar kept beside a sealed file, None where it is missing or does not fit."""
    path = file.with_name(file.name + ".ids")
    try:
        data = np.memmap(path, np.uint8, "r")
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return None
    if len(data) != _HEADER.size + 8 * rows:
        return None
    magic, first, last, count = _HEADER.unpack(data[: _HEADER.size].tobytes())
    if magic != _MAGIC or count != rows:
        return None
    return Sidecar(first, last, data[_HEADER.size :].view("<u8"))


def write_sidecar(file: Path, sidecar: Sidecar) -> None:
    """Keep a sidecar beside a sealed file; raises OSError."""
    header = _HEADER.pack(_MAGIC, sidecar.first, sidecar.last, len(sidecar.hashes))
    write_durably(file.with_name(file.name + ".ids"), header + sidecar.hashes.astype("<u8").tobytes())


# --- open segments --------------------------------------------------------------------------------------------------


def framed(message: pa.Buffer) -> bytes:
    """A message as it stands in an open segment."""
    data: bytes = message.to_pybytes()
    return _FRAME.pack(len(data), zlib.crc32(data)) + data


def _messages(data: memoryview) -> Iterator[tuple[pa.Message, int]]:
    """The whole frames at the beginning of `data`, each with the place where it ends."""
    at = 0
    while at + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, at)
        message = data[at + _FRAME.size : at + _FRAME.size + length]
        if not length or len(message) < length or zlib.crc32(message) != checksum:
            return  # a torn tail, or one whose length came to the disk and its content did not
        at += _FRAME.size + length
        yield pa.ipc.read_message(pa.py_buffer(message)), at


@dataclass(frozen=True)
class Scanned:
    """The complete batches found from `start` on, and where they end."""

    schema: pa.Schema | None
    batches: tuple[pa.RecordBatch, ...]
    end: int


def scan(path: Path, *, start: int = 0, schema: pa.Schema | None = None) -> Scanned:
    """Read the complete batches of an open segment from a batch's border on; a torn tail is left alone.

    Nothing in or behind a torn tail was acknowledged. The bytes are copied, not mapped, because the writer may cut a
    failed append off while we look.
    """
    with path.open("rb") as file:
        file.seek(start)
        data = memoryview(file.read())
    batches: list[pa.RecordBatch] = []
    end = start
    for message, border in _messages(data):
        if schema is None:
            schema = pa.ipc.read_schema(message)
        else:
            batches.append(pa.ipc.read_record_batch(message, schema))
        end = start + border
    return Scanned(schema, tuple(batches), end)


def seal(directory: Path, name: Name, time: str) -> Path | None:
    """Turn an open segment, locked by the caller, into a sealed one; None when it had no complete batch.

    Raises OSError when there is no room; the open segment is then as it was.
    """
    path = directory / name.open
    found = scan(path)
    sealed = None
    if found.batches and not any(directory.glob(f"{name}-*.arrow")):
        rows = pa.Table.from_batches(found.batches, found.schema).combine_chunks()
        sealed = directory / f"{name}-{rows.num_rows}.arrow"
        _write_sealed(sealed, rows, time)
        sync_directory(directory)
    path.unlink()  # last: until then, and after a crash before, the sealed one goes before it
    return sealed


def _write_sealed(path: Path, rows: pa.Table, time: str) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    write_sidecar(path, sidecar_of(rows, time))
    try:
        write_durably(path, sink.getvalue())
    except OSError:
        path.with_name(path.name + ".ids").unlink(missing_ok=True)
        raise


def recover(directory: Path, time: str) -> int:
    """Seal what dead writers left open; the number of segments sealed. Never waits, never raises for want of room."""
    recovered = 0
    for path in sorted(directory.glob("*.open")):
        name = Name.of(path.name)
        if name is None:
            continue
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            if lock(descriptor) and still(path, descriptor):
                recovered += seal(directory, name, time) is not None
        except OSError:  # no room: readers go on reading the open segment, and the next start tries again
            continue
        finally:
            os.close(descriptor)
    return recovered
