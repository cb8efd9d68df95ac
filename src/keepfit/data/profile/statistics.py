"""Statistics: what is known of one column; two parts join into the statistics of the whole."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from keepfit.core.errors import DataInvalid
from keepfit.data.profile.distinct import Distinct
from keepfit.data.profile.frequent import Frequent, Value
from keepfit.data.profile.kinds import Kind
from keepfit.data.profile.quantiles import Quantiles

Values = tuple[tuple[str, int], ...]
T = TypeVar("T", "Statistics", "Weighted")

_MOST = sys.float_info.max


@dataclass(frozen=True)
class Lengths:
    """How long texts are (in characters), or lists (in elements)."""

    count: int = 0
    total: int = 0
    shortest: int = 0
    longest: int = 0

    @property
    def mean(self) -> float:
        """The mean length."""
        return self.total / self.count if self.count else 0.0

    def __or__(self, other: Lengths) -> Lengths:
        if not self.count or not other.count:
            return self if self.count else other
        return Lengths(
            self.count + other.count,
            self.total + other.total,
            min(self.shortest, other.shortest),
            max(self.longest, other.longest),
        )


@dataclass(frozen=True)
class Moments:
    """Count (or sum of weights), mean and sum of squared distances from it."""

    weight: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def __or__(self, other: Moments) -> Moments:
        """Both together, by Chan, Golub and LeVeque (1979)."""
        if not self.weight or not other.weight:
            return self if self.weight else other
        weight = self.weight + other.weight
        share, gap = other.weight / weight, other.mean - self.mean
        mean = self.mean + gap * share if abs(gap) < _MOST else self.mean * (1 - share) + other.mean * share
        squares = self.squares + other.squares + gap * gap * self.weight * share
        return Moments(weight, mean, min(squares, _MOST))

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return float((self.squares / self.weight) ** 0.5) if self.weight else 0.0


@dataclass(frozen=True)
class Weighted:
    """The same with every row counted by its weight: weight present and missing, moments, quantiles, values."""

    present: float = 0.0
    missing: float = 0.0
    moments: Moments = Moments()
    quantiles: Quantiles = Quantiles()
    frequent: Frequent = Frequent()

    def __or__(self, other: Weighted) -> Weighted:
        return Weighted(
            self.present + other.present,
            self.missing + other.missing,
            self.moments | other.moments,
            self.quantiles | other.quantiles,
            self.frequent | other.frequent,
        )


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What is known of one column.

    `missing` counts nulls, NaN (`nan` of them) and empty text (`empty` of them); `infinite` numbers without end; range,
    moments, `zeros`, `negatives` and quantiles are of the `finite` numbers (times in microseconds since 1970),
    `squares` being the sum of squared distances from `mean`. `lengths` are of texts, in characters, `invalid` counts
    texts that are not UTF-8; `valency` says how long lists are, `elements` what is in them. `weighted` is there where
    rows have weights.
    """

    name: str
    kind: Kind
    rows: int
    missing: int = 0
    nan: int = 0
    empty: int = 0
    infinite: int = 0
    finite: int = 0
    zeros: int = 0
    negatives: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float = 0.0
    squares: float = 0.0
    quantiles: Quantiles = Quantiles()
    distinct: Distinct = Distinct()
    frequent: Frequent = Frequent()
    lengths: Lengths = Lengths()
    invalid: int = 0
    valency: Lengths = Lengths()
    elements: Statistics | None = field(default=None)
    weighted: Weighted | None = None

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Missing values per row."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of the finite numbers."""
        return float((self.squares / self.finite) ** 0.5) if self.finite else 0.0

    @property
    def values(self) -> Values | None:
        """The different values with their counts, most frequent first; None where there are more than KEPT."""
        if not self.frequent.exact or self.kind in (Kind.TENSOR, Kind.OTHER):
            return None
        counts = ((worded(value), int(count)) for value, count in self.frequent.top())
        return tuple(sorted(counts, key=lambda pair: (-pair[1], pair[0])))

    @property
    def constant(self) -> str | None:
        """The value of every row, if there is only one; the empty string where all are missing."""
        if not self.rows or self.infinite or self.kind in (Kind.TENSOR, Kind.OTHER):
            return None
        if self.missing == self.rows:
            return ""
        if self.missing or not self.frequent.exact or len(self.frequent.values) != 1:
            return None
        return worded(self.frequent.values[0])

    def at(self, shares: Sequence[float]) -> tuple[float, ...]:
        """The numbers below which these shares of the finite ones lie: 0 is the least, 0.5 the median, 1 the most."""
        if self.minimum is None or self.maximum is None:
            return ()
        inner = self.quantiles.at(shares)
        ends = {0.0: self.minimum, 1.0: self.maximum}
        return tuple(ends.get(share, found) for share, found in zip(shares, inner, strict=True))

    def __or__(self, other: Statistics) -> Statistics:
        moments = Moments(self.finite, self.mean, self.squares) | Moments(other.finite, other.mean, other.squares)
        lows = [low for low in (self.minimum, other.minimum) if low is not None]
        highs = [high for high in (self.maximum, other.maximum) if high is not None]
        return replace(
            self,
            kind=_wider(self, other),
            **{name: getattr(self, name) + getattr(other, name) for name in _COUNTS},
            **{name: getattr(self, name) | getattr(other, name) for name in _JOINED},
            minimum=min(lows, default=None),
            maximum=max(highs, default=None),
            mean=moments.mean,
            squares=moments.squares,
            elements=either(self.elements, other.elements),
            weighted=either(self.weighted, other.weighted),
        )


