"""Log: the segments and parts of one directory, as one append-only table. A Stream has two: Records and Labels."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from keepfit.core.errors import StorageFault
from keepfit.core.nouns import RECORD_ID
from keepfit.store import growing, segments
from keepfit.store.compaction import SEGMENT, Manifest, conformed, read_manifest, unified
from keepfit.store.segments import Hashes, Name, Sidecar

Rows = NDArray[np.int64]
Origins = tuple[list[str], Rows]
"""Names of segments, and for each row which of them."""
T = TypeVar("T")
_ATTEMPTS = 100  # a file taken away by a compaction is looked up anew; a hundred times over means something else


@dataclass(eq=False)
class Sealed:
    """A file that does not change any more: a sealed segment, or a part."""

    path: Path
    rows: int
    time: str

    @property
    def first(self) -> int:
        """The earliest time in it, µs since 1970."""
        return self.sidecar.first

    @property
    def last(self) -> int:
        """The latest time in it, µs since 1970."""
        return self.sidecar.last

    @property
    def part(self) -> bool:
        """Whether it holds the rows of several segments."""
        return self.path.suffix == ".parquet"

    @cached_property
    def sidecar(self) -> Sidecar:
        """Read from beside the file, or made again in memory where that is missing or damaged."""
        kept = segments.read_sidecar(self.path, self.rows)
        return kept or segments.sidecar_of(self.table([RECORD_ID, self.time]), self.time)

    @cached_property
    def schema(self) -> pa.Schema:
        """Its columns; a part's own column is not among them."""
        with self._sound():
            if self.part:
                schema = pq.read_schema(self.path).remove_metadata()
                return schema.remove(schema.get_field_index(SEGMENT))
            with pa.memory_map(str(self.path)) as file:
                return pa.ipc.open_file(file).schema.remove_metadata()

    def table(self, columns: Sequence[str], at: Rows | None = None) -> pa.Table:
        """Those of the columns it has, of all rows or of those at the given, growing places."""
        with self._sound():
            if self.part:
                return self._table_of_part(columns, at)
            with pa.memory_map(str(self.path)) as file:
                rows = pa.ipc.open_file(file).read_all()
            return _taken(rows.select([name for name in columns if name in rows.column_names]), at)

    def _table_of_part(self, columns: Sequence[str], at: Rows | None) -> pa.Table:
        with pq.ParquetFile(self.path) as file:
            if at is None:
                return file.read(columns=list(columns))
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            borders = np.cumsum([0, *sizes])
            group = np.searchsorted(borders, at, side="right") - 1
            held = np.unique(group)
            skipped = (
                borders[:-1] - np.cumsum([0, *np.array(sizes)[held]])[np.searchsorted(held, np.arange(len(sizes)))]
            )
            return _taken(file.read_row_groups(held.tolist(), columns=list(columns)), at - skipped[group])

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise StorageFault(
                f"{self.path}: cannot be read ({error}); restore it from a copy, or move it away to go on without its "
                f"{self.rows} rows",
                code="corrupt",
            ) from error

    def origins(self) -> Origins:
        """For each row the segment it was written to."""
        if not self.part:
            return [str(Name.of(self.path.name))], np.zeros(self.rows, np.int64)
        encoded = pc.dictionary_encode(one(self.table([SEGMENT])[SEGMENT]))
        return encoded.dictionary.to_pylist(), np.asarray(encoded.indices, np.int64)

    @property
    def hashes(self) -> list[Hashes]:
        """The hashes of its ids, in one piece."""
        return [self.sidecar.hashes]

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """For each hash whether an id of that hash is in it."""
        return self.sidecar.contains(hashes)


@dataclass(eq=False)
class Growing:
    """An open segment, as far as it was read; reads on from there."""

    path: Path
    time: str
    rows: int = 0
    first: int = np.iinfo(np.int64).max
    last: int = np.iinfo(np.int64).min
    schema: pa.Schema | None = None
    part: bool = False
    hashes: list[Hashes] = field(default_factory=list)
    _end: int = 0
    _known: set[int] = field(default_factory=set)

    def read_on(self) -> None:
        """Take in the batches that were completed since the last time."""
        if not self.rows:  # the name of a segment that was given up empty may be used again
            self.schema, self._end = None, 0
        if self.path.stat().st_size <= self._end:
            return
        found = growing.scan(self.path, start=self._end, schema=self.schema)
        self.schema, self._end = found.schema, found.end
        if not found.batches:
            return
        rows = pa.Table.from_batches(found.batches).select([RECORD_ID, self.time])
        sidecar = segments.sidecar_of(rows, self.time)
        self.rows += rows.num_rows
        self.first, self.last = min(self.first, sidecar.first), max(self.last, sidecar.last)
        self._known.update(sidecar.hashes.tolist())
        self.hashes.append(sidecar.hashes)

    def table(self, columns: Sequence[str], at: Rows | None = None) -> pa.Table:
        """Those of the columns it has, of the rows taken in or of those at the given, growing places."""
        found = growing.scan(self.path)
        rows = pa.Table.from_batches(found.batches, found.schema).slice(0, self.rows)
        return _taken(rows.select([name for name in columns if name in rows.column_names]), at)

    def origins(self) -> Origins:
        """For each row the segment it was written to."""
        return [str(Name.of(self.path.name))], np.zeros(self.rows, np.int64)

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """For each hash whether an id of that hash is in it."""
        return np.fromiter((one in self._known for one in hashes.tolist()), np.bool_, len(hashes))


