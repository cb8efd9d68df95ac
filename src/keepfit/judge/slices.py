"""Slices: which Records of a table a declared Slice stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Slice

Mask = NDArray[np.bool_]

ALL = "all"
"""The slice that is always there: every Record."""


def members(slices: Iterable[Slice], table: pa.Table) -> dict[str, Mask]:
    """Which rows belong to each slice, by slice name; `all` first, then as declared.

    A Slice without bounds becomes one slice per value of its column, the most frequent values first. DataInvalid
    where a column is absent or cannot be compared with the Slice's value.

    >>> table = pa.table({"origin": ["JFK", "LGA", "JFK"], "distance": [90, 500, 700]})
    >>> [(name, mask.tolist()) for name, mask in members([Slice("origin")], table).items()][1:]
    [('origin=JFK', [True, False, True]), ('origin=LGA', [False, True, False])]
    >>> list(members([Slice("origin", equals="LGA"), Slice("distance", at_least=100, below=600)], table))
    ['all', 'origin=LGA', 'distance in [100, 600)']
    """
    found: dict[str, Mask] = {ALL: np.ones(table.num_rows, dtype=np.bool_)}
    for declared in slices:
        if declared.column not in table.column_names:
            raise DataInvalid(f"slice on {declared.column!r}: no such column; there are: {table.column_names}")
        found.update(_expand(declared, table.column(declared.column)))
    return found


def _expand(declared: Slice, column: pa.ChunkedArray) -> Iterator[tuple[str, Mask]]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if declared.equals is not None:
        yield f"{declared.column}={_show(declared.equals)}", _equal(declared.column, column, declared.equals)
    elif declared.at_least is None and declared.below is None:
        for value in _values(column, declared.most):
            yield f"{declared.column}={_show(value)}", _equal(declared.column, column, value)
    else:
        yield _range_name(declared), _within(declared, column)


def _values(column: pa.ChunkedArray, most: int) -> list[Any]:
    counts = [(item["counts"], item["values"]) for item in pc.value_counts(column).to_pylist()]
    present = [(count, value) for count, value in counts if value is not None and value == value]
    return [value for count, value in sorted(present, key=lambda pair: (-pair[0], pair[1]))[:most]]


def _equal(name: str, column: pa.ChunkedArray, value: Any) -> Mask:
    try:
        same = pc.equal(column, pa.scalar(value, type=column.type))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataInvalid(f"slice on {name!r}: {value!r} cannot be compared with its type {column.type}") from error
    return _mask(same)


def _within(declared: Slice, column: pa.ChunkedArray) -> Mask:
    try:
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataInvalid(
            f"slice on {declared.column!r}: a range needs numbers, the column is {column.type}; use equals"
        ) from error
    inside = ~np.isnan(values)
    if declared.at_least is not None:
        inside &= values >= declared.at_least
    if declared.below is not None:
        inside &= values < declared.below
    return np.asarray(inside, dtype=np.bool_)


def _mask(column: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _range_name(declared: Slice) -> str:
    if declared.below is None:
        return f"{declared.column}>={_show(declared.at_least)}"
    if declared.at_least is None:
        return f"{declared.column}<{_show(declared.below)}"
    return f"{declared.column} in [{_show(declared.at_least)}, {_show(declared.below)})"


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
