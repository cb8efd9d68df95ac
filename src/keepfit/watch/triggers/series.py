"""Series: what triggers read out of the marks of a Pulse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import isnan

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Mark, Pulse
from keepfit.core.protocols import Trigger


@dataclass(frozen=True)
class Strides:
    """After how many new labels, or new Records, the live Version is to be marked again; 0 where nobody asks."""

    labels: int = 0
    records: int = 0


def strides(triggers: Iterable[Trigger]) -> Strides:
    """The finest strides that triggers ask for, those inside of others included."""
    labels, records = [], []
    for trigger in triggers:
        inner = strides(getattr(trigger, "triggers", ()))
        own, of_records = int(getattr(trigger, "stride", 0)), bool(getattr(trigger, "on_records", False))
        labels += [inner.labels, 0 if of_records else own]
        records += [inner.records, own if of_records else 0]
    return Strides(*(min(filter(None, found), default=0) for found in (labels, records)))


def marks(pulse: Pulse, stride: int) -> tuple[Mark, ...]:
    """The marks with at least half a stride of labels, oldest first; fewer say little."""
    return tuple(mark for mark in pulse.marks if mark.rows >= max(1, stride // 2) and not isnan(mark.value))


def newest(pulse: Pulse, stride: int) -> tuple[Mark | None, tuple[Mark, ...]]:
    """The newest mark, None where none was taken since the last update; and those before it, of whatever Version."""
    known = marks(pulse, stride)
    if not known or known[-1].time <= pulse.since:
        return None, known
    return known[-1], known[:-1]


def worse(value: float, than: float, pulse: Pulse) -> float:
    """By how much a value of the Service's metric is worse than another one; negative where it is better."""
    return than - value if pulse.higher else value - than


def regret(pulse: Pulse, expected: float | None, *, lately: int = 0) -> float | None:
    """What not updating has cost since the last update: answers that would have been right (for numbers: loss).

    Every mark adds its rows times what its accuracy lacks of the accuracy expected: `expected`, else that at release,
    or where it is more what was `reached` in the last `lately` marks before it. What is won back by better stretches is
    taken off, but never below zero: luck is not saved up. None where there is nothing to compare with. For numbers the
    Service's metric stands in for the accuracy.
    """
    total, compared = 0.0, False
    for place, mark in enumerate(pulse.marks):
        if mark.time <= pulse.since or not mark.rows:
            continue
        before = pulse.marks[max(0, place - lately) : place]
        known = pulse.expected_accuracy if expected is None else expected
        known = reached(known, [one.accuracy for one in before], most=lately, higher=True)
        lack = None if known is None or isnan(mark.accuracy) else known - mark.accuracy
        if lack is None and isnan(mark.accuracy) and not isnan(mark.value):
            known = pulse.expected if expected is None else expected
            known = reached(known, [one.value for one in before], most=lately, higher=pulse.higher)
            lack = None if known is None else worse(mark.value, known, pulse)
        if lack is not None:
            total, compared = max(0.0, total + mark.rows * lack), True
    return round(total, 9) if compared else None  # the sum of shares of rows is rarely whole to the last bit


def reached(known: float | None, values: Sequence[float], *, most: int, higher: bool) -> float | None:
    """The better of what is known and the mean of the best third of some values; half of `most` must be there.

    A model made while the world was changing is judged on rows of a change, and expects too little of the next one.

    >>> reached(0.6, [0.5, 0.9, 0.6], most=4, higher=True), reached(0.6, [0.9], most=4, higher=True)
    (0.9, 0.6)
    """
    there = sorted((one for one in values if not isnan(one)), reverse=higher)
    if not there or len(there) < most / 2:
        return known
    best = there[: max(1, most // 3)]
    lately = sum(best) / len(best)
    return lately if known is None else max(known, lately) if higher else min(known, lately)


def slope(times: Sequence[float], values: Sequence[float]) -> tuple[float, float, float]:
    """The least squares line through points: its level at time 0, its slope, and the slope's standard error."""
    n = len(times)
    middle, level = sum(times) / n, sum(values) / n
    spread = sum((time - middle) ** 2 for time in times)
    if n < 3 or spread == 0:
        return level, 0.0, float("inf")
    tilt = sum((time - middle) * (value - level) for time, value in zip(times, values, strict=True)) / spread
    left = sum((value - level - tilt * (time - middle)) ** 2 for time, value in zip(times, values, strict=True))
    return level - tilt * middle, tilt, (left / (n - 2) / spread) ** 0.5


def rounded(passed: timedelta) -> timedelta:
    """Whole seconds: a reason that changes every microsecond would be a new fact every microsecond."""
    return timedelta(seconds=int(passed.total_seconds()))


def require_some(name: str, triggers: Sequence[Trigger]) -> None:
    """SpecInvalid where a trigger of triggers has none."""
    if not triggers:
        raise SpecInvalid(f"{name}.triggers: expected at least one trigger, found none; it would never mean anything")


def require(name: str, value: float, holds: bool, expected: str) -> None:
    """SpecInvalid where a parameter is not what is expected."""
    if not holds:
        raise SpecInvalid(f"{name}: expected {expected}, found {value!r}")
