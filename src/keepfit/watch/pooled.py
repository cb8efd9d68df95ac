"""Two samples as what tests of them go by: their different values, and how many rows of either have each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.watch.coded import counted
from keepfit.watch.samples import FEW, is_categorical, numbers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """Different values, in order, a missing one last, and the rows of either sample that have each.

    `values` is None for categories, which have no order; `counts` has shape (values, 2).
    """

    values: Floats | None
    counts: Floats

    @property
    def sizes(self) -> tuple[int, int]:
        """The rows of either sample."""
        first, second = self.counts.sum(axis=0).tolist()
        return int(first), int(second)

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where the rows of each value end among all rows in order."""
        return np.cumsum(self.counts.sum(axis=1)).astype(np.int64) - 1

    @property
    def is_few(self) -> bool:
        """Whether the values are told apart one by one: categories, or at most FEW numbers."""
        return self.values is None or self.values.size <= FEW


def pooled(reference: NDArray[Any], window: NDArray[Any]) -> Pooled:
    """Count two samples by their values.

    >>> pooled(np.array([1.0, 2.0, 2.0]), np.array([2.0, np.nan])).counts.tolist()
    [[1.0, 0.0], [2.0, 1.0], [0.0, 1.0]]
    """
    if is_categorical(reference) or is_categorical(window):
        return Pooled(None, counted(reference, window))
    old = np.sort(numbers(reference))
    both = np.sort(np.concatenate([old, np.sort(numbers(window))]), kind="stable")
    known = both.size - int(np.isnan(both).sum())
    differs = both[1:] != both[:-1]
    differs[known:] = False
    last = np.flatnonzero(np.append(differs, True)) if both.size else np.empty(0, np.int64)
    inside = np.diff(np.searchsorted(old, both[last], side="right"), prepend=0)
    counts = np.stack([inside, np.diff(last, prepend=-1) - inside], axis=1)
    return Pooled(both[last], counts.astype(np.float64))
