"""Times: rows outside their span, spans without rows, data that is old, and holes and repeats nobody declared."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.faults import Fault, floats_of, whole
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import Kind, kind_of
from keepfit.data.schema import TimeOrder

Stamps = NDArray[np.float64]

_UNITS = {"hour": "h", "day": "D", "month": "M"}
_SECOND = 1e6  # times are in microseconds
_REGULAR = 0.5  # share of steps that are the usual one, in a series with a rhythm
_FEW = 0.05  # holes and repeats are exceptions; what is more frequent is a habit, as week-ends are
_LEAST = 20


def times(case: Case, table: pa.Table) -> Iterator[Fault]:
    """All that the times of the rows tell."""
    order = case.schema.time
    if case.span is not None and order is None:
        raise DataInvalid("a span is given, but the schema names no column of times; add 'time: {column: ...}' to it")
    if order is not None and order.column in table.column_names:
        yield from _declared(case, order, floats_of(whole(table, order.column)))
    for field in table.schema:
        if kind_of(field.type) is Kind.TIME:
            yield from _rhythm(case, field.name, floats_of(whole(table, field.name)))


def _declared(case: Case, order: TimeOrder, stamps: Stamps) -> Iterator[Fault]:
    known = stamps[np.isfinite(stamps)]
    name = order.column
    if case.span is not None:
        start, end = (_micros(one) for one in case.span)
        mask = (stamps < start) | (stamps >= end)
        count = int(mask.sum())
        if count:
            between = f"{case.span[0]:%Y-%m-%d %H:%M} to {case.span[1]:%Y-%m-%d %H:%M}"
            sentence = f"column '{name}' is outside of the span {between} in {count} of {mask.size} rows"
            yield Fault.at(case.tell(Anomaly.OUTSIDE_SPAN, name, sentence, (count, 0), count=count), mask)
        known = known[(known >= start) & (known < end)]
    if order.every:
        yield from _absent(case, order, known)
    if order.fresh is not None and case.now is not None and known.size:
        age = (_micros(case.now) - float(known.max())) / _SECOND
        if age > order.fresh:
            sentence = f"the newest row is {age:.0f} s old; expected at most {order.fresh:g} s"
            yield Fault(case.tell(Anomaly.NOT_FRESH, name, sentence, (age, order.fresh)))


def _absent(case: Case, order: TimeOrder, known: Stamps) -> Iterator[Fault]:
    unit = _UNITS.get(order.every)
    if unit is None:
        raise DataInvalid(f"'every' is {order.every!r}; expected one of {sorted(_UNITS)}")
    there = np.unique(known.astype("<M8[us]").astype(f"<M8[{unit}]"))
    if case.span is not None:
        first, last = (np.datetime64(int(_micros(one)), "us") for one in case.span)
        last -= np.timedelta64(1, "us")
    elif there.size:
        first, last = there[0], there[-1]
    else:
        return
    wanted = np.arange(first.astype(f"<M8[{unit}]"), last.astype(f"<M8[{unit}]") + 1)
    gone = np.setdiff1d(wanted, there)
    if gone.size:
        told = ", ".join(str(one) for one in gone[:3]) + (", ..." if gone.size > 3 else "")
        sentence = f"there are no rows of {gone.size} of {wanted.size} {order.every}s: {told}"
        yield Fault(case.tell(Anomaly.NO_DATA_IN_SPAN, order.column, sentence, (gone.size, 0)))


def _rhythm(case: Case, name: str, stamps: Stamps) -> Iterator[Fault]:
    """Holes and repeats in a series that has a rhythm."""
    known = stamps[np.isfinite(stamps)]
    single, counts = np.unique(known, return_counts=True)
    if single.size < _LEAST:
        return
    steps = np.diff(single)
    lengths, often = np.unique(steps, return_counts=True)
    usual = float(lengths[often.argmax()])
    if often.max() < _REGULAR * steps.size:
        return
    holes = np.flatnonzero(steps > 1.5 * usual)
    if 0 < holes.size <= _FEW * steps.size:
        mask = np.isin(stamps, single[holes + 1])
        absent = int(sum(round(steps[hole] / usual) - 1 for hole in holes))
        sentence = (
            f"column '{name}' steps by {usual / _SECOND:g} s, but there are {holes.size} holes with {absent} stamps "
            "absent; the rows after them are told"
        )
        yield Fault.at(case.tell(Anomaly.HOLES_IN_TIME, name, sentence, (absent, 0), count=absent), mask)
    again = int((counts - 1).sum())
    if 0 < again <= _FEW * known.size:
        mask = np.isin(stamps, single[counts > 1])
        sentence = f"column '{name}' has {again} stamps that stand more than once"
        yield Fault.at(case.tell(Anomaly.REPEATED_STAMPS, name, sentence, (again, 0), count=again), mask)


def _micros(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * _SECOND
