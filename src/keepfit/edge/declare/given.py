"""given: a file that somebody brings for one update, as a Dataset of the Service's Signature."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import LABEL, RECORD_ID, RECORD_TIME, Digest
from keepfit.core.places import Places
from keepfit.core.service import Specification
from keepfit.core.signature import DType, Field
from keepfit.data.read import read
from keepfit.edge.apply import specification_at
from keepfit.edge.declare.columns import ARROW, feature
from keepfit.edge.declare.mistakes import Misfit
from keepfit.edge.declare.source import identity
from keepfit.store.blobs import Blobs


def given(path: Path, specification: Digest, places: Places) -> Digest:
    """Read the file, fit it to the specification in force, and store it; DataInvalid with everything that is wrong."""
    table = fitted(read(path), specification_at(specification, places))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return Blobs(places.blobs).put(sink.getvalue())


def fitted(table: pa.Table, specification: Specification) -> pa.Table:
    """The table in a Dataset's form; its label may be named as in the source, or `_label`."""
    label = LABEL if LABEL in table.column_names else specification.label.name
    wanted = [(field.name, field) for field in specification.inputs]
    absent = [name for name, _ in (*wanted, (label, specification.label)) if name not in table.column_names]
    if absent:
        raise DataInvalid(f"the data has no column {absent}; it has {table.column_names}")
    columns: dict[str, Any] = {}
    wrong: list[str] = []
    for name, field in (*wanted, (LABEL, specification.label)):
        made = _column(table.column(label if name == LABEL else name), field)
        if isinstance(made, str):
            wrong.append(made)
        columns[name] = made
    wrong += _classes(columns[LABEL], specification) if not wrong else ()
    known = _identity(table, specification)
    if isinstance(known, Misfit):
        wrong.append(str(known))
    if wrong or isinstance(known, Misfit):
        raise DataInvalid("; ".join(wrong))
    return pa.table({**known, **columns}).sort_by([(RECORD_TIME, "ascending"), (RECORD_ID, "ascending")])


def _identity(table: pa.Table, specification: Specification) -> dict[str, Any] | Misfit:
    if RECORD_ID in table.column_names and RECORD_TIME in table.column_names:
        return {RECORD_ID: table.column(RECORD_ID), RECORD_TIME: table.column(RECORD_TIME)}
    return identity(specification.service, table)


def _column(column: pa.ChunkedArray, field: Field) -> Any:
    made = feature(field.name, column)
    if isinstance(made, str):
        return made
    found, values = made
    if found.shape != field.shape:
        return f"column '{field.name}': expected the shape {list(field.shape)}, found {list(found.shape)}"
    if found.nullable and not field.nullable:
        return f"column '{field.name}' has missing values, which the signature does not allow"
    try:
        return values if field.shape else values.cast(ARROW[field.dtype], safe=field.dtype is not DType.FP32)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        return f"column '{field.name}': expected {field.dtype}, found {found.dtype} ({error})"


def _classes(column: Any, specification: Specification) -> Iterator[str]:
    unknown = [value for value in column.unique().to_pylist() if value not in specification.classes]
    if specification.classes and unknown:
        yield f"the label holds {unknown[:5]}; expected one of {list(specification.classes)}"
