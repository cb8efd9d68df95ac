"""Reading: Records of an interval, joined with the Labels in force at a moment, each Record exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.nouns import LABEL, LABEL_TIME, OUTPUT_PREFIX, RECORD_ID, RECORD_TIME, RECORD_VERSION
from keepfit.store import segments
from keepfit.store.compaction import conformed, unified
from keepfit.store.logs import Piece, arrival

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

TIME = pa.timestamp("us", tz="UTC")
_LABEL_COLUMNS = (LABEL, LABEL_TIME)


@dataclass(frozen=True)
class Query:
    """Which rows of a Stream, in which order; times in µs since 1970."""

    start: int | None
    end: int | None
    as_of: int | None
    labelled: bool
    version: int | None
    last: int | None
    by_label: bool
    columns: tuple[str, ...] | None


# --- labels ---------------------------------------------------------------------------------------------------------


def latest(pieces: Sequence[Piece], as_of: int | None) -> pa.Table:
    """The Label in force of each id, with the time since when it has been."""
    if not pieces:
        return pa.table({RECORD_ID: pa.array([], pa.string()), LABEL: pa.nulls(0), LABEL_TIME: pa.array([], TIME)})
    rows = _stacked(pieces, (RECORD_ID, LABEL, LABEL_TIME))
    ids = pc.dictionary_encode(rows[RECORD_ID].combine_chunks())
    if as_of is None and len(ids.dictionary) == rows.num_rows:
        return rows
    codes, times, place = ids.indices.to_numpy(), segments.micros(rows[LABEL_TIME]), arrival(pieces)
    values = pc.dictionary_encode(rows[LABEL].combine_chunks(), null_encoding="encode").indices.to_numpy()
    order = np.lexsort((place, times, codes))
    if as_of is not None:
        order = order[times[order] <= as_of]
    if not len(order):
        return rows.slice(0, 0)
    codes, values = codes[order], values[order]
    begins = np.ones(len(order), np.bool_)  # of a run of equal labels of one id
    begins[1:] = (codes[1:] != codes[:-1]) | (values[1:] != values[:-1])
    runs = np.flatnonzero(begins)
    ends = np.append(codes[runs][1:] != codes[runs][:-1], True)  # the last run of its id
    return rows.take(pa.array(order[runs[ends]]))


# --- records --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """Rows under consideration: where they stand in the pieces laid end to end, and what decides on them."""

    at: Rows
    times: Rows
    ids: pa.Array
    label: Rows  # the row in the table of labels, -1 for none

    def take(self, rows: Rows) -> _Found:
        return _Found(self.at[rows], self.times[rows], self.ids.take(pa.array(rows)), self.label[rows])

    def keep(self, mask: Mask) -> _Found:
        return self if mask.all() else self.take(np.flatnonzero(mask))


def joined(pieces: Sequence[Piece], labels: pa.Table, query: Query) -> pa.Table:
    """The Records a Query asks for, with their Labels."""
    schema = unified([piece.schema for piece in pieces if piece.schema] or [_bare()])
    pieces = [piece for piece in pieces if query.end is None or piece.first < query.end]
    if query.last is None or query.labelled:
        return _joined(pieces, labels, query, schema)
    wanted = query.last
    while True:  # looking at the latest rows only; at more of them where duplicates took some away
        horizon = _horizon(pieces, query, wanted)
        rows = _joined(pieces, labels, replace(query, start=horizon), schema)
        if rows.num_rows >= query.last or horizon == query.start:
            return rows
        wanted *= 4


def _horizon(pieces: Sequence[Piece], query: Query, wanted: int) -> int | None:
    """The time since which there are at least `wanted` candidates; the Query's own start where there are fewer."""
    columns = (RECORD_TIME,) if query.version is None else (RECORD_TIME, RECORD_VERSION)
    rows = _stacked(pieces, columns)
    times = segments.micros(rows[RECORD_TIME])
    times = times[_inside(times, query) & _answered(rows, query)]
    if not 0 < wanted < len(times):
        return query.start
    return int(np.partition(times, len(times) - wanted)[len(times) - wanted])


def _joined(pieces: Sequence[Piece], labels: pa.Table, query: Query, schema: pa.Schema) -> pa.Table:
    inside = [piece for piece in pieces if query.start is None or piece.last >= query.start]
    before = [piece for piece in pieces if query.start is not None and piece.last < query.start]
    found = _with_labels(_selected(inside, before, query), labels, query)
    found = _ordered(found, labels, query)
    if query.last is not None:
        found = found.take(np.arange(max(0, len(found.at) - query.last), len(found.at)))
    return _dressed(found, inside, labels, schema=schema, columns=query.columns)


def _selected(inside: Sequence[Piece], before: Sequence[Piece], query: Query) -> _Found:
    """The rows of the interval, one for each id, which the Query's Version answered."""
    keys = (RECORD_ID, RECORD_TIME) if query.version is None else (RECORD_ID, RECORD_TIME, RECORD_VERSION)
    rows = _stacked(inside, keys)
    times = segments.micros(rows[RECORD_TIME])
    every = _Found(np.arange(len(times)), times, _one(rows[RECORD_ID]), np.full(len(times), -1))
    found = _once(every.keep(_inside(times, query)), inside)
    if query.start is not None:
        found = _unseen(found, every.keep(times < query.start).ids, before)
    return found.keep(_answered(rows, query)[found.at])


