"""Cramér and von Mises' test."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.distributions import cramer_von_mises
from keepfit.watch.pooled import Pooled, pooled
from keepfit.watch.samples import SILENT


@dataclass(frozen=True)
class CramerVonMises:
    """Cramér and von Mises' two-sample test (Anderson 1962): the mean square of the gap between two distributions.

    The p-value is that of the limit, with the moments of the statistic set right for the sizes; ties (midranks) make
    it cautious. The effect is the root of the mean square gap beyond chance, times √3 so that two samples of one
    size which do not overlap have 1. Text has no order and is left to ChiSquare.

    >>> CramerVonMises().score(np.arange(100.0), np.arange(100.0) + 500).effect > 0.95
    True
    """

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
        gaps = float(_gaps(both.counts) @ (m, n))
        total, product = m + n, m * n
        statistic = gaps / (product * total) - (4 * product - 1) / (6 * total)
        mean = (1 + 1 / total) / 6
        variance = (total + 1) * (4 * product * total - 3 * (m * m + n * n) - 2 * product) / (180 * total**2 * product)
        if variance <= 0:
            return SILENT
        p_value = cramer_von_mises(1 / 6 + (statistic - mean) / sqrt(45 * variance))
        return Score(statistic, p_value, min(1.0, sqrt(max(0.0, 3 * (statistic - mean) * total / product))))


def _gaps(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of either sample the sum of squares of each row's rank among all rows less that in its sample.

    Equal values share the middle of their ranks; the sum over the rows of one value is in closed form.
    """
    equal = counts.sum(axis=1, keepdims=True)
    middle = equal.cumsum(axis=0) - (equal - 1) / 2
    own = counts.cumsum(axis=0) - (counts - 1) / 2
    squares: NDArray[np.float64] = (counts * (middle - own) ** 2 + counts * (counts**2 - 1) / 12).sum(axis=0)
    return squares
