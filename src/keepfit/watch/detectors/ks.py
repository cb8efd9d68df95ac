"""Kolmogorov and Smirnov's test."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.distributions import kolmogorov
from keepfit.watch.gaps import largest_gap
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import SILENT, is_categorical, missing_last


@dataclass(frozen=True)
class KS:
    """Kolmogorov and Smirnov's two-sample test: the largest distance between two distribution functions.

    Statistic and effect are that distance: at least that share of the rows lies elsewhere. The p-value is the
    asymptotic one with Stephens' (1970) correction for small samples; ties make it cautious. Text has no order and
    is left to ChiSquare.

    >>> KS().score(np.arange(100.0), np.arange(100.0) + 50).statistic
    0.5
    """

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if is_categorical(reference) or is_categorical(window):
            return ChiSquare().score(reference, window)
        if not reference.size or not window.size:
            return SILENT
        old, new = missing_last(reference), missing_last(window)
        return _scored(largest_gap(old, new), old.size, new.size)

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        if both.values is None:
            return ChiSquare().compare(both)
        m, n = both.sizes
        if not m or not n:
            return SILENT
        shares = both.counts.cumsum(axis=0) / (m, n)
        return _scored(float(np.abs(shares[:, 0] - shares[:, 1]).max()), m, n)


def _scored(distance: float, m: int, n: int) -> Score:
    root = sqrt(m * n / (m + n))
    return Score(distance, kolmogorov((root + 0.12 + 0.11 / root) * distance), distance)
