"""The population stability index."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import cells
from keepfit.watch.distributions import chi_square
from keepfit.watch.samples import SILENT, require_bins


@dataclass(frozen=True)
class PSI:
    """The population stability index over shared cells: categories, or `bins` quantile bins of the reference.

    The statistic is the index itself, with half a row added to every cell. Without a change, mn/(m+n) times the
    index follows chi-square (Yurdakul 2018), hence the p-value; no rule of thumb is needed. The effect is
    1 - exp(-index), less the index that chance alone explains: about the index while that is small.

    >>> PSI().score(np.arange(1000.0), np.arange(1000.0) + 500).effect > 0.5
    True
    """

    bins: int = 10

    def __post_init__(self) -> None:
        require_bins(self.bins)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if not reference.size or not window.size:
            return SILENT
        found = cells(reference, window, bins=self.bins)
        old, new = _smoothed(found.reference), _smoothed(found.window)
        index = float(((old - new) * np.log(old / new)).sum())
        beyond_chance = max(0.0, index - found.freedom / found.effective)
        return Score(index, chi_square(index * found.effective, found.freedom), -expm1(-beyond_chance))


def _smoothed(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (counts + 0.5) / (counts.sum() + 0.5 * counts.size)
    return shares
