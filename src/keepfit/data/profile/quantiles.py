"""Quantiles: a sketch of a distribution whose error is known, not only likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

POINTS = 1024
"""A summary has so many points; each time one is made of more values, ranks move by at most 1/2048 of its weight."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Points of a distribution in order, of equal weight unless `weights` says otherwise (little-endian doubles).

    `rows` says how many values it stands for, `weight` the sum of their weights, `error` by how much of that weight a
    rank read from it may be wrong at most.
    """

    rows: int
    weight: float
    points: bytes
    weights: bytes = b""
    error: float = 0.0

    @property
    def depth(self) -> int:
        """0 for values as they are, then one more for each doubling."""
        return max(0, (self.rows - 1) // POINTS).bit_length()

    def arrays(self) -> tuple[Floats, Floats]:
        """The points, and the weight of each."""
        points = np.frombuffer(self.points, "<f8")
        if self.weights:
            return points, np.frombuffer(self.weights, "<f8")
        return points, np.full(points.size, self.weight / max(points.size, 1))


@dataclass(frozen=True)
class Quantiles:
    """Summaries of which no two have the same depth: joining two of one depth makes one of the next.

    So every value is summarised once per doubling of the data, as in Munro and Paterson (1980): with 10^7 rows ranks
    are wrong by at most 0.5 %, with 10^9 by 0.9 %; `error` says by how much in this very sketch.
    """

    summaries: tuple[Summary, ...] = ()

    @property
    def weight(self) -> float:
        """The weight of all values."""
        return sum(one.weight for one in self.summaries)

    @property
    def error(self) -> float:
        """By which share of all values a rank may be wrong at most; 0 where every value is kept."""
        return sum(one.error for one in self.summaries) / self.weight if self.weight else 0.0

    def __or__(self, other: Quantiles) -> Quantiles:
        by_depth = {one.depth: one for one in self.summaries}
        for one in sorted(other.summaries, key=lambda one: one.depth):
            while (twin := by_depth.pop(one.depth, None)) is not None:
                one = _joined(twin, one)
            by_depth[one.depth] = one
        return Quantiles(tuple(by_depth[depth] for depth in sorted(by_depth)))

    def at(self, shares: Sequence[float]) -> tuple[float, ...]:
        """The values below which these shares of the data lie; empty where there are none."""
        points, ranks = _curve(self)
        if not points.size:
            return ()
        places = np.searchsorted(ranks, np.asarray(shares) * ranks[-1] * (1 - 1e-12))
        return tuple(points[np.minimum(places, points.size - 1)].tolist())

    def below(self, values: Sequence[float] | Floats) -> Floats:
        """Which weight lies at or below each value."""
        points, ranks = _curve(self)
        return np.concatenate([[0.0], ranks])[np.searchsorted(points, values, side="right")]


def quantiles(ordered: Floats, weights: Floats | None = None) -> Quantiles:
    """Sketch values in ascending order; those without weights weigh 1 each."""
    if not ordered.size:
        return Quantiles()
    if weights is not None:
        return Quantiles((_summary(ordered, weights, ordered.size, 0.0),))
    if ordered.size <= POINTS:
        return Quantiles((Summary(ordered.size, float(ordered.size), _bytes(ordered)),))
    places = ((np.arange(POINTS) + 0.5) * (ordered.size / POINTS)).astype(np.intp)
    error = ordered.size / (2 * POINTS)
    return Quantiles((Summary(ordered.size, float(ordered.size), _bytes(ordered[places]), b"", error),))


def _joined(a: Summary, b: Summary) -> Summary:
    (points, weights), (more, their) = a.arrays(), b.arrays()
    both = np.concatenate([points, more])
    order = np.argsort(both, kind="stable")
    return _summary(both[order], np.concatenate([weights, their])[order], a.rows + b.rows, a.error + b.error)


def _summary(ordered: Floats, weights: Floats, rows: int, error: float) -> Summary:
    """At most POINTS points of a weighted distribution, each the middle of an equal part of its weight."""
    ranks = np.cumsum(weights)
    weight = float(ranks[-1])
    if ordered.size <= POINTS:
        plain = bool((weights == weights[0]).all())
        return Summary(rows, weight, _bytes(ordered), b"" if plain else _bytes(weights), error)
    middles = (np.arange(POINTS) + 0.5) * (weight / POINTS)
    points = ordered[np.searchsorted(ranks, middles)]
    return Summary(rows, weight, _bytes(points), b"", error + weight / (2 * POINTS))


def _bytes(values: Floats) -> bytes:
    return values.astype("<f8", copy=False).tobytes()


@lru_cache(maxsize=64)
def _curve(found: Quantiles) -> tuple[Floats, Floats]:
    """All points in order, and the weight up to each."""
    pairs = [one.arrays() for one in found.summaries]
    if not pairs:
        return np.empty(0), np.empty(0)
    points = np.concatenate([points for points, _ in pairs])
    order = np.argsort(points, kind="stable")
    return points[order], np.cumsum(np.concatenate([weights for _, weights in pairs])[order])
