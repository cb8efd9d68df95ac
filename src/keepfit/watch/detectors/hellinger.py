"""Hellinger's distance."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import Cells, cells, cells_of
from keepfit.watch.distributions import chi_square
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import SILENT, require_bins


@dataclass(frozen=True)
class Hellinger:
    """Hellinger's distance over shared cells: categories, or `bins` quantile bins of the reference.

    The statistic is the distance, 0 to 1. Without a change 8 mn/(m+n) times its square follows chi-square (Freeman
    & Tukey 1950), hence the p-value; a small one of few rows is confirmed by dealing these anew. The effect is the
    distance less in quadrature what chance alone explains.

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
        return self._scored(cells(reference, window, bins=self.bins))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        return self._scored(cells_of(both, bins=self.bins)) if all(both.sizes) else SILENT

    def _scored(self, found: Cells) -> Score:
        square = float(_square(found.reference, found.window))
        scale = 8 * found.effective
        effect = sqrt(max(0.0, square - found.freedom / scale))
        p_value = found.chance(chi_square(square * scale, found.freedom), square, _square)
        return Score(sqrt(square), p_value, effect)


def _square(reference: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """The square of the distance, of counts in cells (the last axis)."""
    p, q = (np.sqrt(side / side.sum(axis=-1, keepdims=True)) for side in (reference, window))
    square: NDArray[np.float64] = np.minimum(1.0, 0.5 * ((p - q) ** 2).sum(axis=-1))
    return square
