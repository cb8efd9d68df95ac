"""Suites of others: what they say is held to, and what is not understood is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Severity
from keepfit.data.check import check
from keepfit.data.suites import from_expectations, from_pandera, read_suite

GOOD: dict[str, list[Any]] = {
    "id": ["A1", "A2", "A3"],
    "fare": [1.0, 2.0, 3.0],
    "total": [1.5, 2.0, 4.0],
    "kind": ["cash", "card", "cash"],
}


def expectation(name: str, **asked: Any) -> dict[str, Any]:
    return {"expectation_type": f"expect_{name}", "kwargs": asked, "meta": {}}


SUITE = {
    "expectation_suite_name": "taxis",
    "expectations": [
        expectation("column_values_to_not_be_null", column="id"),
        expectation("column_values_to_be_unique", column="id"),
        expectation("column_values_to_match_regex", column="id", regex=r"^A\d$"),
        expectation("column_value_lengths_to_equal", column="id", value=2),
        expectation("column_values_to_be_between", column="fare", min_value=0, max_value=9, strict_min=True),
        expectation("column_values_to_be_in_set", column="kind", value_set=["cash", "card"], mostly=0.6),
        expectation("column_values_to_be_of_type", column="fare", type_="float64"),
        expectation("column_pair_values_a_to_be_greater_than_b", column_A="total", column_B="fare", or_equal=True),
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 3}},
        expectation("column_kl_divergence_to_be_less_than", column="fare", threshold=0.1),
        expectation("column_values_to_be_in_set", column="fare", value_set=[1, 2]),
    ],
}
PANDERA = """
schema_type: dataframe
version: 0.20.4
columns:
  id:
    dtype: str
    nullable: false
    unique: true
    checks:
      str_matches: A\\d$
      str_length: {min_value: 2, max_value: 2}
    required: true
  fare:
    dtype: float64
    nullable: false
    checks:
      - {value: 0, options: {check_name: greater_than}}
      - {min_value: 0, max_value: 9, options: {check_name: in_range}}
      - {value: 3, options: {check_name: my_own}}
    required: true
  kind: {dtype: category, nullable: true, checks: {isin: [cash, card]}}
  total: {dtype: 'complex128', required: false}
checks: null
index: null
strict: true
"""
BAD: dict[str, tuple[str, list[Any]]] = {
    "VALUES_REPEATED": ("id", ["A1", "A2", "A1"]),
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": ("id", ["A1", "A2", None]),
    "PATTERN_MISMATCH": ("id", ["A1", "A2", "B3"]),
    "TEXT_LENGTH": ("id", ["A1", "A2", "A33"]),
    "FLOAT_TYPE_SMALL_FLOAT": ("fare", [1.0, 0.0, 3.0]),
    "FLOAT_TYPE_BIG_FLOAT": ("fare", [1.0, 2.0, 9.5]),
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": ("kind", ["bond", "bond", "cash"]),
    "UNEXPECTED_DATA_TYPE": ("fare", ["1", "2", "3"]),
}


@pytest.mark.parametrize("anomaly", BAD)
@pytest.mark.parametrize("which", ["expectations", "pandera"])
def test_held_to(tmp_path: Path, which: str, anomaly: str) -> None:
    """Data as the suite wants it raises nothing, and each fault is an error under its name."""
    path = tmp_path / "suite"
    path.write_text(json.dumps(SUITE) if which == "expectations" else PANDERA)
    schema = read_suite(path).schema
    grave = [f for f in check(pa.table(GOOD), schema) if f.severity is not Severity.INFO]
    assert grave == []
    column, values = BAD[anomaly]
    found = check(pa.table({**GOOD, column: values}), schema)
    assert (column, Severity.ERROR) in {(f.subject, f.severity) for f in found if f.anomaly == anomaly}


def test_of_rows_together() -> None:
    """Rules between columns and numbers of rows are held to."""
    schema = from_expectations(SUITE).schema
    assert schema.rules == ("`total` >= `fare`",)
    found = check(pa.table({**GOOD, "total": [0.0, 2.0, 4.0]}).slice(0, 2), schema)
    assert {"ROW_RULE_BROKEN", "DATASET_LOW_NUM_EXAMPLES"} <= {f.anomaly for f in found}


def test_not_understood(tmp_path: Path) -> None:
    """What a Schema has no words for is named, never dropped in silence; what is no suite is refused."""
    odd = from_expectations(SUITE).not_understood
    assert [one.split()[0] for one in odd] == [
        "expect_column_kl_divergence_to_be_less_than",
        "expect_column_values_to_be_in_set",
    ]
    (tmp_path / "s.yaml").write_text(PANDERA)
    assert read_suite(tmp_path / "s.yaml").not_understood == ("fare: my_own 3", "total: dtype complex128")
    assert from_pandera({"columns": {"a": {"regex": True}}}).not_understood == ("a: a column named by a pattern",)
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(DataInvalid, match="neither"):
        read_suite(tmp_path / "s.json")
