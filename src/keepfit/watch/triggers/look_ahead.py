"""LookAhead: update before it is too late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Mark, Pulse
from keepfit.watch.triggers.series import marks, require, slope, worse


@dataclass(frozen=True)
class LookAhead:
    """When the live metric, going on as it does, will in `ahead` be worse by `margin` than it was at release.

    A least squares line through the values since the last update, at least `at_least` of them, one every `stride`
    labels. A slope of less than twice its standard error is taken for chance.
    """

    ahead: timedelta
    margin: float = 0.05
    at_least: int = 5
    stride: int = 100

    def __post_init__(self) -> None:
        if self.ahead <= timedelta(0):
            raise SpecInvalid(f"LookAhead.ahead: expected a timedelta above zero, found {self.ahead!r}")
        require("LookAhead.margin", self.margin, self.margin > 0, "a number above 0")
        require("LookAhead.at_least", self.at_least, self.at_least >= 3, "at least 3")
        require("LookAhead.stride", self.stride, self.stride >= 1, "at least 1")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire when the line leads too low."""
        known = tuple(mark for mark in marks(pulse, self.stride) if mark.time > pulse.since)
        if len(known) < self.at_least:
            return Decision(False, f"{len(known)} of {self.at_least} values for a trend since the last update")
        level, tilt, error = _line(known, pulse)
        if worse(tilt, 0.0, pulse) <= 2 * error:
            return Decision(False, f"no trend to the worse in {len(known)} values since the last update")
        awaited = level + tilt * self.ahead.total_seconds()
        base = level_at_release(pulse, known)
        told = f"{pulse.metric} will be {awaited:.4f} in {self.ahead}, it was {base:.4f} at release"
        return Decision(worse(awaited, base, pulse) >= self.margin, f"{told}; the alarm is at {self.margin:g} worse")


def level_at_release(pulse: Pulse, known: tuple[Mark, ...]) -> float:
    """What the live Version was when it was judged, else at the first mark."""
    return known[0].value if pulse.expected is None else pulse.expected


def _line(known: tuple[Mark, ...], pulse: Pulse) -> tuple[float, float, float]:
    """The line with time in seconds from now."""
    return slope([(mark.time - pulse.now).total_seconds() for mark in known], [mark.value for mark in known])
