"""History: rows that really happened, cut into chunks, each row with the chunk after which its label is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid, SpecInvalid
from keepfit.core.nouns import RECORD_ID, RECORD_TIME, Window
from keepfit.core.service import Service

CALENDAR = ("day", "week", "month", "quarter", "year")
"""Chunks by the calendar, in UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Chunk:
    """Rows [start, end) which are answered by one Version; `close` is the time of the last of them."""

    start: int
    end: int
    close: datetime


@dataclass(frozen=True)
class History:
    """Rows in a Dataset's form, in order of time; `known` has for each the chunk after which its label is known.

    `skipped` rows of the data were the Service's first data, and are not replayed.
    """

    rows: pa.Table
    chunks: tuple[Chunk, ...]
    known: NDArray[np.int64]
    skipped: int

    def labelled_after(self, chunk: int) -> pa.Table:
        """The rows whose label becomes known after this chunk."""
        return self.rows.filter(pa.array(self.known == chunk))

    def known_before(self, chunk: int) -> pa.Table:
        """The rows whose label is known when this chunk is answered."""
        return self.rows.filter(pa.array(self.known < chunk))


def history(
    rows: pa.Table, source: pa.Table, service: Service, *, chunk: str = "1%", delay: int = 0, step: timedelta
) -> History:
    """Cut a Dataset into chunks: `chunk` is a number of rows, a share of all rows such as `1%`, or one of CALENDAR.

    Labels of a chunk become known `delay` chunks later (0: before the next chunk is answered), or as late as
    `service.label_delay`, whichever is later. Rows which the Service's first data (`source`) begins with are left
    out. Where the Service names no time, rows are `step` apart, beginning after the first data.
    """
    skipped = _overlap(rows, source)
    whole = rows.num_rows
    timed = _timed(rows.slice(skipped), source, service, step=step)
    if not timed.num_rows:
        raise DataInvalid(f"the data has {whole} rows, and all of them are the service's first data; nothing to replay")
    times = timed[RECORD_TIME].combine_chunks().cast(pa.int64()).to_numpy()
    ends = _ends(timed[RECORD_TIME], chunk, whole)
    starts = [0, *ends[:-1]]
    chunks = tuple(Chunk(start, end, _moment(times[end - 1])) for start, end in zip(starts, ends, strict=True))
    return History(timed, chunks, _known(times, chunks, delay, service.label_delay), skipped)


def _overlap(rows: pa.Table, source: pa.Table) -> int:
    """How many rows the data shares with the first data: all of the latter, or none."""
    names = [name for name in source.column_names if name not in (RECORD_ID, RECORD_TIME)]
    head = rows.select(names).slice(0, source.num_rows)
    return source.num_rows if head.num_rows == source.num_rows and _same(head, source.select(names)) else 0


def _same(one: pa.Table, other: pa.Table) -> bool:
    for name in one.column_names:
        left, right = one[name].combine_chunks(), other[name].combine_chunks()
        if pa.types.is_floating(left.type):
            left, right = pc.if_else(pc.is_nan(left), None, left), pc.if_else(pc.is_nan(right), None, right)
        if not left.equals(right.cast(left.type)):
            return False
    return True


def _timed(rows: pa.Table, source: pa.Table, service: Service, *, step: timedelta) -> pa.Table:
    count = rows.num_rows
    if service.time is None:
        begin = pc.max(source[RECORD_TIME]).as_py() if source.num_rows else _EPOCH
        times = [begin + step * (row + 1) for row in range(count)]
        rows = rows.set_column(rows.schema.get_field_index(RECORD_TIME), RECORD_TIME, pa.array(times, _TIME))
    if service.id is None:
        ids = pa.array([f"replay:{row:09d}" for row in range(count)], pa.string())
        rows = rows.set_column(rows.schema.get_field_index(RECORD_ID), RECORD_ID, ids)
    return rows


def _ends(times: pa.ChunkedArray, chunk: str, whole: int) -> list[int]:
    """Where each chunk ends."""
    rows = len(times)
    if chunk in CALENDAR:
        unit = pc.floor_temporal(times, unit=chunk).combine_chunks().cast(pa.int64()).to_numpy()
        return [*(np.flatnonzero(unit[1:] != unit[:-1]) + 1).tolist(), rows]
    size = _size(chunk, whole)
    return [*range(size, rows, size), rows]


def _size(chunk: str, whole: int) -> int:
    share = chunk.endswith("%")
    try:
        number = float(chunk.removesuffix("%"))
    except ValueError:
        number = 0.0
    size = int(whole * number / 100) if share else int(number)
    if size < 1 or (not share and size != number):
        raise SpecInvalid(
            f"chunk: expected a number of rows, a share such as 1%, or one of {', '.join(CALENDAR)}; found {chunk!r}"
        )
    return size


def _known(times: NDArray[np.int64], chunks: tuple[Chunk, ...], delay: int, late: timedelta) -> NDArray[np.int64]:
    ends = np.array([chunk.end for chunk in chunks])
    own = np.searchsorted(ends, np.arange(len(times)), side="right")
    closes = np.array([_micros(chunk.close) for chunk in chunks])
    arrived = np.searchsorted(closes, times + late // timedelta(microseconds=1), side="left")
    known: NDArray[np.int64] = np.maximum(own + delay, arrived).astype(np.int64)
    return known


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(micros))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def window_of(rows: pa.Table, window: Window) -> pa.Table:
    """The latest of some rows which are in order of time: so many of them, or so much time of them, or all."""
    if window.time is not None and rows.num_rows:
        newest = pc.max(rows[RECORD_TIME])
        rows = rows.filter(pc.greater(rows[RECORD_TIME], pc.subtract(newest, pa.scalar(window.time))))
    return rows if window.rows is None else rows.slice(max(0, rows.num_rows - window.rows))
