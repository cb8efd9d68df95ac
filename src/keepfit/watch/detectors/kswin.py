"""KSWIN, Kolmogorov and Smirnov's test in a sliding window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, changed, follow

_DRAWN = 16_384
_AT_ONCE = 256


@dataclass(frozen=True)
class KSWIN:
    """Raab et al.'s (2020) test: the newest `recent` values against as many drawn from the older ones in the window.

    Alarms are river's for the same seed, up to 16,384 values after the last alarm; then the same draws come again.
    p-value and effect are those of all detectors of sequences (see `keepfit.watch.sequential`), for any change.

    >>> random = np.random.default_rng(0)
    >>> KSWIN().score(random.normal(size=500), random.normal(2, 4, size=500)).p_value < 0.01
    True
    """

    alpha: float = 0.005
    size: int = 100
    recent: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or not 0 < self.recent <= self.size - self.recent:
            raise SpecInvalid(
                f"KSWIN: expected alpha between 0 and 1 and recent of at most half of size, found {self.alpha}, "
                f"{self.recent}, {self.size}"
            )

    def alarms(self, losses: NDArray[np.float64], calm: int = 0) -> tuple[Alarm, ...]:
        """The alarms over a sequence."""
        return alarms(losses, self._first, calm=calm)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(reference, window, name="KSWIN", raised=self.alarms, judge=changed)

    def _first(self, losses: NDArray[np.float64], calm: int) -> Alarm | None:
        if losses.size < self.size:
            return None
        windows = np.lib.stride_tricks.sliding_window_view(losses, self.size)
        places = _draws(self.seed, self.size - self.recent, self.recent)
        needed = _critical(self.recent, self.alpha)
        for start in range(max(0, calm - self.size + 1), len(windows), _AT_ONCE):
            some = windows[start : start + _AT_ONCE]
            rows = np.arange(start, start + len(some)) % _DRAWN
            drawn = np.take_along_axis(some, places[rows], axis=1)
            over = _apart(drawn, some[:, self.size - self.recent :]) >= needed
            if over.any():
                at = start + int(np.argmax(over)) + self.size - 1
                return Alarm(at, at - self.recent + 1)
        return None


def _apart(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.int64]:
    """The largest distance of the distribution functions, in rows of one sample, for each pair."""
    both = np.concatenate([old, new], axis=1)
    order = np.argsort(both, axis=1, kind="stable")
    steps = np.where(order < old.shape[1], 1, -1).cumsum(axis=1)
    ordered = np.take_along_axis(both, order, axis=1)
    ends = np.concatenate([ordered[:, 1:] != ordered[:, :-1], np.ones((len(both), 1), dtype=bool)], axis=1)
    found: NDArray[np.int64] = np.where(ends, np.abs(steps), 0).max(axis=1)
    return found


@lru_cache(maxsize=4)
def _draws(seed: int, older: int, recent: int) -> NDArray[np.int64]:
    """Which of the older values are drawn at each step, as Python's generator draws them for river."""
    random = Random(seed)
    return np.array([random.sample(range(older), recent) for _ in range(_DRAWN)])


@lru_cache(maxsize=16)
def _critical(n: int, alpha: float) -> int:
    """The least distance, in rows, of two samples of n whose exact p-value is at most `alpha` (Gnedenko & Korolyuk)."""
    for rows in range(n // 10 + 1, n + 1):
        terms = ((-1) ** (j + 1) * comb(2 * n, n - j * rows) for j in range(1, n // rows + 1))
        if 2 * sum(terms) <= alpha * comb(2 * n, n):
            return rows
    return n + 1
