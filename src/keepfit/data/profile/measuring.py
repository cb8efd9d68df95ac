"""Profile: mergeable statistics of a Dataset, measured in one pass, batch by batch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import or_
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from keepfit.core.errors import DataInvalid
from keepfit.data.profile.columns import measure
from keepfit.data.profile.correlations import correlate as correlated
from keepfit.data.profile.correlations import numbers_of
from keepfit.data.profile.kinds import Kind, kind_of
from keepfit.data.profile.profiles import SLICES, Profile, SliceProfile, too_many
from keepfit.data.profile.quantiles import Floats
from keepfit.data.profile.relation import relate
from keepfit.data.scan import BATCH, Scan, scan
from keepfit.data.spread import Spread

_APART = 1 << 40  # the rows of a part are numbered from here on, so that all know theirs without the others


@dataclass(frozen=True)
class _Asked:
    weight: str
    slices: tuple[str, ...]
    label: str
    correlate: bool
    start: int = 0


def profile(
    source: Any,
    *,
    weight: str = "",
    slices: Sequence[str] = (),
    label: str = "",
    correlate: bool = False,
    workers: int | Spread | None = None,
) -> Profile:
    """Measure every column of whatever `read` can read, or of an iterable of record batches, in constant memory.

    `weight` names a column of numbers that rows are weighted by, `slices` columns for each value of which there shall
    be a Profile as well, `label` the column that the others may tell of; `workers` threads measure batches side by
    side (by default as many as there are processors, at most 4), or processes elsewhere measure file by file: the
    result is the same bytes.

    >>> profile(pa.table({"x": [1.0, 3.0, None]})).column("x").mean
    2.0
    """
    asked = _Asked(weight, tuple(slices), label, correlate)
    scanned = _opened(source)
    _require(asked, scanned.schema)
    numbered = list(enumerate(scanned.parts))
    if workers is None or isinstance(workers, int) or len(numbered) == 1:
        threads = workers if isinstance(workers, int) else min(4, os.cpu_count() or 1)
        return reduce(or_, (_of_part(one, asked, threads).profile for one in numbered))
    found: list[Profile] = []
    for piece in workers.map(partial(_of_part, asked=asked, workers=1), numbered):
        scanned.skip(piece.profile.skipped, piece.reasons)
        found.append(piece.profile)
    return reduce(or_, found)


@dataclass(frozen=True)
class _Piece:
    """What was measured of one part, and why rows of it were left out."""

    profile: Profile
    reasons: tuple[str, ...]


def _of_part(numbered: tuple[int, Scan], asked: _Asked, workers: int) -> _Piece:
    place, part = numbered
    batches = iter(_steady(part))
    first = next(batches, None)
    if first is None:
        first = pa.RecordBatch.from_pylist([], schema=part.schema)
    found = _folded(first, batches, replace(asked, start=place * _APART), workers)
    return _Piece(replace(found, skipped=part.skipped), part.reasons)


def _opened(source: Any) -> Scan:
    if isinstance(source, Scan):
        return source
    if isinstance(source, Iterable) and not hasattr(source, "__arrow_c_stream__") and not isinstance(source, str):
        batches = iter(source)
        first = next(batches, None)
        if isinstance(first, pa.RecordBatch):
            return Scan(first.schema, lambda: _again(first, batches))
        raise DataInvalid(f"cannot profile {type(source).__name__}; expected record batches, or what `read` reads")
    return scan(source)


def _again(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _steady(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of about BATCH rows: large ones cut, small ones put together."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if count and count + batch.num_rows > BATCH:
            yield _together(waiting)
            waiting, count = [], 0
        for start in range(0, batch.num_rows, BATCH):
            piece = batch.slice(start, BATCH)
            if piece.num_rows == BATCH:
                yield piece
            else:
                waiting.append(piece)
                count += piece.num_rows
    if waiting:
        yield _together(waiting)


def _together(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    table = pa.concat_tables(tables, promote_options="permissive")  # a query's first rows may not tell all types
    return table.unify_dictionaries().combine_chunks().to_batches()[0]


def _folded(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch], asked: _Asked, workers: int) -> Profile:
    """Join the batches' profiles in their order, however many threads there are."""
    second = next(rest, None)
    if second is None or workers == 1:
        return reduce(or_, _one_by_one(first, _again(second, rest) if second is not None else rest, asked))
    waiting: deque[Future[Profile]] = deque()
    found: Profile | None = None
    row = asked.start
    with ThreadPoolExecutor(workers) as threads:
        for batch in _again(first, _again(second, rest)):
            waiting.append(threads.submit(_measured, batch, asked, row))
            row += batch.num_rows
            if len(waiting) > workers:  # one batch more than are measured: memory stays bounded
                done = waiting.popleft().result()
                found = done if found is None else found | done
        parts = (one.result() for one in waiting)
        return reduce(or_, parts if found is None else (found, *parts))


def _one_by_one(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch], asked: _Asked) -> Iterator[Profile]:
    row = asked.start
    for batch in _again(first, rest):
        yield _measured(batch, asked, row)
        row += batch.num_rows


def _require(asked: _Asked, schema: pa.Schema) -> None:
    """DataInvalid for a named column that is not there, or not what it must be."""
    for what, names in (("weight", [asked.weight]), ("label", [asked.label]), ("slice", asked.slices)):
        for name in names:
            if name and name not in schema.names:
                raise DataInvalid(f"no column '{name}' for the {what}; there are: {', '.join(schema.names)}")
    if asked.weight and kind_of(schema.field(asked.weight).type) not in (Kind.INTEGER, Kind.FLOAT, Kind.NOTHING):
        raise DataInvalid(f"column '{asked.weight}' cannot be the weight; expected numbers")


def _measured(batch: pa.RecordBatch, asked: _Asked, start: int) -> Profile:
    weights = _weights(batch.column(asked.weight), asked.weight) if asked.weight else None
    found = _columns(batch, asked, weights)
    return replace(
        found,
        slices=tuple(part for name in asked.slices for part in _slices(batch, name, asked, weights)),
        correlations=correlated(batch) if asked.correlate else None,
        relation=relate(batch, asked.label, start=start) if asked.label else None,
    )


def _columns(batch: pa.RecordBatch, asked: _Asked, weights: Floats | None) -> Profile:
    columns = (
        measure(name, batch.column(place), None if name == asked.weight else weights)
        for place, name in enumerate(batch.schema.names)
    )
    return Profile(batch.num_rows, tuple(columns), weight=asked.weight)


def _weights(column: pa.Array, name: str) -> Floats:
    weights = numbers_of(column) if column.type != pa.null() else np.full(len(column), np.nan)
    if not bool(np.all(weights >= 0)) or not bool(np.all(np.isfinite(weights))):
        raise DataInvalid(f"column '{name}' cannot be the weight; expected a number of 0 or more in every row")
    return weights


def _slices(batch: pa.RecordBatch, name: str, asked: _Asked, weights: Floats | None) -> Iterator[SliceProfile]:
    column = batch.column(name)
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    coded = column.cast(pa.string()).fill_null("").dictionary_encode()
    codes = np.asarray(coded.indices)
    values = coded.dictionary.to_pylist()
    if len(values) > SLICES:
        raise too_many(name)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(values) + 1))
    for value, low, high in sorted(zip(values, bounds, bounds[1:], strict=False)):
        rows = order[low:high]
        part = pc.take(batch, pa.array(rows))
        yield SliceProfile(name, value, _columns(part, asked, None if weights is None else weights[rows]))
