"""The largest distance between two distribution functions, exact, without sorting more rows than must be."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.watch.samples import gap

_BLOCK = 16_384
"""Rows that are placed together, few enough to stay in the processor's cache."""
_SORTED = 20_000
"""Up to so many rows of both samples, sorting them is as quick."""


@dataclass(frozen=True)
class _Grid:
    """Cells of one width, in order; what lies outside belongs to the first or the last one."""

    low: float
    scale: float
    cells: int

    def placed(self, values: NDArray[np.float64]) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
        """The cell of each row, which never falls where the value rises, and how many rows each cell has."""
        places: NDArray[np.integer[Any]] = np.empty(values.size, dtype=np.min_scalar_type(self.cells))
        room = np.empty(min(values.size, _BLOCK), dtype=np.float32)  # rounding keeps the order, all that is asked
        for start in range(0, values.size, _BLOCK):
            rows = values[start : start + _BLOCK]
            some = np.subtract(rows, self.low, out=room[: rows.size], casting="same_kind")
            some *= np.float32(self.scale)
            places[start : start + _BLOCK] = np.clip(some, 0, self.cells - 1, out=some)
        return places, np.bincount(places, minlength=self.cells)


def largest_gap(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """The statistic of Kolmogorov and Smirnov of two samples in any order; endless values are fine, NaN is not.

    Rows are counted in cells of one width. Between the ends of a cell the distance cannot grow beyond what the rows
    inside it allow, so only cells that could hold a larger distance than the ends show are looked into.
    """
    if old.size + new.size <= _SORTED:
        return gap(np.sort(old), np.sort(new))
    whole = _of_whole_numbers(old, new)
    if whole is not None:
        return whole
    grid = _grid(old, new)
    if grid is None:
        return gap(np.sort(old), np.sort(new))
    with np.errstate(invalid="ignore", over="ignore"):
        places, inside = zip(*(grid.placed(sample) for sample in (old, new)), strict=True)
    ends = [np.append(0.0, counts.cumsum() / counts.sum()) for counts in inside]
    shown = float(np.abs(ends[0] - ends[1]).max())
    could = np.maximum(ends[0][1:] - ends[1][:-1], ends[1][1:] - ends[0][:-1]) > shown
    if not could.any():
        return shown
    if sum(int(counts[could].sum()) for counts in inside) > (old.size + new.size) / 2:
        return gap(np.sort(old), np.sort(new))
    rows = [np.sort(sample[could.take(cells)]) for sample, cells in zip((old, new), places, strict=True)]
    return max(shown, _within(rows, inside, could))


def _of_whole_numbers(old: NDArray[np.float64], new: NDArray[np.float64]) -> float | None:
    """The same where all are whole numbers and lie close enough to be counted one by one; else None."""
    low, high = (float(of([of(old), of(new)])) for of in (np.min, np.max))
    if not high - low < 2**16 or not low.is_integer():
        return None
    shares = []
    for sample in (old, new):
        counts = np.zeros(int(high - low) + 1, dtype=np.int64)
        for start in range(0, sample.size, _BLOCK):
            above = sample[start : start + _BLOCK] - low
            cells = above.astype(np.int64)
            if (cells != above).any():
                return None
            counts += np.bincount(cells, minlength=counts.size)
        shares.append(counts.cumsum() / sample.size)
    return float(np.abs(shares[0] - shares[1]).max())


def _grid(old: NDArray[np.float64], new: NDArray[np.float64]) -> _Grid | None:
    """Cells over the middle 99 % of a few rows; None where these have no width."""
    few = np.concatenate([sample[:: max(1, sample.size // 1000)] for sample in (old, new)])
    few = np.sort(few[np.isfinite(few)])
    if few.size < 2:
        return None
    low, high = float(few[few.size // 200]), float(few[-1 - few.size // 200])
    width = high - low
    if not 1e-30 < width < 1e30 or not abs(low) < 1e200:  # the cells are told in single precision
        return None
    cells = 20 * isqrt(old.size + new.size)  # more of them leave fewer rows to sort, and are more to look at
    return _Grid(low, cells / width, cells)


def _within(rows: list[NDArray[np.float64]], inside: tuple[NDArray[np.int64], ...], could: NDArray[np.bool_]) -> float:
    """The largest distance inside those cells: at a row of the second sample, or just before one."""
    old, new = rows
    if not new.size:
        return 0.0
    before = [np.append(0, np.where(could, 0, counts).cumsum())[:-1] for counts in inside]
    cell = np.repeat(np.flatnonzero(could), inside[1][could])
    m, n = (int(counts.sum()) for counts in inside)
    rank = np.arange(new.size) + before[1][cell]
    above = (rank + 1) / n - (np.searchsorted(old, new, side="right") + before[0][cell]) / m
    below = (np.searchsorted(old, new, side="left") + before[0][cell]) / m - rank / n
    return float(max(above.max(), below.max()))
