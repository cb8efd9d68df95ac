"""Writers: append Records and Labels to a Stream. One writer object per file; readers need no word from it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import LABEL, LABEL_TIME, RECORD_ID, RECORD_TIME
from keepfit.store import segments
from keepfit.store.compaction import read_manifest
from keepfit.store.disk import fault, lock, still, sync_directory, write_at
from keepfit.store.growing import Frames
from keepfit.store.segments import TIME, Name

RECORDS, LABELS = "segments", "labels"


class Appender:
    """Appends batches to open segments of one directory and seals them as they grow; threads may share it."""

    def __init__(self, directory: Path, writer: str, *, time: str, rotate_rows: int, durable: bool) -> None:
        self._directory = directory
        self._writer = writer
        self._time = time
        self._rotate_rows = rotate_rows
        self._durable = durable
        self._turn = threading.Lock()
        self._frames = Frames()
        self._name: Name | None = None
        self._descriptor = -1
        self._schema: pa.Schema | None = None
        self._rows = self._size = self._began = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            segments.recover(directory, time)
        except OSError as error:
            raise fault(directory, error) from error

    def append(self, batch: pa.RecordBatch) -> None:
        """Hand a batch to the operating system (and to the disk, when durable); StorageFault leaves no trace of it."""
        with self._turn:
            if not batch.num_rows:
                return
            if self._name is not None and not batch.schema.equals(self._schema):
                self._seal()
            try:
                if self._name is None:
                    self._open(batch.schema)
                self._write(self._frames.of(batch))
            except OSError as error:
                self._seal()  # a reader may have seen what was cut off, and must not read on behind it
                raise fault(self._directory, error) from error
            self._rows += batch.num_rows
            if self._rows >= self._rotate_rows or self._is_awaited():
                self._seal()

    def _is_awaited(self) -> bool:
        """Whether somebody waits for what is open to be sealed, to erase some of it."""
        try:
            return (self._directory / segments.SEAL).stat().st_mtime_ns >= self._began
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Seal what is open; the writer may still be used afterwards."""
        with self._turn:
            self._seal()

    def _open(self, schema: pa.Schema) -> None:
        while True:
            name = self._next()
            path = self._directory / name.open
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                continue
            if lock(descriptor) and still(path, descriptor):
                break
            os.close(descriptor)  # a recovery that ran just now took it for a dead writer's and removed it
        self._name, self._descriptor, self._schema = name, descriptor, schema
        self._rows = self._size = 0
        self._began = path.stat().st_mtime_ns  # by the clock of the file system, as the asking is
        try:
            self._write(self._frames.opening(schema))
            if self._durable:
                sync_directory(self._directory)
        except OSError:
            self._drop()
            path.unlink(missing_ok=True)
            raise

    def _next(self) -> Name:
        # First the files, then the manifest: a segment which a compaction takes away in between is in the latter.
        names = [Name.of(entry.name) for entry in os.scandir(self._directory)]
        floor = read_manifest(self._directory).floor
        return Name(max([floor, *(name.number for name in names if name)]) + 1, self._writer)

    def _write(self, pieces: Sequence[Any]) -> None:
        try:
            end = write_at(self._descriptor, pieces, self._size)
            if self._durable:
                getattr(os, "fdatasync", os.fsync)(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size = end

    def _seal(self) -> None:
        if self._name is None:
            return
        with suppress(OSError):  # no room: the open segment stays, as readable as before; a later start seals it
            segments.seal(self._directory, self._name, self._time, trusted=self._size)
        self._drop()

    def _drop(self) -> None:
        os.close(self._descriptor)
        self._name, self._descriptor, self._schema = None, -1, None


class SegmentWriter:
    """Appends Records: `writer` names it among the writers of this Stream, `root` is the Stream's directory.

    A batch has `_id` (string) and `_time` and any other columns; another schema than before begins a new segment.
    """

    def __init__(self, root: Path, writer: str, *, rotate_rows: int = 50_000, durable: bool = False) -> None:
        self._appender = Appender(
            root / RECORDS, _sober(writer), time=RECORD_TIME, rotate_rows=rotate_rows, durable=durable
        )

    def append(self, batch: pa.RecordBatch) -> None:
        """Hand Records to the operating system (to the disk, when durable): they outlive this process.

        StorageFault: none of them was kept.
        """
        self._appender.append(_plain(batch))

    def close(self) -> None:
        """Seal what is open."""
        self._appender.close()


class LabelWriter:
    """Appends Labels, on the disk before `append` returns."""

    def __init__(self, root: Path, writer: str, *, rotate_rows: int = 50_000) -> None:
        self._appender = Appender(root / LABELS, _sober(writer), time=LABEL_TIME, rotate_rows=rotate_rows, durable=True)

    def append(self, ids: Sequence[str], labels: Sequence[str | int | float | bool], time: datetime) -> None:
        """Keep labels received at `time`, all or (StorageFault) none; the last one of an id and a time counts."""
        try:
            columns = [pa.array(ids, pa.string()), pa.array(labels), pa.array([time] * len(ids), TIME)]
            batch = pa.record_batch(columns, names=[RECORD_ID, LABEL, LABEL_TIME])
        except (ValueError, TypeError) as error:  # pyarrow's own are among them
            raise DataInvalid(f"labels: expected one id and one value of one type each: {error}") from error
        self._appender.append(_complete(batch))

    def close(self) -> None:
        """Seal what is open."""
        self._appender.close()


def _sober(writer: str) -> str:
    if not writer or not all(char.isalnum() or char in "._-" for char in writer) or writer.startswith("."):
        raise DataInvalid(f"writer {writer!r}: expected letters, digits, '.', '_' and '-', not beginning with '.'")
    return writer


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch in the form segments have: times in microseconds UTC, no dictionaries, metadata of fields only."""
    for name in (RECORD_ID, RECORD_TIME):
        if name not in batch.schema.names:
            raise DataInvalid(f"records: column {name!r} is missing; found {batch.schema.names}")
    columns = {}
    for field in batch.schema:
        column = batch.column(field.name)
        if pa.types.is_dictionary(field.type):
            column = column.dictionary_decode()
        columns[field.name] = column
    columns[RECORD_ID] = columns[RECORD_ID].cast(pa.string())
    columns[RECORD_TIME] = columns[RECORD_TIME].cast(TIME)
    fields = [pa.field(field.name, columns[field.name].type, metadata=field.metadata) for field in batch.schema]
    return _complete(pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields)))


def _complete(batch: pa.RecordBatch) -> pa.RecordBatch:
    for name in (RECORD_ID, RECORD_TIME, LABEL, LABEL_TIME):
        if name in batch.schema.names and batch.column(name).null_count:
            raise DataInvalid(
                f"column {name!r}: every row needs a value, found {batch.column(name).null_count} without"
            )
    return batch
