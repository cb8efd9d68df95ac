"""TensorFlow Data Validation's drift score, for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.jensen_shannon import JensenShannon, divergence
from keepfit.watch.permutation import chance, deals, groups
from keepfit.watch.samples import SILENT, is_categorical, missing_last


@dataclass(frozen=True)
class TFDV:
    """TensorFlow Data Validation's Jensen-Shannon divergence: each side over `bins` equal widths of its own range.

    The statistic is theirs: both histograms cut at the edges of either, as if a bin's values lay evenly in it; missing
    values are passed over. It says little by itself, because one outlier changes every bin of its side. So the p-value
    comes from dealing the rows anew, and the effect is the root of what lies beyond the median of such deals. Text
    is compared as JensenShannon does. Use JensenShannon; this is for those who come from TFDV.

    >>> TFDV().score(np.arange(1000.0), np.arange(1000.0) + 5000).statistic
    1.0
    """

    bins: int = 10
    seed: int = 0

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if is_categorical(reference) or is_categorical(window):
            return JensenShannon().score(reference, window)
        old, new = (np.sort(sample[np.isfinite(sample)]) for sample in map(missing_last, (reference, window)))
        if not old.size or not new.size:
            return SILENT
        statistic = _aligned(*_histogram(old, self.bins), *_histogram(new, self.bins))
        pooled = np.sort(np.concatenate([old, new]), kind="stable")
        ends = groups(pooled)
        values, counts = pooled[ends], np.diff(ends, prepend=-1)
        null = np.array(
            [
                _aligned(*_weighted(values, dealt, self.bins), *_weighted(values, counts - dealt, self.bins))
                for dealt in deals(ends, old.size, seed=self.seed)
            ]
        )
        return Score(statistic, chance(statistic, null), sqrt(max(0.0, statistic - float(np.median(null)))))


def _histogram(values: NDArray[np.float64], bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts, edges = np.histogram(values, bins=bins, range=(values[0], values[-1]))
    return counts.astype(np.float64), edges


def _weighted(
    values: NDArray[np.float64], counts: NDArray[np.float64], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The histogram of sorted values that occur `counts` times."""
    there = np.flatnonzero(counts)
    low, high = float(values[there[0]]), float(values[there[-1]])
    if low == high:
        low, high = low - 0.5, high + 0.5  # as numpy has it
    places = np.minimum((values[there] - low) * (bins / (high - low)), bins - 1).astype(np.int64)
    return np.bincount(places, counts[there], bins).astype(np.float64), np.linspace(low, high, bins + 1)


def _aligned(
    counts: NDArray[np.float64], edges: NDArray[np.float64], other: NDArray[np.float64], its: NDArray[np.float64]
) -> float:
    """The divergence of two histograms, both cut at the edges of either."""
    places = np.unique(np.concatenate([edges, its]))
    shares = [
        np.diff(np.interp(places, at, np.concatenate([[0.0], many.cumsum() / many.sum()])))
        for many, at in ((counts, edges), (other, its))
    ]
    return divergence(*shares)
