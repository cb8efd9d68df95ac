"""What dealing the rows anew would show: null distributions of statistics that have no closed form."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from keepfit.watch.distributions import chi_square

DRAWS = 499
_FIRST, _ENOUGH = 99, 10
_NOTABLE = 0.1
"""From this p-value on there is nothing to confirm."""

Deal = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Gives the statistic of each deal, from how many rows of each group the first sample got."""


def groups(ends: NDArray[np.int64], *, most: int = 256) -> NDArray[np.int64]:
    """Which values, in order, end a group: single rows at both ends, where outliers lie, and wider groups in between.

    `ends` says where the rows of each value end, and a group never parts equal values. At most about `most` groups;
    all different values where there are no more.
    """
    if ends.size <= most:
        return np.arange(ends.size)
    rows = int(ends[-1]) + 1
    side = np.unique(np.geomspace(1, rows / 2, most // 4).astype(np.int64))
    even = np.linspace(0, rows - 1, most // 2).astype(np.int64)
    wanted = np.concatenate([side - 1, rows - 1 - side, even, [rows - 1]])
    return np.unique(np.searchsorted(ends, wanted))


def deals(ends: NDArray[np.int64], first: int, *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """How many rows of each group the first sample of `first` rows gets when all rows are dealt anew, per draw."""
    counts = np.diff(ends, prepend=-1)
    random = np.random.default_rng(seed)
    if int(counts.sum()) < 1_000_000_000:
        dealt = random.multivariate_hypergeometric(counts, first, size=draws, method="marginals")
    else:  # the generator's own limit; so many rows are as good as drawn with replacement
        dealt = random.multinomial(first, counts / counts.sum(), size=draws)
    return dealt.astype(np.float64)


def confirmed(p_value: float, statistic: float, deal: Deal, ends: NDArray[np.int64], *, first: int, most: int) -> float:
    """The p-value of a limit distribution; of at most `most` rows, where it is small, that of deals, if greater."""
    if p_value >= _NOTABLE or ends[-1] >= most:
        return p_value
    return max(p_value, chance(statistic, deal(deals(ends, first))))


def simulated(
    statistic: float, deal: Deal, ends: NDArray[np.int64], *, first: int, seed: int = 0
) -> tuple[float, float]:
    """The chance of a statistic as large where the rows are dealt anew, and the median of such deals; see `deals`.

    Where ten of the first hundred deals reach it,
    that is said and no more are made (Besag & Clifford 1991): without a change, most looks end there.
    """
    null = deal(deals(ends, first, draws=_FIRST, seed=seed))
    if int((null >= _about(statistic)).sum()) < _ENOUGH:
        null = np.append(null, deal(deals(ends, first, draws=DRAWS - _FIRST, seed=seed + 1)))
    return chance(statistic, null), float(np.median(null))


def chance(statistic: float, null: NDArray[np.float64]) -> float:
    """The chance of a statistic as large in the null distribution that the draws `null` show.

    The share of draws that reach it; where fewer than ten do, the tail of a gamma variable with the draws' first three
    moments (Pearson's type III; Knijnenburg et al. 2009 on tails of permutations), but no more than that share allows.
    """
    reached = int((null >= _about(statistic)).sum())
    share = (reached + 1) / (null.size + 1)
    spread = float(null.std())
    if reached >= _ENOUGH or spread == 0:
        return share
    skewness = max(1.2 * float((((null - null.mean()) / spread) ** 3).mean()), 0.05)  # so few draws show too little
    shape = 4 / skewness**2
    place = shape + sqrt(shape) * (statistic - float(null.mean())) / spread
    return min(share, chi_square(2 * place, 2 * shape)) if place > 0 else share


def _about(statistic: float) -> float:
    """A statistic less what rounding may have added to it."""
    return statistic * (1 - 1e-12)
