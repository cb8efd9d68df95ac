"""Scan: tables batch by batch, in constant memory, whatever they are stored in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from keepfit.core.errors import DataInvalid
from keepfit.data import columnar, jsonlines
from keepfit.data.databases import is_database, query_batches
from keepfit.data.delimited import parse, typed
from keepfit.data.skips import TOLD, Skips
from keepfit.data.sources import SUFFIXES, File, files, total
from keepfit.data.streamed import Streamed
from keepfit.data.tfrecord import is_tfrecord, scan_tfrecord

BATCH = 1 << 17
"""Rows in a batch: enough for speed, small enough for the processor's caches."""

_WHOLE = 32 << 20  # text of so many bytes is read at once; more is read twice, once for its types
_JSON = frozenset({".jsonl", ".ndjson", ".json"})
_COLUMNAR = frozenset({".parquet", ".arrow", ".feather", ".ipc"})
_RECORDS = frozenset({".tfrecord", ".tfrecords"})

Batches = Callable[[], Iterator[pa.RecordBatch]]
Passed = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class Scan:
    """Batches of rows with one schema; `rows` says how many will come, where that is known.

    `parts` are Scans that give the same batches one after the other, file by file, and that may be sent to another
    process; a Scan of one file, or of no file, is its own part. `repeats` says whether it can be read again. `skipped`
    counts the broken rows left out by the last pass, `reasons` tells of the first of them.
    """

    def __init__(
        self,
        schema: pa.Schema,
        batches: Batches,
        *,
        rows: int | None = None,
        skips: Skips | None = None,
        parts: Sequence[Scan] = (),
        repeats: bool = True,
    ) -> None:
        self.schema = schema
        self.rows = rows
        self.repeats = repeats
        self._batches = batches
        self._skips = skips or Skips()
        self._parts = tuple(parts)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches()

    @property
    def parts(self) -> tuple[Scan, ...]:
        """What it consists of, in order."""
        return self._parts or (self,)

    @property
    def skipped(self) -> int:
        """How many broken rows were left out."""
        return self._skips.count + sum(part.skipped for part in self._parts)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the first of them were."""
        return (*self._skips.reasons, *(reason for part in self._parts for reason in part.reasons))[:TOLD]

    def skip(self, count: int, reasons: Sequence[str]) -> None:
        """Count the broken rows that somebody else has left out of a part."""
        self._skips.count += count
        self._skips.reasons += reasons[: TOLD - len(self._skips.reasons)]

    def through(self, passed: Passed, schema: pa.Schema | None = None) -> Scan:
        """The same batches, part by part, passed through a function that may look at them, or change their schema."""
        schema = self.schema if schema is None else schema
        if self._parts:
            return _chained([part.through(passed, schema) for part in self._parts], schema, self._skips)
        found = partial(_passed, passed, self._batches)
        return Scan(schema, found, rows=self.rows, skips=self._skips, repeats=self.repeats)

    def table(self) -> pa.Table:
        """All rows at once."""
        tables = [pa.Table.from_batches([batch]) for batch in self]
        return pa.concat_tables(tables, promote_options="permissive") if tables else self.schema.empty_table()


def _passed(passed: Passed, batches: Batches) -> Iterator[pa.RecordBatch]:
    return passed(batches())


def _chained(parts: Sequence[Scan], schema: pa.Schema, skips: Skips | None = None) -> Scan:
    """Parts of one schema, one after the other."""
    known = [part.rows for part in parts if part.rows is not None]
    rows = sum(known) if len(known) == len(parts) else None
    return Scan(schema, lambda: chain.from_iterable(parts), rows=rows, skips=skips, parts=parts)


@dataclass(frozen=True)
class _Asked:
    """How to read: broken rows, and whether texts that repeat may stay encoded."""

    skips: Skips
    encoded: bool

    def anew(self) -> _Asked:
        """The same of another file."""
        return _Asked(Skips(allowed=self.skips.allowed), self.encoded)


def scan(
    source: Any,
    *,
    columns: Sequence[str] | None = None,
    skip_broken: bool = False,
    spans: tuple[str, str] | None = None,
    query: str = "",
    encoded: bool = False,
) -> Scan:
    """Whatever `read` reads, batch by batch; larger than memory is fine.

    `skip_broken` leaves broken rows out and counts them, `spans` chooses from a pattern, `query` is the SQL to ask a
    database URL, `encoded` may give texts as dictionaries, which is quicker.
    """
    asked = _Asked(Skips(allowed=skip_broken), encoded)
    if query or is_database(source):
        found = Scan(*query_batches(str(source), query))
    elif isinstance(source, str | Path):
        found = _scan_files(files(source, spans=spans), asked)
    else:
        found = _scan_object(source)
    _require_once(found.schema, source)
    return found if columns is None else _selected(found, columns, source)


def shown(source: Any) -> str:
    """What a source is called in messages."""
    return str(source) if isinstance(source, str | Path) else f"the {type(source).__name__}"


def _require_once(schema: pa.Schema, source: Any) -> None:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise DataInvalid(f"{shown(source)}: the columns {twice} appear more than once; rename them")


def _selected(found: Scan, columns: Sequence[str], source: Any) -> Scan:
    absent = [name for name in columns if name not in found.schema.names]
    if absent:
        raise DataInvalid(f"{shown(source)}: has no columns {absent}; it has {found.schema.names}")
    kept = list(columns)
    schema = pa.schema([found.schema.field(name) for name in kept])
    return found.through(partial(_of_columns, kept), schema)


def _of_columns(names: list[str], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return (batch.select(names) for batch in batches)


def _scan_object(source: Any) -> Scan:
    if isinstance(source, Scan):
        return source
    if isinstance(source, pa.Table):
        return _without_views(Scan(source.schema, lambda: iter(source.to_batches()), rows=source.num_rows))
    if hasattr(source, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(source)
        return _without_views(Scan(reader.schema, lambda: iter(reader), repeats=False))
    raise DataInvalid(
        f"cannot read a {type(source).__name__}; expected a path, a glob, a pyarrow Table or any object with "
        "__arrow_c_stream__ (pandas, polars, DuckDB, ...)"
    )


def _without_views(found: Scan) -> Scan:
    """Texts as polars has them in the form that Arrow can compute on."""
    fields = [field.with_type(_plain(field.type)) for field in found.schema]
    schema = pa.schema(fields, found.schema.metadata)
    if schema == found.schema:
        return found

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in found:
            columns = [_cast(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return Scan(schema, batches, rows=found.rows, repeats=found.repeats)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return column if column.type == kind else column.cast(kind)
    values = column.dictionary.cast(kind.value_type)  # Arrow casts no dictionary of views as a whole
    return pa.DictionaryArray.from_arrays(column.indices, values, ordered=kind.ordered)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _plain(kind.value_type), kind.ordered)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = kind.value_field.with_type(_plain(kind.value_type))
        return pa.list_(inner) if pa.types.is_list(kind) else pa.large_list(inner)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(kind) else kind


def _scan_files(found: Sequence[File], asked: _Asked) -> Scan:
    heads = [_head(file) for file in found]
    forms = [_form(file, head) for file, head in zip(found, heads, strict=True)]
    texts = [file for file, form in zip(found, forms, strict=True) if form == "delimited"]
    if len(texts) == len(found):
        return _scan_texts(texts, asked)  # together, so that a column has one type over all files
    parts = [_part(file, head, form, asked.anew()) for file, head, form in zip(found, heads, forms, strict=True)]
    return parts[0] if len(parts) == 1 else _together(parts, found)


def _head(file: File) -> bytes:
    try:
        with file.open() as opened:
            return opened.read(16)
    except OSError as error:
        raise DataInvalid(f"{file}: cannot be read: {error}") from error


def _form(file: File, head: bytes) -> str:
    if head[:4] in (columnar.PARQUET, columnar.STREAM) or head[:6] == columnar.ARROW:
        return "columnar"
    if file.suffixes & _COLUMNAR:
        raise DataInvalid(f"{file}: is not what its name says; a Parquet or Arrow file begins otherwise")
    if file.suffixes & _RECORDS or is_tfrecord(file):
        return "tfrecord"
    if file.suffixes & _JSON or head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return "jsonlines"
    return "delimited"


def _part(file: File, head: bytes, form: str, asked: _Asked) -> Scan:
    match form:
        case "columnar":
            schema = columnar.schema_of(file, head)
            found = partial(columnar.batches, file, head, None, rows=BATCH, encoded=asked.encoded)
            return Scan(schema, found, rows=columnar.count(file, head), skips=asked.skips)
        case "tfrecord":
            return Scan(*scan_tfrecord(file, asked.skips), skips=asked.skips)
        case "jsonlines":
            return Scan(*jsonlines.scan(file, asked.skips), skips=asked.skips)
        case _:
            return _scan_texts([file], asked)


def _scan_texts(found: Sequence[File], asked: _Asked) -> Scan:
    if total(found) > _WHOLE:
        streamed = Streamed(found, asked.skips.allowed)
        parts = []
        for place in range(len(found)):
            skips = asked.anew().skips
            parts.append(Scan(streamed.schema, partial(streamed.batches, place, skips), skips=skips))
        return parts[0] if len(parts) == 1 else _chained(parts, streamed.schema)
    asked.skips.clear()
    try:
        sheets = [parse(file.unpacked().read(), str(file), asked.skips) for file in found]
    except (pa.ArrowException, OSError, EOFError) as error:
        raise DataInvalid(f"{found[0]}: cannot be read: {error}") from error
    table = typed(sheets, asked.skips)
    return Scan(table.schema, partial(_of_table, table), rows=table.num_rows, skips=asked.skips)


def _of_table(table: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches())


def _together(parts: Sequence[Scan], found: Sequence[File]) -> Scan:
    """Several files as one table: columns by name, types wide enough for all."""
    try:
        schema = pa.unify_schemas([part.schema.remove_metadata() for part in parts], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        names = f"{found[0]} .. {found[-1]}"
        raise DataInvalid(f"{names}: the files disagree about a column's type: {error}") from error
    return _chained([part.through(partial(_conformed, schema), schema) for part in parts], schema)


def _conformed(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = []
        for field in schema:
            place = batch.schema.get_field_index(field.name)
            column = batch.column(place) if place >= 0 else pa.nulls(batch.num_rows, field.type)
            encoded = pa.types.is_dictionary(column.type) and column.type.value_type == field.type
            columns.append(column if encoded or column.type == field.type else column.cast(field.type))
        yield pa.RecordBatch.from_arrays(columns, names=schema.names)


__all__ = ["BATCH", "SUFFIXES", "Scan", "scan", "shown"]
