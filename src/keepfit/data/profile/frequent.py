"""Frequent: how often each value occurs, all of them while they are few, the frequent ones after that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = 1000
"""So many values keep their counts."""

Value = str | int | float


@dataclass(frozen=True)
class Frequent:
    """Values in their natural order, with counts (or sums of weights).

    A true count lies between the one told and `shortfall` more; a value that is not here occurs at most `shortfall`
    times. Misra and Gries (1982), parts joined as in Agarwal and others (2012): shortfall ≤ rows / 1001. While there
    were never more than KEPT values it is 0, and all counts are exact.
    """

    values: tuple[Value, ...] = ()
    counts: tuple[int | float, ...] = ()
    shortfall: int | float = 0

    @property
    def exact(self) -> bool:
        """Whether these are all the values there are, with their true counts."""
        return not self.shortfall

    def __or__(self, other: Frequent) -> Frequent:
        if self.values == other.values:  # as it mostly is with few values
            both = tuple(map(add, self.counts, other.counts))
            return Frequent(self.values, both, self.shortfall + other.shortfall)
        counts: dict[Value, int | float] = dict(zip(self.values, self.counts, strict=True))
        for value, count in zip(other.values, other.counts, strict=True):
            counts[value] = counts.get(value, 0) + count
        return frequent(counts, shortfall=self.shortfall + other.shortfall)

    def top(self, most: int | None = None) -> tuple[tuple[Value, int | float], ...]:
        """The values that occur most often, with their counts."""
        pairs = zip(self.values, self.counts, strict=True)
        return tuple(sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))[:most])


def frequent(counts: Mapping[Value, int | float], *, shortfall: int | float = 0) -> Frequent:
    """Keep what is frequent among counted values."""
    if len(counts) > KEPT:
        less = sorted(counts.values(), reverse=True)[KEPT]
        counts = {value: count - less for value, count in counts.items() if count > less}
        shortfall += less
    pairs = sorted(counts.items())
    return Frequent(tuple(value for value, _ in pairs), tuple(count for _, count in pairs), shortfall)


def survivors(counts: NDArray[Any]) -> tuple[NDArray[np.intp], int | float]:
    """The places of the counts to keep, and what is taken off each of them: `frequent`, before values are looked at."""
    if counts.size <= KEPT:
        return np.arange(counts.size), 0
    less = _next_most(counts)
    return np.flatnonzero(counts > less), less


def _next_most(counts: NDArray[Any]) -> int | float:
    """The largest count after the KEPT largest."""
    if counts.dtype.kind == "f":
        return float(np.partition(counts, counts.size - KEPT - 1)[counts.size - KEPT - 1])
    how_many = np.bincount(counts.astype(np.intp))  # counts are small and mostly equal, which selection is slow on
    return int(how_many.size - 1 - np.searchsorted(np.cumsum(how_many[::-1]), KEPT + 1))
