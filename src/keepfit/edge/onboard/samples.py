"""Samples: the types of a model's inputs told from rows of data, and those rows as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from keepfit.core.errors import DataInvalid, KeepfitError
from keepfit.core.signature import MISSING_TIME, DType, Field
from keepfit.data.read import read
from keepfit.edge.declare.columns import feature

ENOUGH = 1000
"""Rows from which whole numbers are taken for whole numbers; among fewer, a fraction may just not have come."""

FEW_WORDS = 20
"""So many different texts in a column, at most, may be an enum."""


@dataclass(frozen=True)
class Told:
    """Fields told from a table, the table in their types, and what a person should know."""

    fields: tuple[Field, ...]
    table: pa.Table
    notes: tuple[str, ...] = ()


def rows_of(path: Path) -> pa.Table:
    """The rows of a sample file; DataInvalid where there are none."""
    table = read(path)
    if not table.num_rows:
        raise DataInvalid(f"{path}: has no rows; a sample needs some, {ENOUGH:,} to tell types from")
    return table


def tell(table: pa.Table, names: Sequence[str], *, closed: Callable[[str, list[str]], bool] | None = None) -> Told:
    """The Fields of the columns `names`; DataInvalid names every column that no Field can hold.

    `closed` is asked whether a column of few different texts can hold no others; without it none is an enum.
    """
    fields, columns, wrong, notes = [], {}, [], []
    for name in names:
        found = _told(name, table[name], whole=table.num_rows >= ENOUGH)
        if isinstance(found, str):
            wrong.append(found)
            continue
        field, values = found
        if closed is not None and field.dtype is DType.BYTES and not field.shape:
            field = _enum(field, values, closed)
        fields.append(field)
        columns[name] = values
    if wrong:
        raise DataInvalid("; ".join(wrong) + "; leave such columns out of the sample, or give --signature")
    if table.num_rows < ENOUGH:
        notes.append(
            f"the types were told from {table.num_rows} rows only, so whole numbers were taken for numbers; "
            f"{ENOUGH:,} rows tell more"
        )
    return Told(tuple(fields), pa.table(columns), tuple(notes))


def _told(name: str, column: pa.ChunkedArray, *, whole: bool) -> tuple[Field, Any] | str:
    kind = column.type.value_type if kinds.is_dictionary(column.type) else column.type
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        return _time(name, column.cast(kind))
    if kinds.is_boolean(kind) and column.null_count:
        column = column.cast(kind).cast(pa.uint8())
    elif kinds.is_integer(kind) and not whole:
        column = column.cast(kind).cast(pa.float64(), safe=False)
    try:
        return feature(name, column)
    except KeepfitError as error:
        return str(error)


def _time(name: str, column: pa.ChunkedArray) -> tuple[Field, Any]:
    """A time, in microseconds since 1970 UTC; one without a zone is taken for UTC."""
    micro = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False).cast(pa.int64())
    filled = pc.fill_null(micro, MISSING_TIME)
    return Field(name, DType.INT64, nullable=bool(column.null_count), timestamp=True), filled


def _enum(field: Field, column: Any, closed: Callable[[str, list[str]], bool]) -> Field:
    words = sorted(word for word in pc.unique(column).to_pylist() if word)
    if 1 < len(words) <= FEW_WORDS and len(column) >= ENOUGH and closed(field.name, words):
        return replace(field, choices=tuple(words))
    return field


def fitted(table: pa.Table, fields: Sequence[Field], path: Path) -> pa.Table:
    """The columns of `fields`, in their types; DataInvalid lists every one that is absent or of another type."""
    absent = [field.name for field in fields if field.name not in table.column_names]
    if absent:
        raise DataInvalid(f"{path}: lacks the columns {absent} that the model takes; it has {table.column_names}")
    columns, wrong = {}, []
    for field in fields:
        try:
            columns[field.name] = _fitted(table[field.name], field)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            wrong.append(f"column '{field.name}' ({table[field.name].type}) is no {field.dtype}: {error}")
    if wrong:
        raise DataInvalid(f"{path}: " + "; ".join(wrong))
    return pa.table(columns)


_ARROW: dict[DType, pa.DataType] = {
    DType.BOOL: pa.bool_(),
    DType.FP16: pa.float16(),
    DType.FP32: pa.float32(),
    DType.FP64: pa.float64(),
    DType.BYTES: pa.string(),
    **{dtype: getattr(pa, dtype.value.lower())() for dtype in DType if "INT" in dtype.value},
}


def _fitted(column: pa.ChunkedArray, field: Field) -> Any:
    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if field.shape:
        return column
    if field.timestamp and not kinds.is_integer(column.type):
        return _time(field.name, column)[1]
    target = _ARROW[field.dtype]
    if field.dtype is DType.BYTES:
        return pc.fill_null(column.cast(target), "")
    if field.dtype is DType.BOOL and kinds.is_integer(column.type):
        return column.cast(target)
    if kinds.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if field.dtype in (DType.FP16, DType.FP32, DType.FP64):
        column = column.cast(pa.float64(), safe=False).cast(target, safe=False)
        return pc.fill_null(column, pa.scalar(float("nan"), target)) if field.nullable else _none_missing(column)
    return _none_missing(column.cast(target))


def _none_missing(column: Any) -> Any:
    if column.null_count:
        raise pa.ArrowInvalid(f"{column.null_count} values are missing, and the model has none for that")
    return column