_COUNTS = ("rows", "missing", "nan", "empty", "infinite", "finite", "zeros", "negatives", "invalid")
_JOINED = ("quantiles", "distinct", "frequent", "lengths", "valency")


def worded(value: Value) -> str:
    """A value as text; whole numbers without a point."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def either(old: T | None, new: T | None) -> T | None:
    if old is None or new is None:
        return new if old is None else old
    return old | new


def _wider(old: Statistics, new: Statistics) -> Kind:
    kinds = {old.kind, new.kind} - {Kind.NOTHING}
    if len(kinds) <= 1:
        return next(iter(kinds), Kind.NOTHING)
    if kinds == {Kind.INTEGER, Kind.FLOAT}:
        return Kind.FLOAT
    raise DataInvalid(
        f"column '{old.name}' is {old.kind} in one profile and {new.kind} in the other; they cannot be added"
    )


def histogram(column: Statistics, bins: int = 10) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Edges of bins of equal width, and how many of the finite numbers are in each; exact where `values` are."""
    if column.minimum is None or column.maximum is None:
        return (), ()
    low, high = column.minimum, column.maximum
    edges = np.linspace(low, high, bins + 1) if low < high else np.array([low, high])
    return tuple(edges.tolist()), _counts(column, edges)


def equal_histogram(column: Statistics, bins: int = 10) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Edges of bins that hold about equally many of the finite numbers each, and how many they hold."""
    edges = np.unique(column.at([place / bins for place in range(bins + 1)]))
    if edges.size == 1:
        edges = np.repeat(edges, 2)
    return (tuple(edges.tolist()), _counts(column, edges)) if edges.size else ((), ())


def counted_in(column: Statistics, edges: Sequence[float]) -> tuple[float, ...]:
    """How many of the finite numbers lie in each of these bins, the last one closed above."""
    return _counts(column, np.asarray(edges, np.float64))


def _counts(column: Statistics, edges: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, ...]:
    if column.frequent.exact and column.frequent.values:
        values = np.array(column.frequent.values, np.float64)
        finite = np.isfinite(values)
        counts, _ = np.histogram(values[finite], edges, weights=np.array(column.frequent.counts)[finite])
        return tuple(counts.astype(np.float64).tolist())
    opened = np.nextafter(edges, -np.inf)
    opened[-1] = edges[-1]
    below = column.quantiles.below(opened)
    return tuple(np.diff(below).tolist())
