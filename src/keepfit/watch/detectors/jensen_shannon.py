"""The Jensen-Shannon divergence."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import Cells, cells, cells_of
from keepfit.watch.distributions import chi_square
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import SILENT, require_bins


@dataclass(frozen=True)
class JensenShannon:
    """Jensen and Shannon's divergence (Lin 1991) over shared cells: categories, or `bins` quantile bins.

    The statistic is the divergence in bits, 0 to 1. Without a change 8 ln(2) mn/(m+n) times it follows chi-square
    (Menéndez et al. 1997), hence the p-value; a small one of few rows is confirmed by dealing these anew. The effect
    is its square root, the distance, less in quadrature what chance alone explains: about 0.4 for a shift by one
    standard deviation.

    >>> score = JensenShannon().score(np.array(["a"] * 500), np.array(["b"] * 500))
    >>> score.statistic, score.effect > 0.99
    (1.0, True)
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
        bits = float(_of_counts(found.reference, found.window))
        scale = 8 * log(2) * found.effective
        effect = sqrt(max(0.0, bits - found.freedom / scale))
        return Score(bits, found.chance(chi_square(bits * scale, found.freedom), bits, _of_counts), effect)


def _of_counts(reference: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    return divergence(*(side / side.sum(axis=-1, keepdims=True) for side in (reference, window)))


def divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Jensen-Shannon divergence of distributions over the same cells (the last axis), in bits."""
    middle = (p + q) / 2
    return np.clip((_relative(p, middle) + _relative(q, middle)) / 2, 0.0, 1.0)


def _relative(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    some = p > 0
    ratio = np.divide(p, q, out=np.ones_like(p), where=some)
    entropy: NDArray[np.float64] = np.where(some, p * np.log2(ratio), 0.0).sum(axis=-1)
    return entropy
