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
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fault:
    """A Finding, and the rows in which it lies; none where it lies in no row more than in another.

    `places` are those rows, or the first of `count`, counting from 0. Where it is `told`, the Finding is about its
    rows: it measures how many they are, and its sentence ends with that.
    """

    finding: Finding
    places: Places | None = None
    count: int = 0
    told: str = ""

    @staticmethod
    def at(finding: Finding, mask: Mask | None, told: str = "") -> Fault:
        """A Finding in the rows of a mask."""
        if mask is None:
            return Fault(finding, told=told)
        places = np.flatnonzero(mask)
        return Fault(finding, places, places.size, told)

    def after(self, rows: int, most: int | None) -> Fault:
        """The same where so many rows lie before, with at most so many places kept."""
        return self if self.places is None else replace(self, places=self.places[:most] + rows)

    def __or__(self, other: Fault) -> Fault:
        """The same fault in earlier and in later rows."""
        if self.places is None or other.places is None:
            return self
        return replace(self, places=np.concatenate([self.places, other.places]), count=self.count + other.count)

    def over(self, rows: int) -> Fault:
        """The same when all rows have been seen."""
        if self.places is None or not self.told:
            return self
        sentence = f"{self.told} in {self.count} of {rows} rows"
        found = replace(self.finding, measured=float(self.count), sentence=sentence, count=self.count)
        return replace(self, finding=found)

    def pinned(self, most: int) -> Finding:
        """The Finding with its count of rows and the first of them, counting from 1."""
        if self.places is None:
            return self.finding
        return replace(self.finding, count=self.count, rows=tuple((self.places[:most] + 1).tolist()))


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
