"""TensorFlow Data Validation's drift score, for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.jensen_shannon import JensenShannon, divergence
from keepfit.watch.permutation import groups, simulated
from keepfit.watch.pooled import Pooled, pooled
from keepfit.watch.samples import SILENT


@dataclass(frozen=True)
class TFDV:
    """TensorFlow Data Validation's Jensen-Shannon divergence: each side over `bins` equal widths of its own range.

    The statistic is theirs: both histograms cut at the edges of either, as if a bin's values lay evenly in it; missing
    values are passed over. It says little by itself, because one outlier changes every bin of its side. So the p-value
    comes from dealing the rows anew, and the effect is the root of what lies beyond the median of such deals. Text
    is compared as JensenShannon does. Use JensenShannon; this is for those who come from TFDV.

    >>> round(TFDV().score(np.arange(1000.0), np.arange(1000.0) + 5000).statistic, 9)
    1.0
    """

    bins: int = 10
    seed: int = 0

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        return self.compare(pooled(reference, window))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        if both.values is None:
            return JensenShannon().compare(both)
        finite = np.isfinite(both.values)
        every, known = both.values[finite], Pooled(both.values[finite], both.counts[finite])
        if not all(known.sizes):
            return SILENT
        statistic = float(_apart(*(_of_values(every, side, self.bins) for side in known.counts.T))[0])
        last = groups(known.ends)
        ends = known.ends[last]
        values, counts = every[last], np.diff(ends, prepend=-1)

        def deal(dealt: NDArray[np.float64]) -> NDArray[np.float64]:
            return _apart(_of_groups(values, dealt, self.bins), _of_groups(values, counts - dealt, self.bins))

        p_value, usual = simulated(statistic, deal, ends, first=known.sizes[0], seed=self.seed)
        return Score(statistic, p_value, sqrt(max(0.0, statistic - usual)))


@dataclass(frozen=True)
class _Histograms:
    """Shares of rows in bins of one width, and where the first begins and the last ends; a row per histogram."""

    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def edges(self) -> NDArray[np.float64]:
        """Where the bins end."""
        return np.linspace(self.low, self.high, self.shares.shape[1] + 1, axis=1)

    def below(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of rows below each place, as if a bin's rows lay evenly in it."""
        bins = self.shares.shape[1]
        at = np.clip((places - self.low[:, None]) * (bins / (self.high - self.low))[:, None], 0, bins)
        whole = np.minimum(at.astype(np.int64), bins - 1)
        sums = np.cumsum(self.shares, axis=1) - self.shares
        inside: NDArray[np.float64] = np.take_along_axis(self.shares, whole, axis=1) * (at - whole)
        return inside + np.take_along_axis(sums, whole, axis=1)


def _of_values(values: NDArray[np.float64], rows: NDArray[np.float64], bins: int) -> _Histograms:
    """The histogram of sorted values that stand for so many rows each."""
    there = values[rows > 0]
    counts, edges = np.histogram(there, bins=bins, range=(there[0], there[-1]), weights=rows[rows > 0])
    return _Histograms(counts[None, :] / rows.sum(), edges[:1], edges[-1:])


def _of_groups(values: NDArray[np.float64], counts: NDArray[np.float64], bins: int) -> _Histograms:
    """The histogram of sorted values that occur `counts` times, per row of these."""
    there = counts > 0
    low, high = values[there.argmax(axis=1)], values[::-1][there[:, ::-1].argmax(axis=1)]
    low, high = np.where(low == high, low - 0.5, low), np.where(low == high, high + 0.5, high)  # as numpy has it
    places = (values - low[:, None]) * (bins / (high - low))[:, None]
    places = np.clip(places, 0, bins - 1).astype(np.int64) + bins * np.arange(len(counts))[:, None]
    found = np.bincount(places.ravel(), counts.ravel(), bins * len(counts)).reshape(-1, bins)
    return _Histograms(found / found.sum(axis=1, keepdims=True), low, high)


def _apart(one: _Histograms, other: _Histograms) -> NDArray[np.float64]:
    """The divergences of histograms, both cut at the edges of either."""
    places = np.sort(np.concatenate([one.edges(), other.edges()], axis=1), axis=1)
    inside = (np.diff(side.below(places), axis=1) for side in (one, other))
    return divergence(*(np.maximum(shares, 0.0) for shares in inside))  # rounding may have made some negative
