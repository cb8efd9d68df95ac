"""ADWIN, the adaptive window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, as_shares, follow, moved

_AT_ONCE = 128
"""Looks that are taken together, few enough to stay in the processor's cache."""
_PIECE = 32_768


@dataclass(frozen=True)
class ADWIN:
    """Bifet & Gavaldà's (2007) adaptive window: some cut parts it into halves whose means differ beyond a bound.

    Alarms are river's, which looks every `clock` values at the cuts between the buckets of an exponential histogram
    with `buckets` buckets of a size. Where those buckets end depends on nothing but how many values there are, so many
    looks are taken at once. Its bound is for values in [0, 1]: losses that are not 0 and 1 are followed as their place
    among the reference's. p-value and effect are those of all detectors of sequences: see `keepfit.watch.sequential`.

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

    def alarms(self, losses: NDArray[np.float64], calm: int = 0) -> tuple[Alarm, ...]:
        """The alarms over a sequence."""
        return alarms(losses, self._first, calm=calm, piece=_PIECE)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(reference, window, name="ADWIN", raised=self._shares, judge=moved)

    def _shares(self, losses: NDArray[np.float64], rows: int) -> tuple[Alarm, ...]:
        return self.alarms(as_shares(losses, rows), rows)

    def _first(self, losses: NDArray[np.float64], calm: int) -> Alarm | None:
        centred = losses - losses.mean()
        sums = np.append(0.0, centred.cumsum())
        squares = np.append(0.0, (centred * centred).cumsum())
        for begin in range(0, losses.size // self.clock, _AT_ONCE):
            width = np.arange(begin + 1, min(begin + _AT_ONCE, losses.size // self.clock) + 1) * self.clock
            cuts, real = _cuts(begin, self.clock, self.buckets)
            beyond = self._beyond(width, cuts[:, : width.size], real[:, : width.size], (sums, squares))
            hit = np.flatnonzero((beyond > 0).any(axis=0) & (width > max(self.grace, calm)))
            if hit.size:
                return Alarm(int(width[hit[0]]) - 1, int(cuts[np.argmax(beyond[:, hit[0]]), hit[0]]))
        return None

    def _beyond(
        self,
        width: NDArray[np.int64],
        cuts: NDArray[np.int64],
        real: NDArray[np.bool_],
        totals: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """By how much the means on both sides of each cut differ beyond the bound, per cut and look."""
        sums, squares = totals
        total = sums[width]
        variance = np.maximum(squares[width] / width - (total / width) ** 2, 0.0)
        real = real & (cuts >= self.minimum) & (width - cuts >= self.minimum)
        before = np.where(real, cuts, self.minimum).astype(np.float64)
        after = np.where(real, width - cuts, self.minimum).astype(np.float64)
        below = sums[cuts]
        apart = np.abs(below / before - (total - below) / after)
        inverse = 1 / (before - (self.minimum - 1)) + 1 / (after - (self.minimum - 1))
        doubt = np.log(2 * np.log(np.maximum(width, 2)) / self.delta)
        bound = np.sqrt(2 * variance * doubt * inverse) + 2 / 3 * doubt * inverse
        return np.where(real, apart - bound, -np.inf)


@lru_cache(maxsize=64)
def _cuts(begin: int, clock: int, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the buckets end at each look, the oldest first, and which of them there are; looks are counted from 0."""
    width = np.arange(begin + 1, begin + _AT_ONCE + 1) * clock
    came, held = width.copy(), []
    while came.any():
        over = np.maximum(came - buckets - 1, -1)
        held.append(np.where(over < 0, came, buckets - 1 + over % 2))
        came = np.where(over < 0, 0, over // 2 + 1)
    ends, real = [], []
    begun = np.zeros(width.size, dtype=np.int64)
    for level in range(len(held) - 1, -1, -1):
        for number in range(1, buckets + 1):
            ends.append(np.minimum(begun + (number << level), width))
            real.append(number <= held[level] - (level == 0))  # nothing comes after the newest
        begun = begun + (held[level] << level)
    return np.stack(ends), np.stack(real)
