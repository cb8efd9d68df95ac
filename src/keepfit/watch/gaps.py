"""The largest distance between two distribution functions, exact, without sorting more rows than must be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepfit.watch.samples import gap

_CELLS = 4096
_SORTED = 20_000
"""Up to so many rows of both samples, sorting them is as quick."""


def largest_gap(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """The statistic of Kolmogorov and Smirnov of two samples in any order; endless values are fine, NaN is not.

    Rows are counted in cells of one width. Between the ends of a cell the distance cannot grow beyond what the rows
    inside it allow, so only cells that could hold a larger distance than the ends show are looked into.
    """
    if old.size + new.size <= _SORTED:
        return gap(np.sort(old), np.sort(new))
    with np.errstate(invalid="ignore", over="ignore"):
        cells = _cells(old, new)
    if cells is None:
        return gap(np.sort(old), np.sort(new))
    inside = [np.bincount(places, minlength=_CELLS) for places in cells]
    ends = [np.append(0.0, counts.cumsum() / counts.sum()) for counts in inside]
    shown = float(np.abs(ends[0] - ends[1]).max())
    could = np.maximum(ends[0][1:] - ends[1][:-1], ends[1][1:] - ends[0][:-1]) > shown
    if not could.any():
        return shown
    if sum(int(counts[could].sum()) for counts in inside) > (old.size + new.size) / 2:
        return gap(np.sort(old), np.sort(new))
    return max(shown, _within((old, new), cells, inside, could))


def _cells(*samples: NDArray[np.float64]) -> list[NDArray[np.int32]] | None:
    """The cell of each row, which never falls where the value rises; None where the values have no width."""
    few = np.concatenate([sample[:: max(1, sample.size // 1000)] for sample in samples])
    few = np.sort(few[np.isfinite(few)])
    if few.size < 2:
        return None
    low, high = float(few[few.size // 200]), float(few[-1 - few.size // 200])
    width = high - low
    if not 1e-200 < width < 1e200 or not abs(low) < 1e200:
        return None
    scale = _CELLS / width
    return [np.clip((sample - low) * scale, 0, _CELLS - 1).astype(np.int32) for sample in samples]


def _within(
    samples: tuple[NDArray[np.float64], ...],
    cells: list[NDArray[np.int32]],
    inside: list[NDArray[np.intp]],
    could: NDArray[np.bool_],
) -> float:
    """The largest distance inside those cells: at a row of the second sample, or just before one."""
    old, new = (np.sort(sample[could[places]]) for sample, places in zip(samples, cells, strict=True))
    if not new.size:
        return 0.0
    left_out = [np.where(could, 0, counts) for counts in inside]
    before = [np.append(0, counts.cumsum())[:-1] for counts in left_out]
    cell = np.repeat(np.flatnonzero(could), inside[1][could])
    m, n = samples[0].size, samples[1].size
    rank = np.arange(new.size) + before[1][cell]
    above = (rank + 1) / n - (np.searchsorted(old, new, side="right") + before[0][cell]) / m
    below = (np.searchsorted(old, new, side="left") + before[0][cell]) / m - rank / n
    return float(max(above.max(), below.max()))
