"""The classifier two-sample test."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.coded import shared
from keepfit.watch.logistic import expected, fit
from keepfit.watch.samples import SILENT, is_categorical, missing_last, require_bins

_TAUGHT = 20_000
"""Rows that the classifier learns from, at most."""


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
        if min(reference.size, window.size) < 4:
            return SILENT
        places = _places(reference, window, self.bins)
        truth = np.repeat([0.0, 1.0], [reference.size, window.size])
        taught, asked = _split(truth, np.random.default_rng(self.seed))
        known = np.eye(int(places.max()) + 1)
        weights = fit(known[places[taught]], truth[taught])
        answers = expected(known, weights)[places[asked]]
        area, p_value = mann_whitney(answers, truth[asked])
        return Score(area, p_value, min(1.0, max(0.0, 2 * area - 1)))


def _places(reference: NDArray[Any], window: NDArray[Any], bins: int) -> NDArray[np.int64]:
    """The category or bin of each row, of all together."""
    if is_categorical(reference) or is_categorical(window):
        return _by_frequency(np.concatenate(shared(reference, window)))
    return _by_size(np.concatenate([missing_last(reference), missing_last(window)]), bins)


def _by_size(pooled: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """The quantile bin of each row, of all together."""
    edges = np.unique(np.quantile(pooled, np.arange(1, bins) / bins, method="inverted_cdf"))
    edges = np.unique(np.concatenate([np.nextafter(edges, -np.inf), edges]))
    return np.searchsorted(edges, pooled, side="left")


def _by_frequency(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The category of each row, the most frequent one first; the rarest share one."""
    counts = np.bincount(codes)
    rank = np.empty(counts.size, dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(counts.size)
    return np.minimum(rank[codes], 50)


def _split(truth: NDArray[np.float64], random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows to learn from and the rows to be asked about; half of either sample, but at most so many to learn."""
    taught, asked = [], []
    for side in (0.0, 1.0):
        rows = random.permutation(np.flatnonzero(truth == side))
        half = min(rows.size // 2, _TAUGHT)
        taught.append(rows[:half])
        asked.append(rows[half:])
    return np.concatenate(taught), np.concatenate(asked)


def mann_whitney(answers: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """The area under the ROC curve, and the chance of one as large where the answers mean nothing.

    The normal approximation with ties and continuity correction (Mann & Whitney 1947).
    """
    _, place, counts = np.unique(answers, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    m, n = float((truth == 0).sum()), float((truth == 1).sum())
    wins = float(middle[place][truth == 1].sum()) - n * (n + 1) / 2
    both = m + n
    ties = float((counts.astype(np.float64) ** 3 - counts).sum()) / (both * (both - 1))
    spread = sqrt(max(0.0, m * n / 12 * (both + 1 - ties)))
    if spread == 0:
        return 0.5, 1.0
    return wins / (m * n), 0.5 * erfc((wins - m * n / 2 - 0.5) / spread / sqrt(2))
