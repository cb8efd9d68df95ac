"""Sentinels: numbers such as -200 or 9999 that stand for a missing value, which nobody declared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.faults import Fault, floats_of, whole
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import Kind, Statistics, kind_of
from keepfit.data.schema import Expectation

_BELOW = (-99.0, -200.0, -999.0, -9999.0, -99999.0, -999999.0)
_ABOVE = (999.0, 9999.0, 99999.0, 999999.0)
_SENTINELS = frozenset({*_BELOW, *_ABOVE})
_LEAST = 20


def sentinels(case: Case, table: pa.Table) -> Iterator[Fault]:
    """A round outlier that stands alone: below numbers that are never negative, or far above all others."""
    for field in table.schema:
        if kind_of(field.type) not in (Kind.INTEGER, Kind.FLOAT):
            continue
        expected = case.schema.column(field.name)
        statistics = case.profile.column(field.name)
        if statistics is None or not suspected(statistics):
            continue
        values = floats_of(whole(table, field.name))
        for value in (*_BELOW, *_ABOVE):
            if not _declared(expected, value) and _alone(values, value):
                mask = np.asarray(values == value)
                count = int(mask.sum())
                sentence = (
                    f"column '{field.name}' is {value:g} in {count} rows, far from all other values; it seems to stand "
                    "for a missing value"
                )
                yield Fault.at(case.tell(Anomaly.SENTINEL_VALUES, field.name, sentence, (value, 0), count=count), mask)


def suspected(statistics: Statistics) -> bool:
    """Whether the least or the greatest number looks like one."""
    return statistics.kind in (Kind.INTEGER, Kind.FLOAT) and not _SENTINELS.isdisjoint(
        {statistics.minimum, statistics.maximum}
    )


def _declared(expected: Expectation | None, value: float) -> bool:
    return expected is not None and expected.constant is not None and expected.constant == f"{value:g}"


def _alone(values: np.ndarray[tuple[int], np.dtype[np.float64]], value: float) -> bool:
    others = values[np.isfinite(values) & (values != value)]
    if others.size < _LEAST or others.size == np.isfinite(values).sum():
        return False
    low, high = float(others.min()), float(others.max())
    if value < 0:
        return low >= 0 or low - value > 2 * (high - low)
    return value > high and value - high > 2 * (high - low)
