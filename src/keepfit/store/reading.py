"""Reading: Records of an interval, joined with the Labels in force at a moment, each Record exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.nouns import LABEL, LABEL_TIME, OUTPUT_PREFIX, RECORD_ID, RECORD_TIME, RECORD_TRACE, RECORD_VERSION
from keepfit.store import segments
from keepfit.store.compaction import conformed, unified
from keepfit.store.labels import NO_LABELS
from keepfit.store.logs import Piece, arrival, one, stacked
from keepfit.store.segments import TIME

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

_LABEL_COLUMNS = (LABEL, LABEL_TIME)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BARE = pa.schema([(RECORD_ID, pa.string()), (RECORD_TIME, TIME), (RECORD_VERSION, pa.int32())])


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which Records of a Stream, in which order: those of [start, end) with the Labels received up to `as_of`.

    None means no bound. `labelled` leaves out Records without a Label; `version` those which another Version answered;
    `last` keeps the last rows in the order, which is by (record time, id) or, of labelled ones, by (label time, id).
    """

    start: datetime | None = None
    end: datetime | None = None
    as_of: datetime | None = None
    labelled: bool = False
    version: int | None = None
    last: int | None = None
    order: Literal["record", "label"] = "record"
    columns: Sequence[str] | None = None


@dataclass(frozen=True)
class _Asked:
    """A Query with its times in µs since 1970."""

    start: int | None
    end: int | None
    labelled: bool
    version: int | None
    last: int | None
    by_label: bool
    columns: tuple[str, ...] | None

    @classmethod
    def of(cls, query: Query) -> _Asked:
        by_label = query.order == "label"
        columns = None if query.columns is None else tuple(query.columns)
        start, end = micros_of(query.start), micros_of(query.end)
        return cls(start, end, query.labelled or by_label, query.version, query.last, by_label, columns)


def micros_of(moment: datetime | None) -> int | None:
    """A moment in µs since 1970."""
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


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


Labels = Callable[[pa.Array | None], pa.Table]
"""Gives the Labels in force, of these ids or of all."""


def joined(pieces: Sequence[Piece], labels: Labels, asked: Query) -> pa.Table:
    """The Records a Query asks for, with their Labels."""
    query = _Asked.of(asked)
    schema = unified([piece.schema for piece in pieces if piece.schema] or [_BARE])
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


def _horizon(pieces: Sequence[Piece], query: _Asked, wanted: int) -> int | None:
    """The time since which there are at least `wanted` candidates; the Query's own start where there are fewer."""
    columns = (RECORD_TIME,) if query.version is None else (RECORD_TIME, RECORD_VERSION)
    rows = stacked(pieces, columns, schema=_BARE)
    times = segments.micros(rows[RECORD_TIME])
    times = times[_inside(times, query) & _answered(rows, query)]
    if not 0 < wanted < len(times):
        return query.start
    return int(np.partition(times, len(times) - wanted)[len(times) - wanted])


def _joined(pieces: Sequence[Piece], labels: Labels, query: _Asked, schema: pa.Schema) -> pa.Table:
    inside = [piece for piece in pieces if query.start is None or piece.last >= query.start]
    before = [piece for piece in pieces if query.start is not None and piece.last < query.start]
    found = _selected(inside, before, query)
    if query.labelled:
        told = labels(None)
        found = _with_labels(found, told)
        found = found.keep(found.label >= 0)
        found = _latest(
            _ordered(found, segments.micros(told[LABEL_TIME])[found.label] if query.by_label else None), query
        )
    else:
        found = _latest(_ordered(found), query)
        told = labels(found.ids) if _asks_for_labels(query) else NO_LABELS.empty_table()
        found = _with_labels(found, told)
    return _dressed(found, inside, told, schema=schema, columns=query.columns)


def _asks_for_labels(query: _Asked) -> bool:
    return query.columns is None or any(name in query.columns for name in _LABEL_COLUMNS)


def _selected(inside: Sequence[Piece], before: Sequence[Piece], query: _Asked) -> _Found:
    """The rows of the interval, one for each id, which the Query's Version answered."""
    keys = (RECORD_ID, RECORD_TIME) if query.version is None else (RECORD_ID, RECORD_TIME, RECORD_VERSION)
    rows = stacked(inside, keys, schema=_BARE)
    times = segments.micros(rows[RECORD_TIME])
    every = _Found(np.arange(len(times)), times, one(rows[RECORD_ID]), np.full(len(times), -1))
    found = _once(every.keep(_inside(times, query)), inside)
    if query.start is not None:
        found = _unseen(found, every.keep(times < query.start).ids, before)
    return found.keep(_answered(rows, query)[found.at])


def _inside(times: Rows, query: _Asked) -> Mask:
    mask = np.ones(len(times), np.bool_)
    if query.start is not None:
        mask &= times >= query.start
    if query.end is not None:
        mask &= times < query.end
    return mask


def _answered(rows: pa.Table, query: _Asked) -> Mask:
    if query.version is None:
        return np.ones(rows.num_rows, np.bool_)
    return np.asarray(one(pc.fill_null(pc.equal(rows[RECORD_VERSION], query.version), False)), np.bool_)


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
            seen |= np.asarray(pc.is_in(found.ids, value_set=one(piece.table([RECORD_ID])[RECORD_ID])))
    return found.keep(~seen)


def _with_labels(found: _Found, labels: pa.Table) -> _Found:
    if not labels.num_rows or not len(found.at):
        return found
    row = pc.fill_null(pc.index_in(found.ids, value_set=one(labels[RECORD_ID])), -1)
    return replace(found, label=np.asarray(row, np.int64))


def _ordered(found: _Found, times: Rows | None = None) -> _Found:
    """By these times, else by record time; by id where they agree."""
    times = found.times if times is None else times
    if (times[1:] > times[:-1]).all():
        return found
    keys = pa.table({"time": times, "id": found.ids})
    order = pc.sort_indices(keys, sort_keys=[("time", "ascending"), ("id", "ascending")])
    return found.take(np.asarray(order, np.int64))


def _latest(found: _Found, query: _Asked) -> _Found:
    if query.last is None or query.last >= len(found.at):
        return found
    return found.take(np.arange(len(found.at) - query.last, len(found.at)))


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
    return one(column).take(pa.array(rows, mask=rows < 0))


def _order_of_columns(names: Sequence[str]) -> list[str]:
    """keepfit's own keys, the features as they came, the label and what belongs to it, the outputs."""
    front, outputs = [RECORD_ID, RECORD_TIME], [name for name in names if name.startswith(OUTPUT_PREFIX)]
    version = [name for name in (RECORD_VERSION, RECORD_TRACE) if name in names]
    features = [name for name in names if name not in (*front, *version, *outputs)]
    return [*front, *features, LABEL, *version, LABEL_TIME, *outputs]
