"""A file somebody brings for an update is fitted to the Signature in force, or refused with every reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Task
from keepfit.core.service import Service, Specification
from keepfit.core.signature import DType, Field
from keepfit.edge.declare.given import fitted

SPECIFICATION = Specification(
    service=Service(name="flights", label="late", id="id", time="when"),
    code="",
    module="service.py",
    source="",
    source_rows=0,
    task=Task.BINARY,
    classes=("no", "yes"),
    inputs=(Field("distance", DType.FP64, nullable=True), Field("hour", DType.INT64), Field("origin", DType.BYTES)),
    outputs=(),
    label=Field("late", DType.BYTES),
)
TABLE = pa.table(
    {
        "id": ["b", "a"],
        "when": [datetime(2013, 1, 2, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)],
        "distance": [1400, 762],
        "hour": [5.0, 6.0],
        "origin": ["EWR", "LGA"],
        "late": ["no", "yes"],
        "other": [1, 2],
    }
)


def changed(name: str, values: list[object] | None) -> pa.Table:
    place = TABLE.column_names.index(name)
    return TABLE.remove_column(place) if values is None else TABLE.set_column(place, name, pa.array(values))


def test_a_table_gets_the_types_and_the_order_of_the_signature() -> None:
    """Whole numbers where fractions are declared, and the reverse where nothing is lost; other columns are left."""
    made = fitted(TABLE, SPECIFICATION)
    assert made.column_names == ["_id", "_time", "distance", "hour", "origin", "_label"]
    assert made.column("_id").to_pylist() == ["a", "b"]
    assert made.column("distance").to_pylist() == [762.0, 1400.0]
    assert made.schema.field("distance").type == pa.float64()
    assert made.schema.field("hour").type == pa.int64()
    assert made.column("_label").to_pylist() == ["yes", "no"]


def test_a_dataset_is_taken_as_it_is() -> None:
    """What was made here, or exported from a Stream, comes in again."""
    made = fitted(TABLE, SPECIFICATION)
    assert fitted(made, SPECIFICATION).equals(made)


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("distance", None, "the data has no column ['distance']"),
        ("late", None, "the data has no column ['late']"),
        ("hour", [5.5, 6.0], "column 'hour': expected INT64, found FP64"),
        ("hour", [5, None], "column 'hour' has missing values, which the signature does not allow"),
        ("distance", ["far", "near"], "column 'distance': expected FP64, found BYTES"),
        ("late", ["no", "maybe"], "the label holds ['maybe']; expected one of ['no', 'yes']"),
        ("when", [1, 2], "expected timestamps"),
        ("id", ["a", "a"], "'id' repeats"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, values: list[object] | None, sentence: str) -> None:
    """With the column, what was expected and what was found."""
    with pytest.raises(DataInvalid) as caught:
        fitted(changed(name, values), SPECIFICATION)
    assert sentence in str(caught.value)


def test_every_reason_is_told_at_once() -> None:
    """One look is enough to mend the file."""
    wrong = changed("hour", [5.5, 6.0]).set_column(2, "distance", pa.array(["far", "near"]))
    with pytest.raises(DataInvalid, match=r"'distance'.*'hour'"):
        fitted(wrong, SPECIFICATION)


def test_a_regression_label_may_be_whole_numbers() -> None:
    """A label of type FP64 takes integers."""
    regression = replace(SPECIFICATION, task=Task.REGRESSION, classes=(), label=Field("late", DType.FP64))
    assert fitted(changed("late", [1, 2]), regression).column("_label").to_pylist() == [2.0, 1.0]
