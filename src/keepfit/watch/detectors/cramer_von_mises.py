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
from keepfit.watch.samples import SILENT, is_categorical, missing_last


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
        if is_categorical(reference) or is_categorical(window):
            return ChiSquare().score(reference, window)
        if not reference.size or not window.size:
            return SILENT
        m, n = reference.size, window.size
        ranks_old, ranks_new = _midranks(np.sort(missing_last(reference)), np.sort(missing_last(window)))
        gaps = m * float(((ranks_old - np.arange(1, m + 1)) ** 2).sum())
        gaps += n * float(((ranks_new - np.arange(1, n + 1)) ** 2).sum())
        both, product = m + n, m * n
        statistic = gaps / (product * both) - (4 * product - 1) / (6 * both)
        mean = (1 + 1 / both) / 6
        variance = (both + 1) * (4 * product * both - 3 * (m * m + n * n) - 2 * product) / (180 * both**2 * product)
        if variance <= 0:
            return SILENT
        p_value = cramer_von_mises(1 / 6 + (statistic - mean) / sqrt(45 * variance))
        return Score(statistic, p_value, min(1.0, sqrt(max(0.0, 3 * (statistic - mean) * both / product))))


def _midranks(old: NDArray[np.float64], new: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ranks of two sorted samples among both together, equal values sharing the middle of theirs."""
    return tuple(  # type: ignore[return-value] # two in, two out
        0.5
        * sum(
            np.searchsorted(there, here, side="left") + np.searchsorted(there, here, side="right")
            for there in (old, new)
        )
        + 0.5
        for here in (old, new)
    )
