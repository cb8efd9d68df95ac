"""Wasserstein's distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.permutation import Deal, groups, simulated
from keepfit.watch.pooled import Pooled, pooled
from keepfit.watch.samples import SILENT


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
        return self.compare(pooled(reference, window))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        if both.values is None:
            return ChiSquare().compare(both)
        m, n = both.sizes
        if not m or not n:
            return SILENT
        values, rows = _finite(both.values), both.counts.sum(axis=1)
        below = both.counts.cumsum(axis=0) / (m, n)
        distance = float(np.abs(below[:-1, 0] - below[:-1, 1]) @ np.diff(values))
        if distance == 0:
            return SILENT
        last = groups(both.ends)
        p_value, usual = simulated(distance, _distances(values, rows, last), both.ends[last], first=m, seed=self.seed)
        deviation = _deviation(values, both.counts[:, 0]) or _deviation(values, rows)
        return Score(distance, p_value, min(1.0, max(0.0, distance - usual) / deviation))


def _deviation(values: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    """The standard deviation of values that stand for so many rows each."""
    mean = np.average(values, weights=rows)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=rows)))


def _distances(values: NDArray[np.float64], rows: NDArray[np.float64], last: NDArray[np.int64]) -> Deal:
    """What gives the distance in each of many deals of the rows, a group of rows standing where its mean is."""
    begin = np.concatenate([[0], last[:-1] + 1])
    counts = np.add.reduceat(rows, begin)
    gaps = np.diff(np.add.reduceat(values * rows, begin) / counts)

    def distances(dealt: NDArray[np.float64]) -> NDArray[np.float64]:
        rest = counts - dealt
        apart = dealt.cumsum(axis=1) / dealt[0].sum() - rest.cumsum(axis=1) / rest[0].sum()
        found: NDArray[np.float64] = np.abs(apart[:, :-1]) @ gaps
        return found

    return distances


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values with what is missing or endless put one range beyond the known ones."""
    known = values[np.isfinite(values)]
    low, high = (float(known[0]), float(known[-1])) if known.size else (0.0, 0.0)
    reach = (high - low) or 1.0
    return np.nan_to_num(values, nan=high + 2 * reach, posinf=high + reach, neginf=low - reach)
