"""Measure numbers and times: one sort of the values, and nearly everything can be read off it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types

from keepfit.data.profile.distinct import distinct
from keepfit.data.profile.frequent import Frequent, survivors
from keepfit.data.profile.hashing import hash_numbers
from keepfit.data.profile.quantiles import Floats, quantiles
from keepfit.data.profile.statistics import Moments, Statistics, Weighted

_MOST = sys.float_info.max


def measure_numbers(counted: Statistics, known: pa.Array, weights: Floats | None) -> Statistics:
    """Add to a count of rows and nulls what the values say; `weights` are those of the values given."""
    values = plain_numbers(known)
    ordered = np.sort(values)
    nan = _count_nan(ordered)
    ordered = ordered[: ordered.size - nan]
    zero, after = np.searchsorted(ordered, 0, "left"), np.searchsorted(ordered, 0, "right")
    ordered[zero:after] = 0  # there are two zeros among floats, and they are one value
    low, high = _ends(ordered)
    finite = ordered[low:high].astype(np.float64, copy=False)
    moments = moments_of(finite)
    starts, counts = runs(ordered)
    different = ordered[starts]
    return replace(
        counted,
        missing=counted.missing + nan,
        nan=nan,
        infinite=ordered.size - finite.size,
        finite=finite.size,
        zeros=int(after - zero),
        negatives=max(int(zero) - low, 0),
        minimum=float(finite[0]) if finite.size else None,
        maximum=float(finite[-1]) if finite.size else None,
        mean=moments.mean,
        squares=moments.squares,
        quantiles=quantiles(finite),
        distinct=distinct(hash_numbers(different)),
        frequent=_frequent(different, counts),
        weighted=None if weights is None else _weighted(values, weights),
    )


def plain_numbers(known: pa.Array) -> NDArray[Any]:
    """Numbers as they are, times in whole microseconds (since 1970, or of a day, or long), decimals as floats."""
    kind = known.type
    if types.is_timestamp(kind):
        known = known.cast(pa.timestamp("us", kind.tz), safe=False)
    elif types.is_date(kind):
        known = known.cast(pa.timestamp("us"))
    elif types.is_time(kind) and kind != pa.time64("us"):
        known = known.cast(pa.time64("us"), safe=False)
    elif types.is_duration(kind):
        known = known.cast(pa.duration("us"), safe=False)
    elif types.is_decimal(kind) or types.is_float16(kind):
        known = known.cast(pa.float64())
    elif types.is_temporal(kind) and not types.is_time(kind):
        return np.empty(0)  # calendar intervals have no order
    if kind_is_whole(known.type):
        known = known.view(pa.int64())
    return np.asarray(known.to_numpy(zero_copy_only=False))


def kind_is_whole(kind: pa.DataType) -> bool:
    """Whether it is a time that numpy would wrap: its 64-bit integers are wanted."""
    return bool(types.is_timestamp(kind) or types.is_duration(kind) or kind == pa.time64("us"))


def moments_of(finite: Floats) -> Moments:
    """Count, mean and squares of finite numbers."""
    if not finite.size:
        return Moments()
    with np.errstate(over="ignore"):
        mean = float(finite.mean())
        if not np.isfinite(mean):
            mean = float((finite / finite.size).sum())
        apart = finite - mean
        squares = float(np.einsum("i,i->", apart, apart))  # not @: BLAS would start threads for it
    return Moments(finite.size, mean, min(squares, _MOST))


def _count_nan(ordered: NDArray[Any]) -> int:
    """NaN are sorted behind all numbers."""
    if ordered.dtype.kind != "f" or not ordered.size or not np.isnan(ordered[-1]):
        return 0
    return int(ordered.size - np.searchsorted(ordered, np.nan))


def _ends(ordered: NDArray[Any]) -> tuple[int, int]:
    """Where the finite numbers are."""
    if ordered.dtype.kind != "f" or not ordered.size:
        return 0, ordered.size
    return int(np.searchsorted(ordered, -np.inf, "right")), int(np.searchsorted(ordered, np.inf, "left"))


def runs(ordered: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where a value begins that is not the one before, and how often it comes."""
    if not ordered.size:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, ordered.size)
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1]
    return starts, ends - starts


def _frequent(different: NDArray[Any], counts: NDArray[Any]) -> Frequent:
    places, less = survivors(counts)
    keep = np.isfinite(different[places]) if different.dtype.kind == "f" else np.ones(places.size, np.bool_)
    kept = places[keep]  # endless numbers are counted by themselves
    return Frequent(tuple(different[kept].tolist()), tuple((counts[kept] - less).tolist()), less)


def _weighted(values: NDArray[Any], weights: Floats) -> Weighted:
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.size, np.bool_)
    finite = known & np.isfinite(values) & (weights > 0)
    order = np.argsort(values[finite], kind="stable")
    ordered, each = values[finite][order].astype(np.float64), weights[finite][order]
    starts, _ = runs(ordered)
    sums = np.add.reduceat(each, starts) if starts.size else np.empty(0)
    total = float(each.sum())
    mean = float(np.average(ordered, weights=each)) if total else 0.0
    squares = float((each * (ordered - mean) ** 2).sum())
    return Weighted(
        present=float(weights[known].sum()),
        missing=float(weights[~known].sum()),
        moments=Moments(total, mean, min(squares, _MOST)),
        quantiles=quantiles(ordered, each),
        frequent=_frequent(ordered[starts], sums),
    )


def measure_truths(counted: Statistics, known: pa.Array, weights: Floats | None) -> Statistics:
    """The same for booleans, whose values are False and True."""
    true = int(pc.sum(known).as_py() or 0)
    pairs = {"False": len(known) - true, "True": true}
    values = tuple(value for value, count in pairs.items() if count)
    hashes = hash_numbers(np.array([value == "True" for value in values], np.int64))
    weighted = None
    if weights is not None:
        sides = np.bincount(np.asarray(known.to_numpy(zero_copy_only=False)).astype(np.int64), weights, 2)
        kept = {value: float(sum_) for value, sum_ in zip(pairs, sides, strict=True) if sum_}
        weighted = Weighted(present=float(weights.sum()), frequent=Frequent(tuple(kept), tuple(kept.values())))
    found = Frequent(values, tuple(pairs[value] for value in values))
    return replace(counted, distinct=distinct(hashes), frequent=found, weighted=weighted)
