"""Tables: a Dataset's columns as the arrays of a Signature, and as what scikit-learn is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid, MissingExtra, SpecInvalid
from keepfit.core.nouns import LABEL
from keepfit.core.signature import DType, Field

_NUMPY: dict[DType, type[np.generic]] = {
    DType.BOOL: np.bool_,
    DType.UINT8: np.uint8,
    DType.UINT16: np.uint16,
    DType.UINT32: np.uint32,
    DType.UINT64: np.uint64,
    DType.INT8: np.int8,
    DType.INT16: np.int16,
    DType.INT32: np.int32,
    DType.INT64: np.int64,
    DType.FP16: np.float16,
    DType.FP32: np.float32,
    DType.FP64: np.float64,
    DType.BYTES: np.object_,
}

Arrays = dict[str, NDArray[Any]]


def numpy_type(dtype: DType) -> np.dtype[Any]:
    """The numpy type of a Signature's element type; BYTES are objects (str)."""
    return np.dtype(_NUMPY[dtype])


def is_float(field: Field) -> bool:
    """Whether a Field holds floating point numbers, whose missing value is NaN."""
    return field.dtype in (DType.FP16, DType.FP32, DType.FP64)


def is_matrix(fields: Sequence[Field]) -> bool:
    """Whether the inputs are one tensor, which estimators get as a numpy array instead of a DataFrame."""
    return len(fields) == 1 and bool(fields[0].shape)


def arrays(table: pa.Table, fields: Sequence[Field]) -> Arrays:
    """One array of shape (n, *field.shape) per Field; a missing number is NaN, a missing text is empty.

    Raises DataInvalid for an absent column, or a null where the Field has no missing value.
    """
    absent = [field.name for field in fields if field.name not in table.column_names]
    if absent:
        raise DataInvalid(f"the Dataset lacks the columns {absent}; it has {table.column_names}", code="missing_input")
    return {field.name: _array(table[field.name], field) for field in fields}


def _array(column: pa.ChunkedArray, field: Field) -> NDArray[Any]:
    if field.shape:
        flat = pc.list_flatten(column).combine_chunks()
        while pa.types.is_nested(flat.type):
            flat = pc.list_flatten(flat)
        values: NDArray[Any] = flat.to_numpy(zero_copy_only=False).astype(numpy_type(field.dtype))
        return values.reshape(len(column), *field.shape)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        if field.dtype is DType.BYTES:
            column = pc.fill_null(column, "")
        elif not is_float(field):
            raise DataInvalid(f"column '{field.name}' has {column.null_count} missing values; {field.dtype} has none")
    plain: NDArray[Any] = column.to_numpy().astype(numpy_type(field.dtype), copy=False)
    return plain


def frame(inputs: Mapping[str, NDArray[Any]], fields: Sequence[Field]) -> Any:
    """What an estimator is given: a DataFrame in Signature order, or the matrix where one tensor is all."""
    if is_matrix(fields):
        return inputs[fields[0].name]
    tensors = [field.name for field in fields if field.shape]
    if tensors:
        raise SpecInvalid(
            f"inputs {tensors} are tensors beside other columns; an estimator takes one tensor alone or plain columns"
        )
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra("pandas", "sklearn") from error
    return pd.DataFrame({field.name: inputs[field.name] for field in fields}, copy=False)


def labels(table: pa.Table, label: Field) -> NDArray[Any]:
    """The labels as a 1-d array of the label's own type; DataInvalid where one is missing."""
    if LABEL not in table.column_names:
        raise DataInvalid(f"the Dataset has no column '{LABEL}'; an update needs labelled rows", code="missing_label")
    column = table[LABEL]
    if column.null_count:
        raise DataInvalid(f"{column.null_count} of {len(column)} rows have no label; train on labelled rows only")
    return _array(column, label)


def spread(rows: int, most: int) -> NDArray[np.int64]:
    """Positions of at most `most` of `rows` rows, evenly spread: a sample that needs no random numbers.

    >>> spread(10, 4).tolist(), spread(2, 4).tolist()
    ([0, 3, 6, 9], [0, 1])
    """
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    return np.unique(np.linspace(0, rows - 1, most).round().astype(np.int64))


def column(values: NDArray[Any]) -> pa.Array:
    """An Arrow column of an array of shape (n, ...); a record's tensor becomes one flat list of fixed size."""
    if values.ndim == 1:
        return pa.array(values, type=pa.string() if values.dtype == object else None)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), math.prod(values.shape[1:]))
