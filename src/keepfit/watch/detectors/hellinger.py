"""Hellinger's distance."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import cells
from keepfit.watch.distributions import chi_square
from keepfit.watch.samples import SILENT, require_bins


@dataclass(frozen=True)
class Hellinger:
    """Hellinger's distance over shared cells: categories, or `bins` quantile bins of the reference.

    The statistic is the distance, 0 to 1. Without a change 8 mn/(m+n) times its square follows chi-square (Freeman
    & Tukey 1950), hence the p-value. The effect is the distance less in quadrature what chance alone explains.

    >>> Hellinger().score(np.array(["a"] * 50), np.array(["b"] * 50)).statistic
    1.0
    """

    bins: int = 10

    def __post_init__(self) -> None:
        require_bins(self.bins)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if not reference.size or not window.size:
            return SILENT
        found = cells(reference, window, bins=self.bins)
        p, q = found.reference / found.reference.sum(), found.window / found.window.sum()
        square = min(1.0, 0.5 * float(((np.sqrt(p) - np.sqrt(q)) ** 2).sum()))
        scale = 8 * found.effective
        effect = sqrt(max(0.0, square - found.freedom / scale))
        return Score(sqrt(square), chi_square(square * scale, found.freedom), effect)
