"""Two samples of one subject brought into a common form: ranks for numbers, shared cells for everything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score

SILENT = Score(0.0, 1.0, 0.0)
"""What a detector says where there is nothing to compare."""

FEW = 20
"""At most so many different numbers are compared as categories."""

EXPECTED = 5.0
"""Cells are merged until the smaller sample expects as many rows in each (Cochran 1954)."""


def is_categorical(values: NDArray[Any]) -> bool:
    """Whether the values have no order: text, or booleans."""
    return values.dtype.kind in "OUSb"


def numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """The values as float64; times become microseconds, and what is missing becomes NaN."""
    if values.dtype.kind in "mM":
        missing = np.isnat(values)
        times: NDArray[np.float64] = values.astype("M8[us]" if values.dtype.kind == "M" else "m8[us]").astype("f8")
        times[missing] = np.nan
        return times
    return values.astype(np.float64)


def missing_last(values: NDArray[Any]) -> NDArray[np.float64]:
    """The values as numbers in which a missing one is the greatest, so that a change in what is missing is seen."""
    found = numbers(values)
    missing = np.isnan(found)
    return np.where(missing, np.inf, found) if missing.any() else found


def gap(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """The largest distance between the distribution functions of two sorted samples, ties and all.

    It is reached at a value of `new`, or just before one; among equal values the last, or the first, has it.
    """
    n = np.arange(new.size + 1) / new.size
    above = (n[1:] - np.searchsorted(old, new, side="right") / old.size).max()
    below = (np.searchsorted(old, new, side="left") / old.size - n[:-1]).max()
    return float(max(above, below, 0.0))


def comparable(*samples: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The samples in one form whose values can be told apart by `==`, missing ones included."""
    if any(is_categorical(sample) for sample in samples):
        return tuple(np.array(_texts(sample), dtype=object) for sample in samples)
    return tuple(missing_last(sample) for sample in samples)


def tally(values: NDArray[Any]) -> Counter[str]:
    """How often each value occurs, as text; missing values are the empty string."""
    if values.dtype.kind in "OUS":
        return _tally_texts(values)
    found, counts = np.unique(values, return_counts=True)
    return Counter({_shown(value): int(n) for value, n in zip(found.tolist(), counts.tolist(), strict=True)})


def _tally_texts(values: NDArray[Any]) -> Counter[str]:
    """Arrow counts text ten times as quickly; what is not text only is counted one by one."""
    try:
        counted = pc.value_counts(pa.array(values, type=pa.string(), from_pandas=True))
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return Counter(_texts(values))
    found: Counter[str] = Counter()
    for name, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
        found[name or ""] += count
    return found


def _texts(values: NDArray[Any]) -> list[str]:
    return [_shown(value) for value in values.tolist()]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def has_few_values(*samples: NDArray[Any]) -> bool:
    """Whether the samples hold at most FEW different numbers together."""
    head = np.concatenate([missing_last(sample[:1000]) for sample in samples])
    return np.unique(head).size <= FEW and np.unique(np.concatenate([missing_last(s) for s in samples])).size <= FEW


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


def cells(reference: NDArray[Any], window: NDArray[Any], *, bins: int, merge: bool = True) -> Cells:
    """Count both samples in the same cells: categories, or bins between quantiles of the reference.

    Rare categories share one cell, thin bins join their neighbour, so that chi-square's approximation holds; without
    `merge` categories stay apart.
    """
    if is_categorical(reference) or is_categorical(window) or has_few_values(reference, window):
        return _by_category(tally(reference), tally(window), merge)
    return _by_quantile(missing_last(reference), missing_last(window), bins)


def _by_category(reference: Counter[str], window: Counter[str], merge: bool) -> Cells:
    names = sorted(reference.keys() | window.keys())
    pairs = np.array([(reference[name], window[name]) for name in names], dtype=np.float64).reshape(-1, 2)
    if not merge:
        return Cells(pairs[:, 0], pairs[:, 1])
    expected = _expected(pairs)
    kept, rare = pairs[expected >= EXPECTED], pairs[expected < EXPECTED]
    if len(rare):
        other = rare.sum(axis=0, keepdims=True)
        if len(kept) and _share(pairs) * other.sum() < EXPECTED:
            kept[np.argmin(kept.sum(axis=1))] += other[0]
        else:
            kept = np.concatenate([kept, other])
    return Cells(kept[:, 0], kept[:, 1])


def _by_quantile(reference: NDArray[np.float64], window: NDArray[np.float64], bins: int) -> Cells:
    quantiles = np.unique(np.quantile(reference, np.arange(1, bins) / bins, method="inverted_cdf"))
    edges = np.unique(np.concatenate([np.nextafter(quantiles, -np.inf), quantiles]))  # a frequent value is a cell
    inside = [
        np.bincount(np.searchsorted(edges, sample, side="left"), minlength=edges.size + 1)
        for sample in (reference, window)
    ]
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


def _share(pairs: NDArray[np.float64]) -> float:
    """The smaller sample's share of all rows."""
    sides = pairs.sum(axis=0)
    return float(sides.min() / max(sides.sum(), 1.0))


def _expected(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many rows the smaller sample expects in each cell."""
    expected: NDArray[np.float64] = pairs.sum(axis=1) * _share(pairs)
    return expected


def require_bins(bins: int) -> None:
    """SpecInvalid where a detector is to have fewer than two bins."""
    if bins < 2:
        raise SpecInvalid(f"bins: expected at least 2, found {bins}")
