"""Requests: one row is checked with the same schema, under the same names."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from keepfit.core.nouns import Severity
from keepfit.data.check import check, checker
from keepfit.data.profile import Kind, profile
from keepfit.data.schema import Between, Expectation, Schema, infer

SCHEMA = Schema(
    (
        Expectation(name="n", kind=Kind.INTEGER, minimum=0, maximum=9, required=1.0),
        Expectation(name="f", kind=Kind.FLOAT, minimum=0.5, maximum=9.5, nan=False),
        Expectation(name="t", kind=Kind.TEXT, domain=("a", "b")),
        Expectation(name="p", kind=Kind.TEXT, pattern=r"[A-Z]\d"),
        Expectation(name="l", kind=Kind.TENSOR, lengths=(Between(1, 2),)),
        Expectation(name="b", kind=Kind.BOOLEAN),
        Expectation(name="s", kind=Kind.INTEGER, required=1.0, not_in=("SERVING",)),
        Expectation(name="y", kind=Kind.INTEGER, required=1.0),
    ),
    "y",
)
GOOD: dict[str, Any] = {"n": 1, "f": 2, "t": "a", "p": "A1", "l": [1], "b": True}
WRONG = {
    "n": [(10, "INT_TYPE_BIG_INT"), (-1, "INT_TYPE_SMALL_INT"), ("1", "UNEXPECTED_DATA_TYPE")],
    "f": [(0.1, "FLOAT_TYPE_SMALL_FLOAT"), (float("nan"), "FLOAT_TYPE_HAS_NAN"), (float("inf"), "FLOAT_TYPE_HAS_INF")],
    "t": [("c", "ENUM_TYPE_UNEXPECTED_STRING_VALUES")],
    "p": [("A12", "PATTERN_MISMATCH"), ("a1", "PATTERN_MISMATCH")],
    "l": [([], "FEATURE_TYPE_LOW_NUMBER_VALUES"), ([1, 2, 3], "FEATURE_TYPE_HIGH_NUMBER_VALUES")],
    "b": [(1, "UNEXPECTED_DATA_TYPE")],
}
CASES = [(name, value, anomaly) for name, cases in WRONG.items() for value, anomaly in cases]
SERVED = checker(SCHEMA, environment="SERVING")


@pytest.mark.parametrize(("name", "value", "anomaly"), CASES)
def test_as_in_a_table(name: str, value: Any, anomaly: str) -> None:
    """One wrong value is found in a request under the name, and as severe, as in a table."""
    (found,) = SERVED({**GOOD, name: value})
    assert (found.subject, found.anomaly) == (name, anomaly)
    table = pa.table({key: [one] for key, one in {**GOOD, name: value, "y": 1, "s": 1}.items()})
    same = [f for f in check(table, SCHEMA) if f.subject == name and f.anomaly != "EMPTY_COLUMN"]
    assert [(f.anomaly, f.severity) for f in same] == [(anomaly, found.severity)]


def test_presence() -> None:
    """What every row needs is missed; the label, and what is not served, are not; what else may be missing may."""
    assert SERVED(GOOD) == ()
    assert SERVED({"n": 1, "t": None}) == ()
    assert [(f.subject, f.anomaly, f.severity) for f in SERVED({})] == [("n", "SCHEMA_MISSING_COLUMN", Severity.ERROR)]
    assert [f.anomaly for f in SERVED({"n": None})] == ["FEATURE_TYPE_NOT_PRESENT"]
    assert [f.subject for f in checker(SCHEMA)(GOOD)] == ["s"]


def test_rows_it_was_learnt_from() -> None:
    """No row of the data that a schema was inferred from is out of line with it."""
    table = pa.table({"x": [1.5, None, 3.0], "t": ["a", "b", ""], "k": [7, 7, 7], "b": [True, False, None]})
    checked = checker(infer(profile(table)))
    assert [checked(row) for row in table.to_pylist()] == [(), (), ()]
