"""Wasserstein's distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.permutation import Deal, groups, simulated
from keepfit.watch.samples import SILENT, is_categorical, numbers


@dataclass(frozen=True)
class Wasserstein:
    """Wasserstein's distance of order one: how far values have to move on average, in the units of the values.

    The p-value comes from dealing the rows anew (499 times, with a fitted tail). The effect is the distance beyond
    that of such deals in median, in standard deviations of the reference, at most 1. Missing and endless values stand
    one range of the known ones beyond these. Text has no distances and is left to ChiSquare.

    >>> round(Wasserstein().score(np.arange(100.0), np.arange(100.0) + 5).statistic, 9)
    5.0
    """

    seed: int = 0

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if is_categorical(reference) or is_categorical(window):
            return ChiSquare().score(reference, window)
        if not reference.size or not window.size:
            return SILENT
        old, new = (np.sort(sample) for sample in _finite(numbers(reference), numbers(window)))
        pooled = np.sort(np.concatenate([old, new]), kind="stable")
        gaps, places = np.diff(pooled), pooled[:-1]
        below = (np.searchsorted(sample, places, side="right") / sample.size for sample in (old, new))
        distance = float((np.abs(next(below) - next(below)) * gaps).sum())
        if distance == 0:
            return SILENT
        ends = groups(pooled)
        p_value, usual = simulated(distance, _distances(pooled, ends), ends, first=old.size, seed=self.seed)
        deviation = float(old.std()) or float(pooled.std())
        return Score(distance, p_value, min(1.0, max(0.0, distance - usual) / deviation))


def _distances(pooled: NDArray[np.float64], ends: NDArray[np.int64]) -> Deal:
    """What gives the distance in each of many deals of the rows, a group of rows standing where its mean is."""
    counts = np.diff(ends, prepend=-1)
    gaps = np.diff(np.add.reduceat(pooled, np.concatenate([[0], ends[:-1] + 1])) / counts)

    def distances(dealt: NDArray[np.float64]) -> NDArray[np.float64]:
        rest = counts - dealt
        apart = dealt.cumsum(axis=1) / dealt[0].sum() - rest.cumsum(axis=1) / rest[0].sum()
        found: NDArray[np.float64] = np.abs(apart[:, :-1]) @ gaps
        return found

    return distances


def _finite(*samples: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The samples with what is missing or endless put one range beyond the known values."""
    known = np.concatenate([sample[np.isfinite(sample)] for sample in samples])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    reach = (high - low) or 1.0
    return [np.nan_to_num(s, nan=high + 2 * reach, posinf=high + reach, neginf=low - reach) for s in samples]
