"""Arrow tables to arrays and back: offline scoring, golden examples, capture, and the pipe to a model's own process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field, Signature

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


def numpy_type(dtype: DType) -> np.dtype[Any]:
    """The dtype of the arrays that hold a Field: object (of str) for BYTES.

    >>> numpy_type(DType.FP32)
    dtype('float32')
    """
    return np.dtype(_NUMPY[dtype])


def arrow_type(field: Field) -> pa.DataType:
    """The type of a Field's column: the element's own, or a list of it where a record holds a tensor."""
    element = pa.string() if field.dtype is DType.BYTES else pa.from_numpy_dtype(numpy_type(field.dtype))
    if not field.shape:
        return element
    return pa.list_(element) if -1 in field.shape else pa.list_(element, prod(field.shape))


def from_table(signature: Signature, table: pa.Table) -> dict[str, NDArray[Any]]:
    """The Signature's inputs out of a table that has them among its columns, as arrays of (n, *shape) by name.

    Missing numbers become NaN and missing text the empty string. SignatureInvalid names the column that is absent
    (`missing_input`), of another type (`wrong_type`) or of another shape (`wrong_shape`).
    """
    return from_fields(signature.inputs, table)


def from_fields(fields: Iterable[Field], table: pa.Table, prefix: str = "") -> dict[str, NDArray[Any]]:
    """The columns of some Fields, each called `prefix` + its name in the table; see `from_table`."""
    return {field.name: _array(field, _column(table, prefix + field.name)) for field in fields}


def from_batch(fields: Iterable[Field], batch: pa.RecordBatch) -> dict[str, NDArray[Any]]:
    """The arrays of a RecordBatch made by `to_batch`."""
    return from_fields(fields, pa.Table.from_batches([batch]))


def to_columns(outputs: Mapping[str, NDArray[Any]]) -> dict[str, pa.Array]:
    """Arrow columns of arrays by name; what is (n, *shape) becomes lists of fixed size.

    >>> str(to_columns({"p": np.zeros((2, 3), np.float32)})["p"].type)
    'fixed_size_list<item: float>[3]'
    """
    return {name: _arrow(values) for name, values in outputs.items()}


def to_batch(fields: Iterable[Field], arrays: Mapping[str, NDArray[Any]]) -> pa.RecordBatch:
    """One RecordBatch with a column per Field, typed by it."""
    chosen = list(fields)
    columns = [_arrow(arrays[field.name], field) for field in chosen]
    return pa.RecordBatch.from_arrays(columns, names=[field.name for field in chosen])


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise SignatureInvalid(
            f"input '{name}' is missing; the table has: {', '.join(table.column_names)}", code="missing_input"
        )
    return table.column(name)


def _array(field: Field, column: pa.ChunkedArray) -> NDArray[Any]:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):  # combine_chunks of no chunks at all
        array = pa.array([], column.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not field.shape:
        return _flat(field, array)
    if not (pa.types.is_fixed_size_list(array.type) or pa.types.is_list(array.type)):
        raise _mismatch(field, f"a list of {prod(field.shape)} numbers per row", str(array.type))
    if array.null_count:
        raise _mismatch(field, "a list in every row", f"{array.null_count} rows without")
    flat = _flat(field, array.flatten())
    try:
        return flat.reshape(len(array), *field.shape)
    except ValueError as error:
        raise SignatureInvalid(
            f"input '{field.name}': expected shape {list(field.shape)} per row, found {len(flat)} values "
            f"in {len(array)} rows",
            code="wrong_shape",
        ) from error


def _flat(field: Field, array: pa.Array) -> NDArray[Any]:
    if field.dtype is DType.BYTES:
        return _text(field, array)
    target = numpy_type(field.dtype)
    if array.null_count and target.kind != "f":
        raise _mismatch(field, f"{field.dtype} in every row", f"{array.null_count} rows without a value")
    if pa.types.is_temporal(array.type) or pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        raise _mismatch(field, str(field.dtype), str(array.type))
    if pa.types.is_boolean(array.type) and target.kind == "f":
        array = array.cast(pa.uint8())  # Arrow knows no cast from truth values to numbers with a point
    try:
        typed = array.cast(pa.from_numpy_dtype(target))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _mismatch(field, str(field.dtype), f"{array.type} ({error})") from error
    return cast("NDArray[Any]", typed.to_numpy(zero_copy_only=False).astype(target, copy=False))


def _text(field: Field, array: pa.Array) -> NDArray[Any]:
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_null(array.type)):
        raise _mismatch(field, "text", str(array.type))
    if not len(array):
        return np.empty(0, dtype=object)
    coded = array.cast(pa.large_string()).fill_null("").dictionary_encode()
    words = np.array(coded.dictionary.to_pylist(), dtype=object)  # one str per word, not one per row
    return cast("NDArray[Any]", words[coded.indices.to_numpy()])


def _arrow(values: NDArray[Any], field: Field | None = None) -> pa.Array:
    element = pa.string() if values.dtype == object else pa.from_numpy_dtype(values.dtype)
    if field is not None and field.dtype is not DType.BYTES:
        element = pa.from_numpy_dtype(numpy_type(field.dtype))
    if values.ndim == 1:
        return pa.array(values, element)
    flat = pa.array(values.reshape(-1), element)
    width = prod(values.shape[1:])
    if field is not None and -1 in field.shape:
        return pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32) * width, flat)
    return pa.FixedSizeListArray.from_arrays(flat, width)


def _mismatch(field: Field, expected: str, found: str) -> SignatureInvalid:
    return SignatureInvalid(f"input '{field.name}': expected {expected}, found {found}", code="wrong_type")
