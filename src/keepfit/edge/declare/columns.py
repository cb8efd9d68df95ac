"""Columns: from what a file holds to what a Signature can name; the reason where it cannot, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from keepfit.core.nouns import Task
from keepfit.core.service import Service
from keepfit.core.signature import DType, Field
from keepfit.edge.declare.mistakes import Misfit

ARROW: dict[DType, pa.DataType] = {
    DType.BOOL: pa.bool_(),
    DType.INT64: pa.int64(),
    DType.FP32: pa.float32(),
    DType.FP64: pa.float64(),
    DType.BYTES: pa.string(),
}
"""The Arrow type of a Dataset's column, for every type that a source's column can become."""

MOST_CLASSES = 1000
"""More different labels than this are taken for a mistake: a number to be regressed, or an identifier."""


@dataclass(frozen=True)
class Labelled:
    """The label's column, its type, and the task it makes."""

    values: Any
    field: Field
    task: Task
    classes: tuple[str | int | bool, ...]


def feature(name: str, column: pa.ChunkedArray) -> tuple[Field, Any] | str:
    """The Field and the values of a feature, or the sentence which says why it cannot be one.

    Whole numbers with missing values become FP64, where missing is NaN; missing text is the empty string.
    """
    if name.startswith("_"):
        return f"column '{name}': names that begin with '_' are keepfit's own; rename it"
    column = _plain(column)
    kind, missing = column.type, column.null_count
    if kinds.is_boolean(kind):
        if missing:
            return f"column '{name}' is true or false with {missing} missing values; fill them, or make it text"
        return Field(name, DType.BOOL), column
    if kinds.is_integer(kind) and not missing:
        return _cast(name, column, pa.int64(), DType.INT64)
    if kinds.is_float16(kind) or kinds.is_float32(kind):
        return _number(name, column, pa.float32(), DType.FP32)
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return _number(name, column, pa.float64(), DType.FP64)
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        text = pc.fill_null(column.cast(pa.string()), "")
        return Field(name, DType.BYTES, nullable=bool(pc.any(pc.equal(text, "")).as_py())), text
    if kinds.is_list(kind) or kinds.is_fixed_size_list(kind) or kinds.is_large_list(kind):
        return _tensor(name, column)
    return _impossible(name, kind)


def _impossible(name: str, kind: pa.DataType) -> str:
    if kinds.is_temporal(kind):
        return (
            f"column '{name}' holds times ({kind}), and times are no features: name it with time=, "
            "leave it out with features=, or make numbers of it"
        )
    if kinds.is_null(kind):
        return f"column '{name}' has no value at all; leave it out with features="
    return f"column '{name}' is {kind}; expected numbers, text, or true and false"


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if kinds.is_dictionary(column.type) else column


def _cast(name: str, column: pa.ChunkedArray, kind: pa.DataType, dtype: DType) -> tuple[Field, Any] | str:
    try:
        return Field(name, dtype), column.cast(kind)
    except pa.ArrowInvalid as error:
        return f"column '{name}' ({column.type}) does not fit {dtype}: {error}"


def _number(name: str, column: pa.ChunkedArray, kind: pa.DataType, dtype: DType) -> tuple[Field, Any] | str:
    values = pc.fill_null(column.cast(kind, safe=False), pa.scalar(float("nan"), kind))
    return Field(name, dtype, nullable=bool(pc.any(pc.is_nan(values)).as_py())), values


def _tensor(name: str, column: pa.ChunkedArray) -> tuple[Field, Any] | str:
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if column.null_count or len(lengths) != 1:
        return f"column '{name}' holds lists of the lengths {lengths[:5]}; expected all of one length, none missing"
    inner = column.type.value_type
    made = feature(name, pa.chunked_array([pc.list_flatten(column)])) if column.length() else _impossible(name, inner)
    if isinstance(made, str):
        return made
    field, flat = made
    values = pa.FixedSizeListArray.from_arrays(flat.combine_chunks(), lengths[0])
    return Field(name, field.dtype, (lengths[0],), field.nullable), values


