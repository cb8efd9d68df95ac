"""Drift between two tables, or between a table and each month of another: no service, no store, no server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid, SpecInvalid
from keepfit.core.nouns import Finding, Measurement, Reference, Subject
from keepfit.core.protocols import Detector
from keepfit.core.service import Monitor
from keepfit.watch.detectors import Auto
from keepfit.watch.monitor import watch

PERIODS = ("hour", "day", "week", "month", "quarter", "year")


@dataclass(frozen=True)
class Limits:
    """When a column has drifted: its p-value passes the false discovery rate, its effect is large enough.

    Columns with fewer than `minimum` rows on either side are not judged.
    """

    detector: Detector = Auto()
    false_discovery: float = 0.01
    minimum_effect: float = 0.1
    minimum: int = 30


@dataclass(frozen=True)
class Drift:
    """What a comparison found: every measurement, a Finding per column that drifted, and what was not compared.

    `period` is the beginning of the period compared, empty for whole tables.
    """

    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()
    period: str = ""


def drift(a: Any, b: Any, *, columns: Sequence[str] | None = None, limits: Limits | None = None) -> Drift:
    """Compare every column of `b` with that of `a`: Arrow tables, or DataFrames that speak Arrow.

    SpecInvalid where they have no column in common, or where the detector takes no such values.

    >>> before = pa.table({"x": np.arange(500.0), "y": np.arange(500.0)})
    >>> after = pa.table({"x": np.arange(500.0) + 200, "y": np.arange(500.0)})
    >>> drift(before, after).findings[0].subject
    'x'
    """
    old, new = _table(a, columns), _table(b, columns)
    names = [name for name in old.column_names if name in new.column_names]
    if not names:
        raise SpecInvalid(f"the tables have no column in common: {old.column_names} and {new.column_names}")
    reference, window = ({name: _sample(table[name]) for name in names} for table in (old, new))
    compared = {name: values for name, values in reference.items() if values is not None and window[name] is not None}
    monitor = _monitor(limits or Limits())
    there = {name: values for name in compared if (values := window[name]) is not None}
    measurements, findings = watch(monitor, compared, there)
    alone = sorted(set(old.column_names) ^ set(new.column_names))
    skipped = [f"{name}: only in one of the tables" for name in alone]
    skipped += [f"{name}: {old[name].type} is not compared" for name in names if name not in compared]
    return Drift(measurements, findings, tuple(skipped))


def drift_by(
    a: Any, b: Any, *, by: str, column: str = "", columns: Sequence[str] | None = None, limits: Limits | None = None
) -> tuple[Drift, ...]:
    """Compare each period of `b` (one of PERIODS, by its time `column`, the first one where none is named) with `a`.

    The time column itself is not compared. DataInvalid where there is no column of times.
    """
    if by not in PERIODS:
        raise SpecInvalid(f"by: expected one of {', '.join(PERIODS)}, found {by!r}")
    new = _table(b, None)
    times = column or next((field.name for field in new.schema if pa.types.is_temporal(field.type)), "")
    if times not in new.column_names or not pa.types.is_temporal(new.schema.field(times).type):
        raise DataInvalid(f"expected a column of times to go {by} by {by}, found {column or 'none'!r}")
    kept = columns or [name for name in new.column_names if name != times]
    old = _table(a, [name for name in kept if name in _table(a, None).column_names])
    found = []
    for begin, rows in _periods(new, times, by):
        one = drift(old, rows, columns=[name for name in kept if name in old.column_names], limits=limits)
        found.append(Drift(one.measurements, one.findings, one.skipped, begin))
    return tuple(found)


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


def _sample(column: pa.ChunkedArray) -> NDArray[Any] | None:
    """The values as detectors take them; None for lists and the like. One text is one object, however many rows."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column.combine_chunks().dictionary_encode()
        names = np.append(coded.dictionary.to_numpy(zero_copy_only=False), np.array([None], dtype=object))
        codes: NDArray[Any] = pc.fill_null(coded.indices, len(names) - 1).to_numpy()
        return np.asarray(names[codes], dtype=object)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    elif not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind)):
        return None
    return np.asarray(column.to_numpy())
