"""Drift between two tables, or between a table and each month of another: no service, no store, no server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid, SpecInvalid
from keepfit.core.nouns import Finding, Measurement, Reference, Season, Subject
from keepfit.core.protocols import Detector
from keepfit.core.service import Monitor
from keepfit.watch.cause import Joint
from keepfit.watch.coded import texts
from keepfit.watch.detectors import Auto
from keepfit.watch.monitor import watch
from keepfit.watch.seasons import matched, told

PERIODS = ("hour", "day", "week", "month", "quarter", "year")


@dataclass(frozen=True)
class Limits:
    """When a column has drifted: its p-value passes the false discovery rate, its effect is large enough.

    Columns with fewer than `minimum` rows on either side are not judged. With a `season` rows are held against earlier
    ones of the same hours, weekdays or both only, by the clocks of `tz`, spread over them alike.
    """

    detector: Detector = Auto()
    false_discovery: float = 0.01
    minimum_effect: float = 0.1
    minimum: int = 30
    season: Season = Season.NONE
    tz: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.tz)
        except (ValueError, ZoneInfoNotFoundError) as error:
            raise SpecInvalid(f"tz: expected an IANA name such as 'Europe/Berlin', found {self.tz!r}") from error


@dataclass(frozen=True)
class Drift:
    """What a comparison found: every measurement, a Finding per column that drifted, and what was not compared.

    `period` is the beginning of the period compared, empty for whole tables.
    """

    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()
    period: str = ""


def drift(
    a: Any, b: Any, *, columns: Sequence[str] | None = None, limits: Limits | None = None, column: str = ""
) -> Drift:
    """Compare every column of `b` with that of `a`: Arrow tables, or DataFrames that speak Arrow.

    Seasons go by the time `column`, the first one where none is named, which is itself not compared then. SpecInvalid
    where the tables have no column in common, or where the detector takes no such values; DataInvalid where a season
    is asked for and there is no column of times.

    >>> before = pa.table({"x": np.arange(500.0), "y": np.arange(500.0)})
    >>> after = pa.table({"x": np.arange(500.0) + 200, "y": np.arange(500.0)})
    >>> drift(before, after).findings[0].subject
    'x'
    """
    limits = limits or Limits()
    if limits.season is not Season.NONE:
        whole = _table(b, None)
        times = _times(whole, column, f"for the season '{limits.season}'")
        return _alike(_dated_rows(_table(a, None), times), _dated_rows(whole, times), times, columns, limits)
    old, new = _table(a, columns), _table(b, columns)
    return _compared(old, _common(old, new, limits), new, limits)


def drift_by(
    a: Any, b: Any, *, by: str, column: str = "", columns: Sequence[str] | None = None, limits: Limits | None = None
) -> tuple[Drift, ...]:
    """Compare each period of `b` (one of PERIODS, by its time `column`, the first one where none is named) with `a`.

    The time column itself is not compared. DataInvalid where there is no column of times.
    """
    if by not in PERIODS:
        raise SpecInvalid(f"by: expected one of {', '.join(PERIODS)}, found {by!r}")
    new, limits = _table(b, None), limits or Limits()
    times = _times(new, column, f"to go {by} by {by}")
    if limits.season is not Season.NONE:
        before = _dated_rows(_table(a, None), times)
        seasonal = (
            _alike(before, rows, times, columns, limits, period=begin) for begin, rows in _periods(new, times, by)
        )
        return _dated(list(seasonal))
    kept = columns or [name for name in new.column_names if name != times]
    old = _table(a, kept)
    reference = _common(old, new.select(kept), limits)
    periods = ((begin, rows.select(list(reference))) for begin, rows in _periods(new, times, by))
    return _dated([_compared(old, reference, rows, limits, begin) for begin, rows in periods])


def _times(table: pa.Table, column: str, why: str) -> str:
    """The name of a table's column of times."""
    times = column or next((field.name for field in table.schema if pa.types.is_temporal(field.type)), "")
    if times not in table.column_names or not pa.types.is_temporal(table.schema.field(times).type):
        raise DataInvalid(f"expected a column of times {why}, found {column or 'none'!r}")
    return times


def _dated_rows(table: pa.Table, times: str) -> pa.Table:
    """The rows that have a time, in order of it."""
    _times(table, times, "in both tables")
    return table.filter(pc.is_valid(table[times])).sort_by(times)


