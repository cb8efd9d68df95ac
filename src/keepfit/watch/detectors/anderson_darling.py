"""Anderson and Darling's test."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.distributions import anderson_darling
from keepfit.watch.permutation import confirmed
from keepfit.watch.pooled import Pooled, pooled
from keepfit.watch.samples import SILENT

_LIMIT_DEVIATION = sqrt(2 * (pi**2 - 9) / 3)
_SMALL = 5000
"""Up to so many rows of both samples the limit is too bold, of columns with many equal values above all: what it finds
is confirmed by dealing the rows anew."""


@dataclass(frozen=True)
class AndersonDarling:
    """Anderson and Darling's test for two samples (Scholz & Stephens 1987, with midranks): it looks at the tails too.

    The statistic is the standardised one. The p-value is that of the limit (Marsaglia & Marsaglia 2004), at the same
    number of deviations from its mean; of few rows, where it is small, that of dealing them anew, if greater. The
    effect is the root of the weighted mean square gap beyond chance, 1 for two samples of one size which do not
    overlap. Text has no order and is left to ChiSquare.

    >>> AndersonDarling().score(np.arange(100.0), np.arange(100.0) + 500).effect > 0.95
    True
    """

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        return self.compare(pooled(reference, window))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        if both.values is None:
            return ChiSquare().compare(both)
        m, n = both.sizes
        if min(m, n) < 2 or m + n < 5 or both.values.size == 1:
            return SILENT
        last = both.ends
        squares = float(_squares(both.counts[None, :, 0], last)[0])
        standardised = (squares - 1) / _deviation(m, n)
        p_value = confirmed(
            anderson_darling(1 + standardised * _LIMIT_DEVIATION),
            squares,
            lambda dealt: _squares(dealt, last),
            last,
            first=m,
            most=_SMALL,
        )
        effective = m * n / (m + n)
        effect = sqrt(max(0.0, (squares - 1) / effective / (8 * log(2) - 4)))
        return Score(standardised, p_value, min(1.0, effect))


def _squares(inside: NDArray[np.float64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scholz and Stephens' A² with midranks (their formula 7), per row of `inside`.

    `last` says where each different value ends among all rows sorted, `inside` how many are the first sample's.
    """
    total = float(last[-1] + 1)
    equal = np.diff(last, prepend=-1).astype(np.float64)
    middle = last + 1 - equal / 2
    scale = middle * (total - middle) - total * equal / 4
    first = float(inside[0].sum())
    gaps = total * (inside.cumsum(axis=1) - inside / 2) - middle * first  # the other sample's are the same, below zero
    squares: NDArray[np.float64] = (equal / total * gaps**2 / scale).sum(axis=1) * (1 / first + 1 / (total - first))
    return squares * (total - 1) / total


@cache
def _deviation(m: int, n: int) -> float:
    """The standard deviation of A² for two samples without ties (Scholz & Stephens 1987, formula 4)."""
    total, k = m + n, 2
    inverse = 1 / m + 1 / n
    tails = (1.0 / np.arange(total - 1, 1, -1)).cumsum()
    h = float(tails[-1]) + 1
    g = float((tails / np.arange(2, total)).sum())
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * inverse
    b = (2 * g - 4) * k**2 + 8 * h * k + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * k**2 + (4 * h - 4 * g + 6) * k + (2 * h - 6) * inverse + 4 * h
    d = (2 * h + 6) * k**2 - 4 * h * k
    above = a * float(total) ** 3 + b * float(total) ** 2 + c * total + d
    return sqrt(above / ((total - 1.0) * (total - 2.0) * (total - 3.0)))
