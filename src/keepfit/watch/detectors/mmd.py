"""The maximum mean discrepancy."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.distributions import chi_square
from keepfit.watch.pooled import Pooled, pooled
from keepfit.watch.samples import SILENT

_FEW = 2000
"""Rows that the width of the kernel and the spread of its features are taken from."""
_AT_ONCE = 50_000


@dataclass(frozen=True)
class MMD:
    """The maximum mean discrepancy (Gretton et al. 2012) with a Gaussian kernel by random Fourier features.

    The statistic is its square over `features` frequencies (Rahimi & Recht 2007); the kernel is as wide as the median
    distance between two rows. Without a change mn/(m+n) times it is a sum of weighted chi-squares, whose first three
    moments give the p-value (Liu, Tang & Zhang 2009). The effect is the root of half the square beyond chance.
    Missing and endless values are kinds of their own. Text is left to ChiSquare.

    >>> MMD().score(np.arange(500.0), np.arange(500.0) + 250).p_value < 1e-6
    True
    """

    features: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if self.features < 1:
            raise SpecInvalid(f"MMD.features: expected at least 1, found {self.features}")

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        return self.compare(pooled(reference, window))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        if both.values is None:
            return ChiSquare().compare(both)
        m, n = both.sizes
        if min(m, n) < 2:
            return SILENT
        times = np.sum([_spaced(side) for side in both.counts.T], axis=0)
        few, times = both.values[times > 0], times[times > 0]
        waves = np.random.default_rng(self.seed).normal(size=self.features) / _width(np.repeat(few, times))
        old, new = _means(both.values, both.counts / (m, n), waves)
        square = float(((old - new) ** 2).sum())
        effective = m * n / (m + n)
        seen = embed(few, waves)
        spread = np.cov(seen, rowvar=False, fweights=times)
        expected = float(np.trace(spread))
        if expected <= 0:
            return SILENT
        effect = sqrt(max(0.0, square - expected / effective) / 2)
        return Score(square, _weighted_sum(square * effective, spread), min(1.0, effect))


def embed(values: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """The features of each value, whose inner products are about the kernel."""
    known = np.isfinite(values)
    turns = np.where(known, values, 0.0)[:, None] * waves
    seen = np.concatenate([np.cos(turns), np.sin(turns)], axis=1) * (known[:, None] / sqrt(waves.size))
    odd = np.stack([np.isnan(values), values == np.inf, values == -np.inf], axis=1)
    return np.concatenate([seen, odd], axis=1)


def _means(values: NDArray[np.float64], shares: NDArray[np.float64], waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean features of either sample, of which each value has the `shares`."""
    total = np.zeros((2, 2 * waves.size + 3))
    for start in range(0, values.size, _AT_ONCE):
        piece = slice(start, start + _AT_ONCE)
        total += shares[piece].T @ embed(values[piece], waves)
    return total


def _spaced(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """How often each value comes among a few rows of a sample, evenly spaced in their order."""
    ends = rows.cumsum()
    step = max(1, int(ends[-1]) // _FEW)
    places = np.searchsorted(ends, np.arange(step // 2, int(ends[-1]), step), side="right")
    return np.bincount(places, minlength=rows.size)


def _width(values: NDArray[np.float64]) -> float:
    """The median distance between two of the values; of those that differ, where most do not."""
    known = np.sort(values[np.isfinite(values)])
    apart = np.abs(known - known[np.random.default_rng(0).permutation(known.size)])
    for some in (apart, apart[apart > 0]):
        if some.size and np.median(some) > 0:
            return float(np.median(some))
    return 1.0


def _weighted_sum(value: float, spread: NDArray[np.float64]) -> float:
    """The chance that a sum of chi-squares weighted with the eigenvalues of `spread` is above `value`."""
    square = spread @ spread
    first, second, third = (float(np.trace(power)) for power in (spread, square, square @ spread))
    freedom = second**3 / third**2
    return chi_square(freedom + (value - first) / sqrt(2 * second) * sqrt(2 * freedom), freedom)
