"""What a file's columns become in a Signature, and the sentence where they cannot."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.nouns import Task
from keepfit.core.service import Service
from keepfit.core.signature import DType, Field
from keepfit.edge.declare.columns import Labelled, feature, label_column, record_times
from keepfit.edge.declare.mistakes import Misfit


def column(values: Any, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """A column in two chunks, as files have them."""
    whole = pa.array(values, kind)
    return pa.chunked_array([whole.slice(0, 1), whole.slice(1)])


class Classifier:
    """An estimator that says what it is."""

    _estimator_type = "classifier"


class Regressor:
    """An estimator that says what it is."""

    _estimator_type = "regressor"


def service(estimator: Any) -> Service:
    return Service(name="s", label="y", estimator=estimator)


@pytest.mark.parametrize(
    ("values", "kind", "dtype", "nullable", "becomes"),
    [
        ([1, 2], pa.int8(), DType.INT64, False, [1, 2]),
        ([1, 2], pa.uint64(), DType.INT64, False, [1, 2]),
        ([1, None], pa.int32(), DType.FP64, True, [1.0, float("nan")]),
        ([1.5, 2.5], pa.float32(), DType.FP32, False, [1.5, 2.5]),
        ([1.5, None], pa.float64(), DType.FP64, True, [1.5, float("nan")]),
        ([1.5, float("nan")], pa.float64(), DType.FP64, True, [1.5, float("nan")]),
        ([Decimal("1.5"), Decimal("2.5")], None, DType.FP64, False, [1.5, 2.5]),
        ([True, False], None, DType.BOOL, False, [True, False]),
        (["a", "b"], pa.large_string(), DType.BYTES, False, ["a", "b"]),
        (["a", None], pa.string(), DType.BYTES, True, ["a", ""]),
        (["a", ""], pa.string(), DType.BYTES, True, ["a", ""]),
        (["a", "b"], pa.dictionary(pa.int32(), pa.string()), DType.BYTES, False, ["a", "b"]),
    ],
)
def test_a_feature_gets_its_type_and_missing_values_their_form(
    values: list[Any], kind: pa.DataType | None, dtype: DType, *, nullable: bool, becomes: list[Any]
) -> None:
    """The data form every part relies on: missing numbers are NaN, missing text is empty, no nulls are left."""
    made = feature("x", column(values, kind))
    assert not isinstance(made, str)
    assert made[0] == Field("x", dtype, (), nullable)
    assert made[1].null_count == 0
    np.testing.assert_array_equal(made[1].to_pylist(), becomes)


def test_lists_of_one_length_are_a_tensor() -> None:
    """A matrix column keeps its shape."""
    made = feature("x", column([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32())))
    assert not isinstance(made, str)
    assert made[0] == Field("x", DType.FP32, (2,))
    assert made[1].to_pylist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ([datetime(2013, 1, 1, tzinfo=UTC)] * 2, None, "times are no features: name it with time="),
        ([date(2013, 1, 1)] * 2, None, "times are no features"),
        ([None, None], None, "has no value at all"),
        ([True, None], None, "true or false with 1 missing values"),
        ([2**63, 1], pa.uint64(), "does not fit INT64"),
        ([{"a": 1}, {"a": 2}], None, "expected numbers, text, or true and false"),
        ([[1], [1, 2]], None, "expected all of one length"),
        ([b"a", b"b"], pa.binary(), "expected numbers, text"),
    ],
)
def test_what_cannot_be_a_feature_says_why(values: list[Any], kind: pa.DataType | None, sentence: str) -> None:
    """One sentence, with the column's name."""
    told = feature("x", column(values, kind))
    assert isinstance(told, str)
    assert "'x'" in told
    assert sentence in told


def test_names_that_are_keepfits_own_are_refused() -> None:
    """A column `_time` of a file would be taken for the Record's time."""
    assert "'_time'" in str(feature("_time", column([1, 2])))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2013-01-01T05:00:00", "2013-01-01 05:00:00"], None),
        ([datetime(2013, 1, 1, 5)] * 2, None),  # noqa: DTZ001  # the naive form is what is tested
        ([datetime(2013, 1, 1, 5, tzinfo=UTC)] * 2, pa.timestamp("ns", tz="America/New_York")),
    ],
)
def test_times_become_utc(values: list[Any], kind: pa.DataType | None) -> None:
    """Text and naive times are taken for UTC; aware ones keep their moment."""
    made = record_times("when", column(values, kind))
    assert made.type == pa.timestamp("us", tz="UTC")
    assert made.to_pylist() == [datetime(2013, 1, 1, 5, tzinfo=UTC)] * 2


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (["soon", "later"], "cannot be read as times"),
        ([1, 2], "expected timestamps"),
        (["2013-01-01", None], "the first of them is row 2"),
    ],
)
def test_what_is_no_time_says_why(values: list[Any], sentence: str) -> None:
    """With the row, where it is about one."""
    assert sentence in record_times("when", column(values))


@pytest.mark.parametrize(
    ("estimator", "values", "task", "classes", "dtype"),
    [
        (Classifier(), [True, False], Task.BINARY, (False, True), DType.BOOL),
        (Classifier(), [3, 1], Task.BINARY, (1, 3), DType.INT64),
        (Classifier(), [1.0, 0.0], Task.BINARY, (0, 1), DType.INT64),
        (Classifier(), ["b", "c", "a"], Task.MULTICLASS, ("a", "b", "c"), DType.BYTES),
        (Regressor(), [3, 1], Task.REGRESSION, (), DType.FP64),
        (object(), [3.5, 1.5], Task.REGRESSION, (), DType.FP64),
        (object(), [3, 1], Task.BINARY, (1, 3), DType.INT64),
    ],
)
def test_the_label_and_the_estimator_make_the_task(
    estimator: Any, values: list[Any], task: Task, classes: tuple[Any, ...], dtype: DType
) -> None:
    """Classes are in order and of the label's own type."""
    made = label_column(service(estimator), column(values))
    assert isinstance(made, Labelled)
    assert (made.task, made.classes, made.field.dtype) == (task, classes, dtype)


@pytest.mark.parametrize(
    ("estimator", "values", "sentence"),
    [
        (Regressor(), ["a", "b"], "the estimator is a regressor, but 'y' is string"),
        (Regressor(), [1.0, float("inf")], "1 values of 'y' are NaN or infinite"),
        (Classifier(), [1.5, 2.0], "holds fractions"),
        (Classifier(), [1, 1], "expected at least two classes in 'y', found [1]"),
        (Classifier(), list(range(1001)), "1001 different values"),
        (Classifier(), [None, None], "'y' is null"),
    ],
)
def test_a_label_that_does_not_fit_says_why(estimator: Any, values: list[Any], sentence: str) -> None:
    """The sentence names the label and what was found."""
    made = label_column(service(estimator), column(values))
    assert isinstance(made, Misfit)
    assert sentence in made.sentence
