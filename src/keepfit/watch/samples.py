"""Samples of one subject brought into a common form: numbers, the missing ones the greatest, or categories."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.coded import coded, counted

SILENT = Score(0.0, 1.0, 0.0)
"""What a detector says where there is nothing to compare."""

FEW = 20
"""At most so many different numbers are compared as categories."""


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
    return values.astype(np.float64, copy=False)


def missing_last(values: NDArray[Any]) -> NDArray[np.float64]:
    """The values as numbers in which a missing one is the greatest, so that a change in what is missing is seen."""
    found = numbers(values)
    if values.dtype.kind in "iub":
        return found
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
        return tuple(map(_objects, samples))
    return tuple(missing_last(sample) for sample in samples)


def tally(values: NDArray[Any]) -> Counter[str]:
    """How often each value occurs, as text; missing values are the empty string."""
    known = coded(values)
    counts = known.counts().tolist()
    names = [*known.names.to_pylist(), ""]
    return +Counter(dict(zip(names, counts, strict=True)))  # the plus drops names that no row has


def _objects(values: NDArray[Any]) -> NDArray[Any]:
    known = coded(values)
    names: NDArray[Any] = np.append(known.names.to_numpy(zero_copy_only=False), np.array([""], dtype=object))
    rows: NDArray[Any] = names[known.codes]
    return rows


def by_value(reference: NDArray[Any], window: NDArray[Any]) -> NDArray[np.float64] | None:
    """How many rows of either sample have each value, of shape (values, 2); None for numbers with more than FEW."""
    if is_categorical(reference) or is_categorical(window):
        return counted(reference, window)
    return _by_number(reference, window)


def has_few_values(*samples: NDArray[Any]) -> bool:
    """Whether the samples hold at most FEW different numbers together."""
    return _by_number(*samples) is not None


def _by_number(*samples: NDArray[Any]) -> NDArray[np.float64] | None:
    """How often each number occurs in each sample; None where there are more than FEW, which a look often shows."""
    if np.unique(np.concatenate([missing_last(sample[:1000]) for sample in samples])).size > FEW:
        return None
    sides = [_occurring(missing_last(sample)) for sample in samples]
    values = np.unique(np.concatenate([found for found, _ in sides]))
    if values.size > FEW:
        return None
    counts = np.zeros((values.size, len(samples)))
    for number, (found, many) in enumerate(sides):
        np.add.at(counts[:, number], np.searchsorted(values, found), many)
    return counts


def _occurring(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The different numbers, and how often each occurs; 0 may come twice, as it has two signs."""
    found = pc.value_counts(pa.array(values))
    return found.field(0).to_numpy(), found.field(1).to_numpy()


def require_bins(bins: int) -> None:
    """SpecInvalid where a detector is to have fewer than two bins."""
    if bins < 2:
        raise SpecInvalid(f"bins: expected at least 2, found {bins}")
