"""Faults: a Finding together with the rows in which it lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.nouns import Finding
from keepfit.data.profile.correlations import numbers_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Fault:
    """A Finding, and for each row whether it lies there; no mask where it lies in no row more than in another."""

    finding: Finding
    mask: Mask | None = None

    def pinned(self, most: int) -> Finding:
        """The Finding with its count of rows and the first of them, counting from 1."""
        if self.mask is None:
            return self.finding
        places = np.flatnonzero(self.mask)
        rows = tuple(int(place) + 1 for place in places[:most])
        return replace(self.finding, count=int(places.size), rows=rows)


def whole(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece, not encoded."""
    column = table[name].combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column


def truths_of(values: pa.Array) -> Mask:
    """Arrow booleans as a mask; null is false."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), np.bool_)


def absent_in(column: pa.Array) -> Mask:
    """Where there is no value: null, NaN or empty text."""
    found = pc.is_null(column, nan_is_null=True)
    if is_text(column):
        found = pc.or_(found, pc.fill_null(pc.equal(pc.binary_length(column), 0), False))
    return truths_of(found)


def is_text(column: pa.Array) -> bool:
    """Whether a column has texts or bytes."""
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def floats_of(column: pa.Array) -> NDArray[np.float64]:
    """One float per row, NaN where there is none; times in microseconds since 1970."""
    if is_text(column):
        return np.array([_float(value) for value in column.to_pylist()])
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    return numbers_of(column)


def _float(value: str | bytes | None) -> float:
    try:
        return float(value or "nan")
    except ValueError:
        return float("nan")