def _alike(
    before: pa.Table,
    rows: pa.Table,
    times: str,
    columns: Sequence[str] | None,
    limits: Limits,
    *,
    period: str = "",
) -> Drift:
    """Rows beside those earlier ones that are spread over the season's parts as they are."""
    was, now = (np.asarray(side[times].cast(pa.timestamp("us")).to_numpy()) for side in (before, rows))
    kept = columns or [name for name in rows.column_names if name != times]
    new = _table(rows, kept)
    old = _table(before, kept).take(pa.array(matched(was, now, limits.season, limits.tz)))
    of = told(now, limits.season, limits.tz)
    return _compared(old, _common(old, new, limits), new, limits, period, of=of)


def _common(old: pa.Table, new: pa.Table, limits: Limits) -> dict[str, NDArray[Any] | None]:
    """The columns of the first table that the second has as well, as detectors take them; None for lists and such."""
    names = [name for name in old.column_names if name in new.column_names]
    if not names:
        raise SpecInvalid(f"the tables have no column in common: {old.column_names} and {new.column_names}")
    return {name: sample(old[name], filled=_reads(limits.detector)) for name in names}


def _reads(detector: Detector) -> bool:
    """Whether a detector may look at texts themselves, as somebody else's may: ours go by their codes."""
    return not type(detector).__module__.startswith("keepfit.")


def _compared(
    old: pa.Table,
    reference: dict[str, NDArray[Any] | None],
    new: pa.Table,
    limits: Limits,
    period: str = "",
    *,
    of: str = "",
) -> Drift:
    here = {name: values for name, values in reference.items() if values is not None}
    filled = _reads(limits.detector)
    there = {name: values for name in here if (values := sample(new[name], filled=filled)) is not None}
    measurements, findings = watch(_monitor(limits), here, there, of=of)
    alone = sorted(set(old.column_names) ^ set(new.column_names))
    skipped = [f"{name}: only in one of the tables" for name in alone]
    skipped += [f"{name}: {old[name].type} is not compared" for name in reference if name not in there]
    return Drift(measurements, findings, tuple(skipped), period)


def joint(source: Any, label: str) -> Joint:
    """A table's columns but for times as inputs, and one as the label, for `cause_of`; rows without it are left out."""
    table = _table(source, None)
    table = table.filter(pc.is_valid(table[label]))
    truth = sample(table[label])
    if truth is None:
        raise DataInvalid(f"the label {label!r} is of type {table[label].type}; expected numbers, text or flags")
    names = [field.name for field in table.schema if field.name != label and not pa.types.is_temporal(field.type)]
    inputs = {name: values for name in names if (values := sample(table[name])) is not None}
    return Joint(inputs, truth, truth)


def _dated(found: list[Drift]) -> tuple[Drift, ...]:
    """With the first of the unbroken run of periods in which a column has drifted."""
    since: dict[str, str] = {}
    dated = []
    for one in found:
        since = {finding.subject: since.get(finding.subject, one.period) for finding in one.findings}
        findings = tuple(_since(finding, since[finding.subject]) for finding in one.findings)
        dated.append(replace(one, findings=findings))
    return tuple(dated)


def _since(finding: Finding, period: str) -> Finding:
    if finding.moved is None:
        return finding
    begin = datetime.fromisoformat(period)
    moved = replace(finding.moved, since=begin if begin.tzinfo else begin.replace(tzinfo=UTC))
    return replace(finding, moved=moved, sentence=f"{finding.sentence}, since {period.partition('T00:00')[0]}")


def _periods(table: pa.Table, column: str, by: str) -> Iterator[tuple[str, pa.Table]]:
    begins = pc.floor_temporal(table[column].combine_chunks(), unit=by)
    for begin in sorted(value for value in pc.unique(begins).to_pylist() if value is not None):
        yield begin.isoformat(), table.filter(pc.equal(begins, pa.scalar(begin, begins.type)))


def _monitor(limits: Limits) -> Monitor:
    return Monitor(
        name="drift",
        on=Subject.INPUTS,
        detector=limits.detector,
        reference=Reference.EARLIER,
        minimum=limits.minimum,
        minimum_effect=limits.minimum_effect,
        false_discovery=limits.false_discovery,
    )


def _table(source: Any, columns: Sequence[str] | None) -> pa.Table:
    table = source if isinstance(source, pa.Table) else pa.table(source)
    return table if columns is None else table.select([name for name in columns if name in table.column_names])


def sample(column: pa.ChunkedArray, *, filled: bool = True) -> NDArray[Any] | None:
    """The values as detectors take them; None for lists and the like. For `filled` see `texts`."""
    kind = column.type
    coded = pa.types.is_dictionary(kind)
    if _is_text(kind.value_type if coded else kind) or (pa.types.is_boolean(kind) and column.null_count):
        return texts(column, filled=filled)
    if coded:
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    elif not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind)):
        return None
    return np.asarray(column.to_numpy())


def _is_text(kind: pa.DataType) -> bool:
    return any(known(kind) for known in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