def _inside(times: Rows, query: Query) -> Mask:
    mask = np.ones(len(times), np.bool_)
    if query.start is not None:
        mask &= times >= query.start
    if query.end is not None:
        mask &= times < query.end
    return mask


def _answered(rows: pa.Table, query: Query) -> Mask:
    if query.version is None:
        return np.ones(rows.num_rows, np.bool_)
    return np.asarray(_one(pc.fill_null(pc.equal(rows[RECORD_VERSION], query.version), False)), np.bool_)


def _once(found: _Found, inside: Sequence[Piece]) -> _Found:
    """The earliest row of each id."""
    ids = pc.dictionary_encode(found.ids)
    if len(ids.dictionary) == len(found.at):
        return found
    order = np.lexsort((arrival(inside)[found.at], found.times))
    _, firsts = np.unique(ids.indices.to_numpy()[order], return_index=True)
    return found.take(np.sort(order[firsts]))


def _unseen(found: _Found, earlier: pa.Array, before: Sequence[Piece]) -> _Found:
    """Without the rows whose id has an earlier row outside of the interval."""
    if not len(found.at):
        return found
    seen = np.zeros(len(found.at), np.bool_)
    if len(earlier):
        seen |= np.asarray(pc.is_in(found.ids, value_set=earlier))
    hashes = segments.hash_ids(found.ids) if before else np.empty(0, np.uint64)
    for piece in before:
        if piece.contains(hashes).any():  # perhaps: hashes may agree where ids do not
            seen |= np.asarray(pc.is_in(found.ids, value_set=_one(piece.table([RECORD_ID])[RECORD_ID])))
    return found.keep(~seen)


def _with_labels(found: _Found, labels: pa.Table, query: Query) -> _Found:
    if not labels.num_rows or not len(found.at):
        return found.keep(np.full(len(found.at), not query.labelled))
    row = pc.fill_null(pc.index_in(found.ids, value_set=_one(labels[RECORD_ID])), -1).to_numpy()
    found = replace(found, label=row.astype(np.int64))
    return found.keep(found.label >= 0) if query.labelled else found


def _ordered(found: _Found, labels: pa.Table, query: Query) -> _Found:
    times = segments.micros(labels[LABEL_TIME])[found.label] if query.by_label else found.times
    if not (times[1:] <= times[:-1]).any():
        return found
    keys = pa.table({"time": times, "id": found.ids})
    order = pc.sort_indices(keys, sort_keys=[("time", "ascending"), ("id", "ascending")])
    return found.take(order.to_numpy().astype(np.int64))


# --- columns --------------------------------------------------------------------------------------------------------


def _dressed(
    found: _Found, inside: Sequence[Piece], labels: pa.Table, *, schema: pa.Schema, columns: tuple[str, ...] | None
) -> pa.Table:
    """The rows found with the columns asked for."""
    names = _order_of_columns(schema.names)
    if columns is not None:
        names = [name for name in columns if name in names]
    own = pa.schema([schema.field(name) for name in names if name not in _LABEL_COLUMNS])
    rows = _gathered(inside, found.at, own)
    for name in names:
        if name in _LABEL_COLUMNS:
            rows = rows.append_column(name, _beside(labels[name], found.label))
    return rows.select(names)


def _gathered(pieces: Sequence[Piece], at: Rows, schema: pa.Schema) -> pa.Table:
    """The rows at these places of the pieces laid end to end, in this order."""
    growing = bool((at[1:] > at[:-1]).all())
    order = np.arange(len(at)) if growing else np.argsort(at)
    places = at[order]
    borders = np.cumsum([0, *(piece.rows for piece in pieces)])
    cuts = np.searchsorted(places, borders)
    tables = [schema.empty_table()]
    for piece, border, low, high in zip(pieces, borders, cuts, cuts[1:], strict=False):
        if low < high:
            tables.append(conformed(piece.table(schema.names, places[low:high] - border), schema))
    rows = pa.concat_tables(tables)
    if growing:
        return rows.combine_chunks()
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return rows.take(pa.array(back)).combine_chunks()


def _beside(column: pa.ChunkedArray, rows: Rows) -> pa.Array:
    return _one(column).take(pa.array(rows, mask=rows < 0))


def _order_of_columns(names: Sequence[str]) -> list[str]:
    """keepfit's own keys, the features as they came, the label and what belongs to it, the outputs."""
    front, outputs = [RECORD_ID, RECORD_TIME], [name for name in names if name.startswith(OUTPUT_PREFIX)]
    version = [RECORD_VERSION] if RECORD_VERSION in names else []
    features = [name for name in names if name not in (*front, *version, *outputs)]
    return [*front, *features, LABEL, *version, LABEL_TIME, *outputs]


def _bare() -> pa.Schema:
    return pa.schema([(RECORD_ID, pa.string()), (RECORD_TIME, TIME), (RECORD_VERSION, pa.int32())])


def _stacked(pieces: Sequence[Piece], columns: Sequence[str], *, schema: pa.Schema | None = None) -> pa.Table:
    """The pieces' rows one after the other; what a piece lacks is null."""
    if schema is None:
        known = _bare()
        found = unified([piece.schema for piece in pieces if piece.schema]) if pieces else known
        schema = pa.schema([found.field(name) if name in found.names else known.field(name) for name in columns])
    tables = [conformed(piece.table(columns), schema) for piece in pieces]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
