"""Shared cells: both samples counted over the same categories, or over bins between quantiles of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.watch.permutation import confirmed
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import by_value, missing_last

EXPECTED = 5.0
"""Cells are merged until the smaller sample expects as many rows in each (Cochran 1954)."""
_CONFIRMED = 5000
"""Up to so many rows chi-square is too bold for some statistics; of more, no effect by chance reaches a floor."""


Statistic = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""What is computed from how many rows of either sample lie in each cell (the last axis)."""


@dataclass(frozen=True)
class Cells:
    """How many rows of either sample lie in each shared cell."""

    reference: NDArray[np.float64]
    window: NDArray[np.float64]

    @property
    def effective(self) -> float:
        """The harmonic size mn/(m+n) of the two samples."""
        m, n = self.reference.sum(), self.window.sum()
        return float(m * n / (m + n))

    @property
    def freedom(self) -> int:
        """Degrees of freedom: cells less one."""
        return len(self.reference) - 1

    def chance(self, limit: float, statistic: float, of: Statistic) -> float:
        """The p-value of a limit distribution, held against dealing the rows anew where they are few."""
        both = self.reference + self.window
        ends = np.cumsum(both).astype(np.int64) - 1
        first = int(self.reference.sum())
        return confirmed(limit, statistic, lambda dealt: of(dealt, both - dealt), ends, first=first, most=_CONFIRMED)


def cells(reference: NDArray[Any], window: NDArray[Any], *, bins: int, merge: bool = True) -> Cells:
    """Count both samples in the same cells: categories, or bins between quantiles of the reference.

    Rare categories share one cell, thin bins join their neighbour, so that chi-square's approximation holds; without
    `merge` categories stay apart.
    """
    counts = by_value(reference, window)
    if counts is None:
        return _by_quantile(missing_last(reference), missing_last(window), bins)
    return of_categories(counts) if merge else Cells(counts[:, 0], counts[:, 1])


def cells_of(both: Pooled, *, bins: int, merge: bool = True) -> Cells:
    """The same of samples that have been counted."""
    if both.values is None or both.is_few:
        return of_categories(both.counts) if merge else Cells(both.counts[:, 0], both.counts[:, 1])
    values = missing_last(both.values)
    edges = _edges(values, bins, both.counts[:, 0])
    places = np.searchsorted(edges, values, side="left")
    return _joined([np.bincount(places, side, minlength=edges.size + 1) for side in both.counts.T])


def of_categories(counts: NDArray[np.float64]) -> Cells:
    """Cells of categories, of which `counts` has shape (categories, 2); the rare ones share a cell."""
    expected = counts.sum(axis=1) * _share(counts)
    kept, rare = counts[expected >= EXPECTED], counts[expected < EXPECTED]
    kept = kept[np.lexsort(kept.T)]  # in no order of rows or names
    if len(rare):
        other = rare.sum(axis=0, keepdims=True)
        if len(kept) and _share(counts) * other.sum() < EXPECTED:
            kept[np.argmin(kept.sum(axis=1))] += other[0]
        else:
            kept = np.concatenate([kept, other])
    return Cells(kept[:, 0], kept[:, 1])


def _by_quantile(reference: NDArray[np.float64], window: NDArray[np.float64], bins: int) -> Cells:
    edges = _edges(reference, bins)
    return _joined(
        [
            np.bincount(np.searchsorted(edges, sample, side="left"), minlength=edges.size + 1)
            for sample in (reference, window)
        ]
    )


def _edges(values: NDArray[np.float64], bins: int, rows: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Where bins end: at quantiles of values, each of so many rows, and just before; a frequent value is a cell."""
    quantiles = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf", weights=rows))
    return np.unique(np.concatenate([np.nextafter(quantiles, -np.inf), quantiles]))


def _joined(inside: list[NDArray[Any]]) -> Cells:
    """Bins, each thin one with its neighbour."""
    pairs = np.stack(inside, axis=1).astype(np.float64)
    merged: list[NDArray[np.float64]] = []
    thin = np.zeros(2)
    for pair in pairs:
        thin = thin + pair
        if thin.sum() * _share(pairs) >= EXPECTED:
            merged.append(thin)
            thin = np.zeros(2)
    if thin.any():
        merged = [*merged[:-1], merged[-1] + thin] if merged else [thin]
    joined = np.stack(merged)
    return Cells(joined[:, 0], joined[:, 1])


def _share(counts: NDArray[np.float64]) -> float:
    """The smaller sample's share of all rows."""
    sides = counts.sum(axis=0)
    return float(sides.min() / max(sides.sum(), 1.0))