def record_times(name: str, column: pa.ChunkedArray) -> Any:
    """The times of Records in UTC (a time without a zone is taken for UTC), or the sentence why not."""
    column = _plain(column)
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py() + 1
        return f"{column.null_count} rows have no '{name}', the first of them is row {row}; every row needs one"
    try:
        if kinds.is_string(column.type) or kinds.is_large_string(column.type):
            return _parsed(column)
        if kinds.is_timestamp(column.type) and column.type.tz:
            return column.cast(pa.timestamp("us", tz="UTC"), safe=False)
        if kinds.is_timestamp(column.type) or kinds.is_date(column.type):
            return pc.assume_timezone(column.cast(pa.timestamp("us"), safe=False), "UTC")
    except pa.ArrowInvalid as error:
        return f"column '{name}' cannot be read as times: {error}"
    return f"column '{name}' is {column.type}; expected timestamps, dates or ISO 8601 text"


def _parsed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """ISO 8601 text, either all with a zone or all without."""
    try:
        return column.cast(pa.timestamp("us", tz="UTC"))
    except pa.ArrowInvalid:
        return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")


def label_column(service: Service, column: pa.ChunkedArray) -> Labelled | Misfit:
    """The label and the task, from its type and from what kind of estimator there is."""
    column = _plain(column)
    kind = estimator_kind(service.estimator)
    if kinds.is_temporal(column.type) or kinds.is_nested(column.type) or kinds.is_null(column.type):
        return Misfit(("label",), f"'{service.label}' is {column.type}; expected numbers, text, or true and false")
    if kind == "regressor" or (not kind and kinds.is_floating(column.type)):
        return _regressed(service, column)
    return _classified(service, column)


def _regressed(service: Service, column: pa.ChunkedArray) -> Labelled | Misfit:
    if not (kinds.is_integer(column.type) or kinds.is_floating(column.type) or kinds.is_decimal(column.type)):
        found = f"the estimator is a regressor, but '{service.label}' is {column.type}; expected numbers"
        return Misfit(("label",), found)
    values = column.cast(pa.float64(), safe=False)
    odd = len(values) - (pc.sum(pc.is_finite(values)).as_py() or 0)
    if odd:
        return Misfit(("label",), f"{odd} values of '{service.label}' are NaN or infinite; expected finite numbers")
    return Labelled(values, Field(service.label, DType.FP64), Task.REGRESSION, ())


def _classified(service: Service, column: pa.ChunkedArray) -> Labelled | Misfit:
    typed = _class_values(column)
    if typed is None:
        found = f"the estimator is a classifier, but '{service.label}' holds fractions; use a regressor"
        return Misfit(("label",), found)
    dtype, values = typed
    classes = tuple(sorted(pc.unique(values).to_pylist()))
    if len(classes) < 2:
        return Misfit(("label",), f"expected at least two classes in '{service.label}', found {list(classes)}")
    if len(classes) > MOST_CLASSES:
        found = f"'{service.label}' has {len(classes)} different values; expected at most {MOST_CLASSES} classes"
        return Misfit(("label",), found)
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    return Labelled(values, Field(service.label, dtype), task, classes)


def _class_values(column: pa.ChunkedArray) -> tuple[DType, Any] | None:
    if kinds.is_boolean(column.type):
        return DType.BOOL, column
    if kinds.is_integer(column.type) or kinds.is_floating(column.type) or kinds.is_decimal(column.type):
        try:
            return DType.INT64, column.cast(pa.int64())
        except pa.ArrowInvalid:
            return None
    return DType.BYTES, column.cast(pa.string())


def estimator_kind(estimator: Any) -> str:
    """`classifier`, `regressor`, or empty where the estimator does not say."""
    try:
        kind = estimator.__sklearn_tags__().estimator_type
    except Exception:  # noqa: BLE001  # an estimator which cannot describe itself is asked in other ways
        kind = getattr(estimator, "_estimator_type", None)
    if kind in ("classifier", "regressor"):
        return str(kind)
    return "classifier" if hasattr(estimator, "predict_proba") else ""
