"""Pearson's chi-square test."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import Cells, cells, cells_of
from keepfit.watch.distributions import chi_square
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import SILENT, require_bins


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's chi-square test on shared cells: categories, or `bins` quantile bins of the reference.

    The statistic is Pearson's, the effect the total variation distance (the share of rows that would have to move),
    less in quadrature what two samples of one population would show by chance.

    >>> score = ChiSquare().score(np.array(["a", "b"] * 50), np.array(["a", "a", "a", "b"] * 25))
    >>> round(score.statistic, 3), round(score.p_value, 5)
    (13.333, 0.00026)
    """

    bins: int = 10

    def __post_init__(self) -> None:
        require_bins(self.bins)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if not reference.size or not window.size:
            return SILENT
        return scored(cells(reference, window, bins=self.bins))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        return scored(cells_of(both, bins=self.bins)) if all(both.sizes) else SILENT


def scored(found: Cells) -> Score:
    """The test of rows that have been counted."""
    statistic = _pearson(found)
    return Score(statistic, chi_square(statistic, found.freedom), _moved(found))


def _pearson(found: Cells) -> float:
    m, n = found.reference.sum(), found.window.sum()
    gap = found.reference / m - found.window / n
    pooled = (found.reference + found.window) / (m + n)
    return float((gap * gap / pooled).sum() * found.effective)


def _moved(found: Cells) -> float:
    m, n = found.reference.sum(), found.window.sum()
    moved = 0.5 * np.abs(found.reference / m - found.window / n).sum()
    pooled = (found.reference + found.window) / (m + n)
    by_chance = 0.5 * sqrt(2 / pi) * np.sqrt(pooled * (1 - pooled) / found.effective).sum()
    return float(sqrt(max(0.0, moved**2 - by_chance**2)))
