"""Compaction: many sealed segments become a few Parquet parts; every reader sees each row exactly once throughout.

`compacted.json` is the one word on it: the parts in use, and the sealed segments they stand for. It is renamed into
place after the new part is on the disk and before the segments are removed; so a crash leaves files nobody reads (a
part not yet named, segments already replaced), which the next compaction clears away. Records are erased in the same
way: what holds them is written anew without them, and the manifest puts the new in the place of the old.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.core.errors import StorageFault, Unavailable
from keepfit.core.nouns import RECORD_ID
from keepfit.store import growing, segments
from keepfit.store.disk import fault, lock, sync_directory, write_durably
from keepfit.store.segments import Name, Sidecar

SEGMENT = "_segment"
"""A part's own column: which segment a row came from, because that orders rows of the same id and time."""

_MANIFEST = "compacted.json"
_ROW_GROUP = 50_000
_SMALL, _FULL = 250_000, 500_000  # rows: smaller parts are merged again, to stay few; fuller ones are not begun


@dataclass(frozen=True)
class Part:
    """A Parquet file in use, and its rows."""

    file: str
    rows: int


@dataclass(frozen=True)
class Manifest:
    """What a directory's parts are and which sealed segments they replaced; `floor` is the newest segment in any."""

    parts: tuple[Part, ...] = ()
    replaced: tuple[str, ...] = ()
    floor: int = 0
    made: int = 0


def read_manifest(directory: Path) -> Manifest:
    """The manifest, an empty one before the first compaction; StorageFault (`corrupt`) where it cannot be read."""
    try:
        data = (directory / _MANIFEST).read_bytes()
    except FileNotFoundError:
        return Manifest()
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise StorageFault(f"{directory / _MANIFEST}: cannot be read: {error}", code="corrupt") from error


def compact(directory: Path, time: str) -> int:
    """Move sealed segments into a Parquet part; how many. 0 too when another process is at it.

    Raises StorageFault when there is no room; everything is then as it was.
    """
    if not directory.is_dir():
        return 0
    descriptor = os.open(directory / "compact.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not lock(descriptor):
            return 0
        segments.recover(directory, time)
        manifest = _clear(directory, read_manifest(directory))
        sealed = _sealed(directory)
        if sealed:
            _clear(directory, _merge(directory, manifest, sealed, time))
        return len(sealed)
    except OSError as error:
        raise fault(directory, error) from error
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Erased:
    """How many rows are gone, and how many are `left` in segments that are still being written."""

    rows: int = 0
    left: int = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(self.rows + other.rows, self.left + other.left)


def erase(directory: Path, time: str, ids: Collection[str]) -> Erased:
    """Write every sealed file that holds rows of these ids anew without them; until then all of them are read.

    Writers are asked to seal what they write (at their next append), so that the next call finds it. Raises Unavailable
    while another process compacts, StorageFault when there is no room; everything is then as it was.
    """
    if not directory.is_dir() or not ids:
        return Erased()
    descriptor = os.open(directory / "compact.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not lock(descriptor):
            raise Unavailable(f"{directory} is being compacted; ask again")
        segments.recover(directory, time)
        manifest, theirs = _clear(directory, read_manifest(directory)), pa.array(sorted(ids), pa.string())
        holding = [part for part in _files(directory, manifest) if _may_hold(directory, part, theirs)]
        rows = _replaced(directory, manifest, holding, time=time, ids=theirs) if holding else 0
        left = sum(_count(path, theirs) for path in directory.glob("*.open"))
        if left:
            (directory / segments.SEAL).touch()
        return Erased(rows, left)
    except OSError as error:
        raise fault(directory, error) from error
    finally:
        os.close(descriptor)


def _files(directory: Path, manifest: Manifest) -> list[Part]:
    """The parts in use and the sealed segments."""
    return [*manifest.parts, *(Part(file, segments.rows_of(file) or 0) for file in _sealed(directory))]


def _may_hold(directory: Path, part: Part, ids: pa.Array) -> bool:
    sidecar = segments.read_sidecar(directory / part.file, part.rows)
    return sidecar is None or bool(sidecar.contains(segments.hash_ids(ids)).any())


def _count(path: Path, ids: pa.Array) -> int:
    """The rows of these ids in an open segment; none where it is sealed just now."""
    try:
        batches = growing.scan(path).batches
    except FileNotFoundError:
        return 0
    return sum(int(pc.sum(pc.is_in(batch[RECORD_ID], value_set=ids)).as_py() or 0) for batch in batches)


def _replaced(directory: Path, manifest: Manifest, holding: Sequence[Part], *, time: str, ids: pa.Array) -> int:
    """Put new parts without these ids in the place of the files that hold some; how many rows are gone."""
    made, parts, gone = manifest.made, list(manifest.parts), 0
    sealed = [part for part in holding if part not in parts]
    for old in holding:
        made += 1
        new = Part(f"part-{made:08d}.parquet", _write_part(directory, made, [old.file], time=time, without=ids))
        gone += old.rows - new.rows
        at = parts.index(old) if old in parts else len(parts)
        parts[at : at + 1] = [new] if new.rows else []
    floor = max([manifest.floor, *(name.number for part in sealed if (name := Name.of(part.file)))])
    known = Manifest(tuple(parts), tuple(part.file for part in sealed), floor, made)
    _clear(directory, _write_manifest(directory, known))
    return gone


def _sealed(directory: Path) -> list[str]:
    found = [(Name.of(path.name), path.name) for path in directory.glob("*.arrow")]
    named = sorted((name, file) for name, file in found if name)
    # A writer halted between sealing a segment and removing the open one: to be left until it has done so.
    return [file for name, file in named if not (directory / name.open).exists()]


def _clear(directory: Path, manifest: Manifest) -> Manifest:
    """Remove what a finished or an interrupted compaction left behind."""
    used = {part.file for part in manifest.parts}
    doomed = [directory / file for file in manifest.replaced]
    doomed += [path for path in directory.glob("part-*.parquet*") if path.name.removesuffix(".ids") not in used]
    for path in doomed:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".ids").unlink(missing_ok=True)
    if not manifest.replaced:
        return manifest
    sync_directory(directory)  # the names must be gone for good before the manifest forgets them
    return _write_manifest(directory, replace(manifest, replaced=()))


def _write_manifest(directory: Path, manifest: Manifest) -> Manifest:
    write_durably(directory / _MANIFEST, msgspec.json.encode(manifest))
    sync_directory(directory)
    return manifest


def _merge(directory: Path, manifest: Manifest, sealed: Sequence[str], time: str) -> Manifest:
    """Write the new parts and make them count; the replaced files are still there."""
    small = [part for part in manifest.parts if part.rows < _SMALL]
    made, parts = manifest.made, [part for part in manifest.parts if part not in small]
    for sources in _shares([*small, *(Part(file, segments.rows_of(file) or 0) for file in sealed)]):
        made += 1
        parts.append(Part(f"part-{made:08d}.parquet", _write_part(directory, made, sources, time=time)))
    floor = max([manifest.floor, *(name.number for name in map(Name.of, sealed) if name)])
    return _write_manifest(directory, Manifest(tuple(parts), tuple(sealed), floor, made))


def _shares(sources: Sequence[Part]) -> Iterator[list[str]]:
    """Which files go into one part, in order."""
    share: list[str] = []
    rows = 0
    for source in sources:
        share.append(source.file)
        rows += source.rows
        if rows >= _FULL:
            yield share
            share, rows = [], 0
    if share:
        yield share


def _write_part(
    directory: Path, number: int, files: Sequence[str], *, time: str, without: pa.Array | None = None
) -> int:
    """Write the rows of some files, but for some ids, as one part; how many they are. Of none no part is made."""
    path = directory / f"part-{number:08d}.parquet"
    sources, partial = [directory / file for file in files], path.with_name(path.name + ".partial")
    try:
        sidecar = _write_rows(partial, sources, time, without)
        if sidecar is None:
            return 0
        segments.write_sidecar(path, sidecar)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)
    return len(sidecar.hashes)


