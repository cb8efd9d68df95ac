"""Compaction: many sealed segments become a few Parquet parts; every reader sees each row exactly once throughout.

`compacted.json` is the one word on it: the parts in use, and the sealed segments they stand for. It is renamed into
place after the new part is on the disk and before the segments are removed; so a crash leaves files nobody reads (a
part not yet named, segments already replaced), which the next compaction clears away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.errors import StorageFault
from keepfit.store import segments
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
        file = f"part-{made:08d}.parquet"
        rows = _write_part(directory / file, [directory / source for source in sources], time)
        parts.append(Part(file, rows))
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


def _write_part(path: Path, sources: Sequence[Path], time: str) -> int:
    partial = path.with_name(path.name + ".partial")
    try:
        sidecar = _write_rows(partial, sources, time)
        segments.write_sidecar(path, sidecar)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)
    return len(sidecar.hashes)


def _write_rows(path: Path, sources: Sequence[Path], time: str) -> Sidecar:
    schema = unified([_schema(source) for source in sources])
    sidecars = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in _groups(sources, schema):
            sidecars.append(segments.sidecar_of(table, time))
            writer.write_table(table, row_group_size=table.num_rows)
    with path.open("rb") as written:
        os.fsync(written.fileno())
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


def _groups(sources: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """The sources' rows in one schema, gathered into row groups of a good size."""
    gathered: list[pa.Table] = []
    for source in sources:
        for table in _tables(source):
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
