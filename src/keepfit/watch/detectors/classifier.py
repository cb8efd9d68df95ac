"""The classifier two-sample test."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.logistic import expected, fit
from keepfit.watch.pooled import Pooled, pooled
from keepfit.watch.samples import SILENT, missing_last, require_bins

_TAUGHT = 20_000
"""Rows of either sample that the classifier learns from, at most."""
_MOST = 50
"""Categories that it tells apart."""


@dataclass(frozen=True)
class Classifier:
    """A classifier learns to tell window from reference and is examined on rows it has not seen (Lopez-Paz 2017).

    A logistic regression of the value's place among `bins` quantile bins, or of the category. The statistic is its
    area under the ROC curve on the other half of the rows; the p-value that of Mann and Whitney's test of its answers
    (midranks, one-sided), which holds whatever was learnt. The effect is 2 AUC - 1.

    >>> random = np.random.default_rng(0)
    >>> Classifier().score(random.normal(size=500), random.normal(3, size=500)).statistic > 0.9
    True
    """

    bins: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require_bins(self.bins)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        return self.compare(pooled(reference, window))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        if min(both.sizes) < 4:
            return SILENT
        counts = _by_frequency(both.counts) if both.values is None else _by_size(both.values, both.counts, self.bins)
        # by the rows as well: one split of few cells, the same for every look, may favour alarms at each of them
        taught = _taught(counts, np.random.default_rng([self.seed, crc32(counts.tobytes())]))
        known = np.eye(len(counts))
        truth = np.repeat([0.0, 1.0], len(counts))
        weights = fit(np.concatenate([known, known]), truth, times=taught.T.ravel())
        area, p_value = mann_whitney(expected(known, weights), counts - taught)
        return Score(area, p_value, min(1.0, max(0.0, 2 * area - 1)))


def _by_size(every: NDArray[np.float64], rows: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """The rows of either sample in each quantile bin of all together."""
    values = missing_last(every)
    asked = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(values, asked, method="inverted_cdf", weights=rows.sum(axis=1)))
    edges = np.unique(np.concatenate([np.nextafter(edges, -np.inf), edges]))
    places = np.searchsorted(edges, values, side="left")
    counts = np.stack([np.bincount(places, side) for side in rows.T], axis=1).astype(np.float64)
    return counts[counts.any(axis=1)]


def _by_frequency(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows of either sample in each category, the most frequent first; the rarest share one."""
    ordered = counts[np.argsort(-counts.sum(axis=1), kind="stable")]
    rest = ordered[_MOST:].sum(axis=0, keepdims=True)
    return np.concatenate([ordered[:_MOST], rest]) if rest.any() else ordered


def _taught(counts: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Of the rows in each cell those to learn from: half of either sample, at most so many; the rest is asked."""
    sides = []
    for side in counts.T.astype(np.int64):
        half = min(int(side.sum()) // 2, _TAUGHT)
        sides.append(random.multivariate_hypergeometric(side, half, method="marginals"))
    return np.stack(sides, axis=1).astype(np.float64)


def mann_whitney(answers: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """The area under the ROC curve, and the chance of one as large where the answers mean nothing.

    `counts` says how many rows of either sample got each answer, shape (answers, 2). The normal approximation with ties
    and continuity correction (Mann & Whitney 1947).
    """
    different, place = np.unique(answers, return_inverse=True)
    old, new = (np.bincount(place, side, minlength=different.size) for side in counts.T)
    equal = old + new
    m, n, both = float(old.sum()), float(new.sum()), float(equal.sum())
    wins = float(new @ (old.cumsum() - old / 2))
    ties = float((equal**3 - equal).sum()) / (both * (both - 1))
    spread = sqrt(max(0.0, m * n / 12 * (both + 1 - ties)))
    if spread == 0:
        return 0.5, 1.0
    return wins / (m * n), 0.5 * erfc((wins - m * n / 2 - 0.5) / spread / sqrt(2))
