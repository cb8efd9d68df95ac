"""The largest change of one value's share."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import Cells, cells, cells_of
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import SILENT, require_bins


@dataclass(frozen=True)
class LInfinity:
    """The L-infinity distance over shared cells: by how much the share of one category or bin changed most.

    Categories are compared one by one (TFDV's measure for text), numbers in `bins` quantile bins of the reference.
    The p-value is Bonferroni's over the cells of a two-sided normal test of each share, with Yates' correction.
    Statistic and effect are the distance.

    >>> LInfinity().score(np.array(["a", "b"] * 50), np.array(["a", "a", "a", "b"] * 25)).statistic
    0.25
    """

    bins: int = 10

    def __post_init__(self) -> None:
        require_bins(self.bins)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if not reference.size or not window.size:
            return SILENT
        return self._scored(cells(reference, window, bins=self.bins, merge=False))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        return self._scored(cells_of(both, bins=self.bins, merge=False)) if all(both.sizes) else SILENT

    def _scored(self, found: Cells) -> Score:
        m, n = found.reference.sum(), found.window.sum()
        distance = float(np.abs(found.reference / m - found.window / n).max())
        sure = distance - (1 / m + 1 / n) / 2
        if sure <= 0:
            return Score(distance, 1.0, distance)
        rows, many = np.unique(found.reference + found.window, return_counts=True)  # equally frequent cells are alike
        spread = np.sqrt(rows / (m + n) * (1 - rows / (m + n)) / found.effective)
        chances = [count * erfc(sure / width / sqrt(2)) for width, count in zip(spread, many, strict=True) if width]
        return Score(distance, min(1.0, float(sum(chances))), distance)
