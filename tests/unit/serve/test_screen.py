"""Screen: decoded requests are held to the same requirements, with the same outcome, as rows of a table are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toys
from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Severity
from keepfit.core.requirements import Requirement, Requirements, RowRule
from keepfit.core.rows import broken, checker
from keepfit.data.check import check, requirements
from keepfit.data.profile import profile
from keepfit.data.schema import Schema, infer
from keepfit.serve.screen import Screen

REQUIREMENTS = Requirements(
    (
        Requirement(name="amount", kind="float", least=-5.0, most=5.0, nan=False),
        Requirement(name="count", kind="integer", least=0, most=9, severity={"INT_TYPE_BIG_INT": "warning"}),
        Requirement(name="city", kind="text", domain=("Oslo", "Rome"), absent="FEATURE_TYPE_NOT_PRESENT"),
        Requirement(name="new", kind="boolean"),
        Requirement(name="another", kind="text", absent="FEATURE_TYPE_NOT_PRESENT"),
    )
)
SCREEN = Screen(REQUIREMENTS, toys.COLUMNS)
ROW: dict[str, Any] = {"amount": 1.0, "count": 3, "city": "Rome", "new": True}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "amount": st.floats(-6, 6) | st.sampled_from([float("nan"), float("inf"), 5.0]),
            "count": st.integers(-1, 11),
            "city": st.sampled_from(["Rome", "Oslo", "", "Bern"]),
            "new": st.booleans(),
        }
    ),
    max_size=60,
)


def arrays(rows: list[dict[str, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    types = {"amount": np.float64, "count": np.int64, "city": object, "new": np.bool_}
    return {name: np.array([row[name] for row in rows], dtype) for name, dtype in types.items()}


@pytest.mark.parametrize(
    ("name", "value", "anomaly", "severity"),
    [
        ("amount", 7.5, "FLOAT_TYPE_BIG_FLOAT", "error"),
        ("amount", -7.5, "FLOAT_TYPE_SMALL_FLOAT", "error"),
        ("amount", float("nan"), "FLOAT_TYPE_HAS_NAN", "error"),
        ("amount", float("-inf"), "FLOAT_TYPE_HAS_INF", "error"),
        ("count", 10, "INT_TYPE_BIG_INT", "warning"),
        ("city", "Bern", "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "error"),
        ("city", "", "FEATURE_TYPE_NOT_PRESENT", "error"),
    ],
)
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_what_is_out_of_line_is_told(name: str, value: Any, anomaly: str, severity: str, rows: int) -> None:
    """One wrong value among any number of rows is found, under its name, with its severity and its value."""
    assert SCREEN(arrays([ROW] * rows)) == ()
    (found,) = SCREEN(arrays([ROW] * (rows - 1) + [{**ROW, name: value}]))
    assert (found.subject, found.anomaly, found.severity, found.count) == (name, anomaly, Severity(severity), 1)
    assert name in found.sentence


@settings(deadline=None)
@given(ROWS)
def test_many_rows_are_each_row(rows: list[dict[str, Any]]) -> None:
    """All rows of a request together are out of line in as many rows as one by one."""
    check = checker(Requirements(REQUIREMENTS.columns[:4]))
    one_by_one: dict[tuple[str, str], int] = {}
    for row in rows:
        for found in check(row):
            one_by_one[found.subject, found.anomaly] = one_by_one.get((found.subject, found.anomaly), 0) + 1
    together = {(found.subject, found.anomaly): found.count for found in SCREEN(arrays(rows))}
    assert together == one_by_one


def test_what_was_learnt_from_is_in_line() -> None:
    """No row of the data that a Schema was inferred from is out of line with it."""
    rows = [ROW, {**ROW, "amount": float("nan"), "city": ""}, {**ROW, "count": 4}] * 20
    inferred = requirements(infer(profile(pa.Table.from_pylist(rows))))
    assert Screen(inferred, toys.COLUMNS)(arrays(rows)) == ()


def test_another_kind_than_the_signature_says() -> None:
    """Values that the Signature lets through are told where they are of another kind than is required."""
    fraction = Screen(Requirements((Requirement(name="amount", kind="integer"),)), toys.COLUMNS)
    assert [found.anomaly for found in fraction(arrays([ROW]))] == ["UNEXPECTED_DATA_TYPE"]
    anything = Screen(Requirements((Requirement(name="amount"), Requirement(name="new", kind="boolean"))), toys.COLUMNS)
    assert anything(arrays([ROW, {**ROW, "amount": float("inf")}])) == ()


def test_rules_between_values() -> None:
    """A rule of the Schema is broken by the rows of a request that break it in a table, and waits for values there."""
    schema = Schema(
        (), label="", rules=("amount <= count", "city == 'Rome' or not new"), severity={"*": Severity.WARNING}
    )
    rows = [ROW, {**ROW, "amount": 9.5}, {**ROW, "amount": float("nan")}, {**ROW, "city": "Oslo"}, {**ROW, "city": ""}]
    told = {
        one.subject: (one.anomaly, one.count, one.severity)
        for one in Screen(requirements(schema), toys.COLUMNS)(arrays(rows))
    }
    in_table = check(pa.Table.from_pylist(rows), schema)
    assert told == {one.subject: (one.anomaly, one.count, one.severity) for one in in_table if one.count}
    assert [told[rule][1] for rule in schema.rules] == [1, 1]
    assert [len(checker(requirements(schema))(row)) for row in rows] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    "expression", ["__import__('os')", "c0.real > 1", "c0 ** 99 > 1", "(lambda: 1)() > c0", "[c0][0]"]
)
def test_an_expression_only_compares(expression: str) -> None:
    """What a Bundle brings is run, so what does more than compare and reckon is refused."""
    with pytest.raises(SpecInvalid, match="expected columns, numbers, texts"):
        broken(RowRule("a rule", ("a",), expression))
