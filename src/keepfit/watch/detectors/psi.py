"""The population stability index."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import Cells, cells, cells_of
from keepfit.watch.distributions import chi_square
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import SILENT, require_bins


@dataclass(frozen=True)
class PSI:
    """The population stability index over shared cells: categories, or `bins` quantile bins of the reference.

    The statistic is the index itself, with half a row added to every cell. Without a change, mn/(m+n) times the
    index follows chi-square (Yurdakul 2018), hence the p-value; a small one of few rows is confirmed by dealing these
    anew. No rule of thumb is needed. The effect is 1 - exp(-index), less the index that chance alone explains: about
    the index while that is small.

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
        return self._scored(cells(reference, window, bins=self.bins))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        return self._scored(cells_of(both, bins=self.bins)) if all(both.sizes) else SILENT

    def _scored(self, found: Cells) -> Score:
        index = float(_index(found.reference, found.window))
        beyond_chance = max(0.0, index - found.freedom / found.effective)
        p_value = found.chance(chi_square(index * found.effective, found.freedom), index, _index)
        return Score(index, p_value, -expm1(-beyond_chance))


def _index(reference: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """The index of counts in cells (the last axis)."""
    sides = (side + 0.5 for side in (reference, window))
    old, new = (side / side.sum(axis=-1, keepdims=True) for side in sides)
    index: NDArray[np.float64] = ((old - new) * np.log(old / new)).sum(axis=-1)
    return index
