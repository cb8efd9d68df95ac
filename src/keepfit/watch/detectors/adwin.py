"""ADWIN, the adaptive window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, follow, moved

_AT_ONCE = 1024
"""Checks that are made together."""


@dataclass(frozen=True)
class ADWIN:
    """Bifet & Gavaldà's (2007) adaptive window: some cut parts it into halves whose means differ beyond a bound.

    Alarms are river's, which looks every `clock` values at the cuts between the buckets of an exponential histogram
    with `buckets` buckets of a size. Where those buckets end depends on nothing but how many values there are, so many
    looks are taken at once. p-value and effect are those of all detectors of sequences: see `keepfit.watch.sequential`.

    >>> ADWIN().score(np.tile([0.0] * 9 + [1.0], 100), np.tile([0.0, 1.0], 200)).p_value < 0.01
    True
    """

    delta: float = 0.002
    clock: int = 32
    buckets: int = 5
    minimum: int = 5
    grace: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1 or min(self.clock, self.buckets, self.minimum) < 1:
            raise SpecInvalid(
                f"ADWIN: expected delta between 0 and 1 and clock, buckets and minimum of at least 1, found "
                f"{self.delta}, {self.clock}, {self.buckets}, {self.minimum}"
            )

    def alarms(self, losses: NDArray[np.float64]) -> tuple[Alarm, ...]:
        """The alarms over a sequence."""
        return alarms(losses, self._first)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(reference, window, name="ADWIN", raised=lambda all_, _: self.alarms(all_), judge=moved)

    def _first(self, losses: NDArray[np.float64]) -> Alarm | None:
        checks = np.arange(self.clock, losses.size + 1, self.clock)
        checks = checks[checks > self.grace]
        centred = losses - losses.mean()
        sums = np.append(0.0, centred.cumsum())
        squares = np.append(0.0, (centred * centred).cumsum())
        for start in range(0, checks.size, _AT_ONCE):
            width = checks[start : start + _AT_ONCE]
            beyond, cuts = self._beyond(width, sums, squares)
            hit = np.flatnonzero((beyond > 0).any(axis=1))
            if hit.size:
                return Alarm(int(width[hit[0]]) - 1, int(cuts[hit[0], np.argmax(beyond[hit[0]])]))
        return None

    def _beyond(
        self, width: NDArray[np.int64], sums: NDArray[np.float64], squares: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """By how much the means on both sides of each cut differ beyond the bound, per look and cut."""
        cuts, real = self._cuts(width)
        whole = width[:, None].astype(np.float64)
        total = sums[width][:, None]
        variance = squares[width][:, None] / whole - (total / whole) ** 2
        real &= (cuts >= self.minimum) & (whole - cuts >= self.minimum)
        before = np.where(real, cuts, self.minimum).astype(np.float64)
        after = np.where(real, whole - cuts, self.minimum)
        apart = np.abs(sums[cuts] / before - (total - sums[cuts]) / after)
        inverse = 1 / (before - self.minimum + 1) + 1 / (after - self.minimum + 1)
        doubt = np.log(2 * np.log(whole) / self.delta)
        bound = np.sqrt(2 * inverse * np.maximum(variance, 0.0) * doubt) + 2 / 3 * doubt * inverse
        return np.where(real, apart - bound, -np.inf), cuts

    def _cuts(self, width: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where the buckets end after so many values, the oldest first, and which of them there are."""
        came, held = width.copy(), []
        while came.any():
            over = np.maximum(came - self.buckets - 1, -1)
            held.append(np.where(over < 0, came, self.buckets - 1 + over % 2))
            came = np.where(over < 0, 0, over // 2 + 1)
        ends, real = [], []
        begun = np.zeros(width.size, dtype=np.int64)
        for level in range(len(held) - 1, -1, -1):
            for number in range(1, self.buckets + 1):
                ends.append(np.minimum(begun + (number << level), width))
                real.append(number <= held[level] - (level == 0))  # nothing comes after the newest
            begun = begun + (held[level] << level)
        return np.stack(ends, axis=1), np.stack(real, axis=1)
