"""Profile: mergeable statistics of a Dataset, column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types

from keepfit.core.errors import DataInvalid

KEPT = 1000
"""Columns with at most so many different values keep how often each occurs."""

Values = tuple[tuple[str, int], ...]


class Kind(StrEnum):
    """What the values of a column are; NOTHING stands for a column without any value."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"
    TENSOR = "tensor"
    OTHER = "other"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What is known of one column.

    `missing` counts nulls, NaN and empty text, `infinite` numbers without end; the moments are of the finite numbers
    (times in microseconds since 1970), `squares` being the sum of squared distances from `mean`. `values` are the
    different values with their counts, most frequent first, None where there are more than KEPT.
    """

    name: str
    kind: Kind
    rows: int
    missing: int = 0
    infinite: int = 0
    finite: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float = 0.0
    squares: float = 0.0
    values: Values | None = None

    @property
    def missing_share(self) -> float:
        """Missing values per row."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of the finite numbers."""
        return float((self.squares / self.finite) ** 0.5) if self.finite else 0.0

    @property
    def constant(self) -> str | None:
        """The value of every row, if there is only one; the empty string where all are missing."""
        if not self.rows or self.values is None or self.infinite:
            return None
        if self.missing == self.rows:
            return ""
        return self.values[0][0] if len(self.values) == 1 and not self.missing else None


@dataclass(frozen=True)
class Profile:
    """The statistics of a Dataset; `a + b` is the Profile of both together."""

    rows: int
    columns: tuple[Statistics, ...]

    def column(self, name: str) -> Statistics | None:
        """The statistics of a column, or None where there is no such column."""
        return next((column for column in self.columns if column.name == name), None)

    def __add__(self, other: Profile) -> Profile:
        names = [column.name for column in self.columns]
        if names != [column.name for column in other.columns]:
            raise DataInvalid("profiles of different columns cannot be added; profile the same columns of both")
        pairs = zip(self.columns, other.columns, strict=True)
        return Profile(self.rows + other.rows, tuple(_added(old, new) for old, new in pairs))


def profile(table: pa.Table) -> Profile:
    """Measure every column of a table.

    >>> profile(pa.table({"x": [1.0, 3.0, None]})).column("x").mean
    2.0
    """
    return Profile(table.num_rows, tuple(_measured(name, table[name]) for name in table.column_names))


def kind_of(kind: pa.DataType) -> Kind:
    """What values of an Arrow type are."""
    if types.is_dictionary(kind):
        return kind_of(kind.value_type)
    checks = (
        (types.is_boolean, Kind.BOOLEAN),
        (types.is_integer, Kind.INTEGER),
        (types.is_floating, Kind.FLOAT),
        (types.is_string, Kind.TEXT),
        (types.is_large_string, Kind.TEXT),
        (types.is_temporal, Kind.TIME),
        (types.is_list, Kind.TENSOR),
        (types.is_fixed_size_list, Kind.TENSOR),
        (types.is_null, Kind.NOTHING),
    )
    return next((found for check, found in checks if check(kind)), Kind.OTHER)


def _measured(name: str, column: pa.ChunkedArray) -> Statistics:
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, rows = kind_of(column.type), len(column)
    match kind:
        case Kind.TEXT:
            known = column.filter(pc.fill_null(pc.not_equal(column, ""), False))
        case Kind.FLOAT:
            known = column.filter(pc.fill_null(pc.invert(pc.is_nan(column)), False))
        case _:
            known = column.drop_null()
    counted = Statistics(name=name, kind=kind, rows=rows, missing=rows - len(known))
    match kind:
        case Kind.INTEGER | Kind.FLOAT | Kind.TIME:
            return _with_moments(counted, _float64(known, kind))
        case Kind.TEXT | Kind.BOOLEAN:
            return replace(counted, values=_values(known))
        case Kind.TENSOR:
            elements = _float64(pc.list_flatten(known), Kind.FLOAT)
            return replace(counted, infinite=int((~np.isfinite(elements)).sum()))
        case Kind.NOTHING:
            return replace(counted, values=())
        case Kind.OTHER:
            return counted


def _float64(known: pa.ChunkedArray, kind: Kind) -> NDArray[np.float64]:
    """Numbers as they are, times of any unit in microseconds."""
    if kind is Kind.TIME and types.is_timestamp(known.type):
        known = known.cast(pa.timestamp("us", known.type.tz), safe=False)
    if kind is Kind.TIME and types.is_date(known.type):
        known = known.cast(pa.timestamp("us"))
    values = known.to_numpy()
    if kind is Kind.TIME and values.dtype.kind in "mM":
        values = values.astype(np.int64)
    if values.dtype.kind not in "iuf":
        return np.empty(0)
    converted: NDArray[np.float64] = values.astype(np.float64)
    return converted


def _with_moments(counted: Statistics, known: NDArray[np.float64]) -> Statistics:
    finite = known[np.isfinite(known)]
    counted = replace(counted, infinite=known.size - finite.size, finite=finite.size, values=_numbers(known))
    if not finite.size:
        return counted
    mean = float(finite.mean())
    return replace(
        counted,
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        mean=mean,
        squares=float(((finite - mean) ** 2).sum()),
    )


def _numbers(known: NDArray[np.float64]) -> Values | None:
    if np.unique(known[: 2 * KEPT]).size > KEPT:
        return None
    values, counts = np.unique(known, return_counts=True)
    if values.size > KEPT:
        return None
    pairs = zip(values.tolist(), counts.tolist(), strict=True)
    return _ordered({repr(value).removesuffix(".0"): count for value, count in pairs})


def _values(known: pa.ChunkedArray) -> Values | None:
    counts = pc.value_counts(known.combine_chunks())
    if len(counts) > KEPT:
        return None
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    return _ordered({str(value): count for value, count in pairs})


def _ordered(counts: Mapping[str, int]) -> Values | None:
    if len(counts) > KEPT:
        return None
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _added(old: Statistics, new: Statistics) -> Statistics:
    """Both together; the moments by Chan, Golub and LeVeque (1979)."""
    finite = old.finite + new.finite
    gap = new.mean - old.mean
    share = new.finite / finite if finite else 0.0
    values = None
    if old.values is not None and new.values is not None:
        values = _ordered(Counter(dict(old.values)) + Counter(dict(new.values)))
    lows = [low for low in (old.minimum, new.minimum) if low is not None]
    highs = [high for high in (old.maximum, new.maximum) if high is not None]
    return Statistics(
        name=old.name,
        kind=_wider(old, new),
        rows=old.rows + new.rows,
        missing=old.missing + new.missing,
        infinite=old.infinite + new.infinite,
        finite=finite,
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
        mean=old.mean + gap * share,
        squares=old.squares + new.squares + gap * gap * old.finite * share,
        values=values,
    )


def _wider(old: Statistics, new: Statistics) -> Kind:
    kinds = {old.kind, new.kind} - {Kind.NOTHING}
    if len(kinds) <= 1:
        return next(iter(kinds), Kind.NOTHING)
    if kinds == {Kind.INTEGER, Kind.FLOAT}:
        return Kind.FLOAT
    raise DataInvalid(
        f"column '{old.name}' is {old.kind} in one profile and {new.kind} in the other; they cannot be added"
    )
