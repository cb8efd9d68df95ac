"""The first data of a Service: read, checked against the declaration, and put into the form of a Dataset.

From it come the task, the classes and the Signature: the contract which every later Version answers to.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as kinds

from keepfit.core.nouns import LABEL, RECORD_ID, RECORD_TIME, Task
from keepfit.core.service import Service
from keepfit.core.signature import DType, Field
from keepfit.data.read import read
from keepfit.data.schema import Schema
from keepfit.edge.declare.columns import feature, label_column, record_times
from keepfit.edge.declare.mistakes import Misfit


@dataclass(frozen=True)
class Source:
    """The first labelled rows in a Dataset's form, what they say about the Service, and the Schema it declares."""

    table: pa.Table
    task: Task
    classes: tuple[str | int | bool, ...]
    inputs: tuple[Field, ...]
    label: Field
    notes: tuple[str, ...] = ()
    schema: Schema | None = None

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The outputs that the task prescribes."""
        match self.task:
            case Task.REGRESSION:
                return (Field("prediction", DType.FP64),)
            case Task.BINARY:
                return (Field("prediction", self.label.dtype), Field("probability", DType.FP32))
            case Task.MULTICLASS:
                chances = Field("probabilities", DType.FP32, (len(self.classes),))
                return (Field("prediction", self.label.dtype), chances)

    def encoded(self) -> bytes:
        """The Dataset as Parquet; the same rows are the same bytes."""
        sink = io.BytesIO()
        pq.write_table(self.table, sink, compression="zstd", store_schema=True)
        return sink.getvalue()


def fetch(service: Service, folder: Path) -> pa.Table | Misfit:
    """The raw table behind `Service.data`: a path or glob beside the service file, a function, or a table."""
    given = service.data
    if given is None:
        return Misfit(("data",), "expected a path, a glob or a function which returns a table, found nothing")
    if callable(given) and not isinstance(given, str | Path):
        given = given()
        if given is None:
            return Misfit(("data",), "the function returned None; it has to return a table, a DataFrame or a path")
    if isinstance(given, str | Path):
        return read(folder / given)
    if isinstance(given, pa.Table) or hasattr(given, "__arrow_c_stream__"):
        return read(given)
    return Misfit(("data",), f"expected a path, a glob or a table, found {type(given).__name__}")


def features_of(service: Service, table: pa.Table) -> tuple[str, ...]:
    """The columns that are features: the declared ones, or all that are nothing else."""
    if service.features is not None:
        return tuple(service.features)
    others = {service.label, service.id, service.entity, service.time}
    return tuple(name for name in table.column_names if name not in others and not name.startswith("__index_level_"))


def misplaced(service: Service, table: pa.Table) -> Iterator[Misfit]:
    """What of the declaration does not name columns of the data rightly."""
    columns = table.column_names
    for argument in ("label", "id", "entity", "time"):
        name = getattr(service, argument)
        if name is not None and name not in columns:
            yield Misfit((argument,), _absent(name, columns))
    for place, name in enumerate(service.features or ()):
        if name not in columns:
            yield Misfit(("features", place), _absent(name, columns))
        elif name == service.label:
            yield Misfit(("features", place), f"'{name}' is the label, and the label is no feature")
    features = features_of(service, table)
    if not features:
        yield Misfit(("features",), f"no feature is left; the data has the columns {columns}")
    twice = sorted({name for name in features if features.count(name) > 1})
    if twice:
        yield Misfit(("features",), f"{twice} appear more than once")
    for place, part in enumerate(service.slices):
        if part.column not in features:
            found = f"expected one of the features, found '{part.column}'; the features are {list(features)}"
            yield Misfit(("slices", place), found)
    if table.num_rows == 0:
        yield Misfit(("data",), "the data has no rows")


def _absent(name: str, columns: list[str]) -> str:
    return f"the data has no column '{name}'; it has {columns}"


def source_of(service: Service, table: pa.Table) -> Source | list[Misfit]:
    """The Source of a Service whose columns are all there, or everything that is wrong with their values."""
    labelled_rows = _has_label(table.column(service.label))
    notes: tuple[str, ...] = ()
    left_out = table.num_rows - (pc.sum(labelled_rows).as_py() or 0)
    if left_out:
        notes = (f"{left_out:,} of {table.num_rows:,} rows have no label and were left out",)
        table = table.filter(labelled_rows)
    wrong: list[Misfit] = []
    fields: list[Field] = []
    columns: dict[str, Any] = {}
    for place, name in enumerate(features_of(service, table)):
        made = feature(name, table.column(name))
        if isinstance(made, str):
            wrong.append(Misfit(("features", place), made))
        else:
            fields.append(made[0])
            columns[name] = made[1]
    labelled = label_column(service, table.column(service.label))
    if isinstance(labelled, Misfit):
        return [*wrong, labelled]
    identified = identity(service, table)
    if isinstance(identified, Misfit):
        return [*wrong, identified]
    if wrong:
        return wrong
    whole = pa.table({**identified, **columns, LABEL: labelled.values})
    ordered = whole.sort_by([(RECORD_TIME, "ascending"), (RECORD_ID, "ascending")])
    return Source(ordered, labelled.task, labelled.classes, tuple(fields), labelled.field, notes)


def _has_label(column: pa.ChunkedArray) -> Any:
    """Which rows have a label: neither null nor, for text, empty."""
    if kinds.is_string(column.type) or kinds.is_large_string(column.type):
        return pc.fill_null(pc.not_equal(column, ""), False)
    return pc.is_valid(column)


def identity(service: Service, table: pa.Table) -> dict[str, Any] | Misfit:
    """The columns `_id` and `_time`; without a declared one, the row's number and 1970, so that order is kept."""
    rows = table.num_rows
    ids = pa.array([f"source:{row:09d}" for row in range(rows)], pa.string())
    if service.id is not None:
        given = table.column(service.id)
        if given.null_count:
            return Misfit(("id",), f"{given.null_count} rows have no '{service.id}'; every row needs one")
        ids = given.cast(pa.string())
        different = pc.count_distinct(ids).as_py()
        if different < rows:
            return Misfit(("id",), f"'{service.id}' repeats: {rows} rows have {different} different ones")
    times = pa.array([datetime(1970, 1, 1, tzinfo=UTC)] * rows, pa.timestamp("us", tz="UTC"))
    if service.time is not None:
        made = record_times(service.time, table.column(service.time))
        if isinstance(made, str):
            return Misfit(("time",), made)
        times = made
    return {RECORD_ID: ids, RECORD_TIME: times}
