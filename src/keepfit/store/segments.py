"""Segments: the files a Stream consists of, and how each of them survives a crash.

    w0-00000007.open              being written, locked by its writer: the schema first, then one batch per append
                                  (growing.py)
    w0-00000007-50000.arrow       sealed: an Arrow IPC file of so many rows; beside it
    w0-00000007-50000.arrow.ids   its sidecar: first and last time, and the sorted hashes of its ids
    part-00000002.parquet         compacted segments (compaction.py)

A segment is sealed by completing and renaming its file, or, where its batches are many and small, by writing it anew.
The sealed one takes the place of the open one of the same writer and number, so that wherever a crash falls between
the two, every row is there exactly once. Whether a writer lives is told by its lock (flock), which the operating
system gives back with the process; so nothing ever waits for the dead.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.nouns import RECORD_ID
from keepfit.store import growing
from keepfit.store.disk import lock, still, sync_directory, write_at, write_durably

Hashes = NDArray[np.uint64]
TIME = pa.timestamp("us", tz="UTC")
"""How all times are kept."""

SEAL = "seal"
"""A file whose time asks writers to seal, at their next append, the segments that they had begun before."""

_OPEN = re.compile(r"(?P<writer>.+)-(?P<number>\d{8})\.open")
_SEALED = re.compile(r"(?P<writer>.+)-(?P<number>\d{8})-(?P<rows>\d+)\.arrow")
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


# --- sealing --------------------------------------------------------------------------------------------------------


def seal(directory: Path, name: Name, time: str, *, trusted: int = 0) -> Path | None:
    """Turn an open segment, locked by the caller, into a sealed one; None when it had no complete batch.

    Its first `trusted` bytes are known to be sound. Raises OSError when there is no room; the open segment is then as
    it was.
    """
    path = directory / name.open
    found = growing.scan_own(path, trusted=trusted)
    if not found.batches or any(directory.glob(f"{name}-*.arrow")):
        path.unlink()
        return None
    sealed = directory / f"{name}-{found.rows}.arrow"
    rows = pa.Table.from_batches(found.batches, found.schema)
    write_sidecar(sealed, sidecar_of(rows.select([RECORD_ID, time]), time))
    footer = None if growing.scattered(found.places) else growing.footer(found)
    try:
        if footer is None:
            _write_anew(sealed, rows)
        else:
            _append_footer(path, found.end, footer)
    except OSError:
        sealed.with_name(sealed.name + ".ids").unlink(missing_ok=True)
        raise
    if footer is not None:
        path.rename(sealed)
        sync_directory(directory)
    else:
        sync_directory(directory)
        path.unlink()  # last: until then, and after a crash before, the sealed one goes before it
    return sealed


def _append_footer(path: Path, end: int, footer: bytes) -> None:
    """Complete the file in its place; readers of an open segment take the footer for a torn tail."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, end)
        try:
            write_at(descriptor, [footer], end)
            os.fsync(descriptor)
            if hasattr(os, "posix_fadvise"):  # not on macOS
                # Whoever writes ever more gets ever new memory from the system otherwise, which costs the most of all.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)


def _write_anew(path: Path, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    write_durably(path, sink.getvalue())


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