def _write_rows(path: Path, sources: Sequence[Path], time: str, without: pa.Array | None) -> Sidecar | None:
    schema = unified([_schema(source) for source in sources])
    sidecars = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in _groups(sources, schema, without):
            sidecars.append(segments.sidecar_of(table, time))
            writer.write_table(table, row_group_size=table.num_rows)
    with path.open("rb") as written:
        os.fsync(written.fileno())
    if not sidecars:
        return None
    return Sidecar(
        min(sidecar.first for sidecar in sidecars),
        max(sidecar.last for sidecar in sidecars),
        np.sort(np.concatenate([sidecar.hashes for sidecar in sidecars])),
    )


def _schema(source: Path) -> pa.Schema:
    if source.suffix == ".parquet":
        return pq.read_schema(source)
    with pa.memory_map(str(source)) as file:
        return pa.ipc.open_file(file).schema.append(pa.field(SEGMENT, pa.string()))


def _groups(sources: Sequence[Path], schema: pa.Schema, without: pa.Array | None) -> Iterator[pa.Table]:
    """The sources' rows in one schema, gathered into row groups of a good size."""
    gathered: list[pa.Table] = []
    for source in sources:
        for table in _tables(source):
            if without is not None:
                table = table.filter(pc.invert(pc.is_in(table[RECORD_ID], value_set=without)))
            if not table.num_rows:
                continue
            gathered.append(conformed(table, schema))
            if sum(table.num_rows for table in gathered) >= _ROW_GROUP:
                yield pa.concat_tables(gathered)
                gathered = []
    if gathered:
        yield pa.concat_tables(gathered)


def _tables(source: Path) -> Iterator[pa.Table]:
    if source.suffix == ".parquet":
        with pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)
        return
    with pa.memory_map(str(source)) as file:
        table = pa.ipc.open_file(file).read_all()
        name = pa.array([str(Name.of(source.name))]).take(pa.array(np.zeros(table.num_rows, np.int32)))
        yield table.append_column(SEGMENT, name)


# --- schemas that changed in the course of time ---------------------------------------------------------------------


def unified(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema for all: a column has the widest of its types, and text where its types have nothing in common."""
    first = schemas[0].remove_metadata()
    if all(schema.equals(first) for schema in schemas[1:]):
        return first
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            types[field.name] = _wider(types.get(field.name, field.type), field.type)
    return pa.schema(list(types.items()))


def _wider(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    if a == b:
        return a
    try:
        both = [pa.schema([pa.field("x", a)]), pa.schema([pa.field("x", b)])]
        return pa.unify_schemas(both, promote_options="permissive").field("x").type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.string()


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table in a wider schema; columns it lacks are null."""
    if table.schema.equals(schema):
        return table.replace_schema_metadata(None)
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