Piece = Sealed | Growing


def _taken(rows: pa.Table, at: Rows | None) -> pa.Table:
    return rows if at is None or len(at) == rows.num_rows else rows.take(pa.array(at))


class Log:
    """Reads a directory of segments while others append, seal and compact; threads may share it."""

    def __init__(self, directory: Path, time: str) -> None:
        self.directory = directory
        self._time = time
        self._pieces: dict[str, Piece] = {}
        self._turn = threading.Lock()

    def consistently(self, look: Callable[[list[Piece]], T]) -> T:
        """What `look` makes of the pieces there are now; begun anew when a piece is taken away under its hands."""
        with self._turn:
            for _ in range(_ATTEMPTS):
                try:
                    return look(self._refresh())
                except FileNotFoundError:
                    continue
        raise StorageFault(f"{self.directory}: files are being removed by something other than keepfit")

    def _refresh(self) -> list[Piece]:
        """Every row's piece, exactly one each, in order of age."""
        pieces: dict[str, Piece] = {}
        manifest, files = self._listing()
        for part in manifest.parts:
            pieces[part.file] = self._pieces.get(part.file) or Sealed(self.directory / part.file, part.rows, self._time)
        for file in files:
            pieces[file] = self._pieces.get(file) or self._piece(file)
        for piece in pieces.values():
            if isinstance(piece, Growing):
                piece.read_on()
        self._pieces = pieces
        return [piece for piece in pieces.values() if piece.rows]

    def _piece(self, file: str) -> Piece:
        rows = segments.rows_of(file)
        path = self.directory / file
        return Growing(path, self._time) if rows is None else Sealed(path, rows, self._time)

    def _listing(self) -> tuple[Manifest, list[str]]:
        """The manifest and the segments beside it, at one moment.

        A directory is not listed in one moment: a segment that is sealed meanwhile may be missed under both of its
        names. Two equal listings between two equal manifests cannot have missed one.
        """
        while True:
            manifest, files = read_manifest(self.directory), self._files()
            if files == self._files() and manifest == read_manifest(self.directory):
                break
        there: dict[Name, str] = {}
        for file in sorted(files - set(manifest.replaced)):  # ".arrow" sorts before ".open" but a sealed one wins
            name = Name.of(file)
            if name and (name not in there or segments.rows_of(file) is not None):
                there[name] = file
        gone = {Name.of(file) for file in manifest.replaced}
        return manifest, [there[name] for name in sorted(there) if name not in gone]

    def _files(self) -> set[str]:
        try:
            return {entry.name for entry in os.scandir(self.directory) if Name.of(entry.name)}
        except FileNotFoundError:
            return set()


class Distinct:
    """How many different ids a Log has, counted as it grows."""

    def __init__(self) -> None:
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._taken: dict[str, int] = {}

    def count(self, pieces: Sequence[Piece]) -> int:
        """Different ids of all pieces; only what is new since the last time costs anything."""
        taken = {piece.path.name: len(piece.hashes) for piece in pieces}
        for piece in pieces:
            for hashes in piece.hashes[self._taken.get(piece.path.name, 0) :]:
                self._add(hashes)
        self._taken = taken
        return len(self._hashes)

    def _add(self, hashes: Hashes) -> None:
        new = np.unique(hashes[~segments.among(hashes, self._hashes)])
        if len(new):  # two sorted runs, which the stable sort merges in one pass
            self._hashes = np.sort(np.concatenate([self._hashes, new]), kind="stable")


def stacked(pieces: Sequence[Piece], columns: Sequence[str], *, schema: pa.Schema) -> pa.Table:
    """These columns of the pieces' rows, one piece after the other; what a piece lacks is null.

    Types are the pieces' own where they have any, else those of `schema`.
    """
    if pieces:
        found = unified([piece.schema for piece in pieces if piece.schema])
        schema = pa.schema([found.field(name) if name in found.names else schema.field(name) for name in columns])
    else:
        schema = pa.schema([schema.field(name) for name in columns])
    tables = [conformed(piece.table(columns), schema) for piece in pieces]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def arrival(pieces: Sequence[Piece]) -> Rows:
    """For each row of the pieces, one after the other, its place in the order in which rows were appended.

    Rows of different writers have no such order; theirs is then that of the segments' names, before and after
    compaction alike.
    """
    origins = [piece.origins() for piece in pieces]
    names = {name for known, _ in origins for name in known}
    rank = {name: place for place, name in enumerate(sorted(names, key=_age))}
    segment = np.concatenate([np.array([rank[name] for name in known])[codes] for known, codes in origins])
    place = np.empty(len(segment), np.int64)
    place[np.argsort(segment, kind="stable")] = np.arange(len(segment))
    return place


def one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _age(name: str) -> tuple[int, str]:
    writer, _, number = name.rpartition("-")
    return int(number), writer
