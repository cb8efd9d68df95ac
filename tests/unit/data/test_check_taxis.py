"""A year of taxi trips, with its real faults: each is found, in its row, and nothing else is an error."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from keepfit.core.nouns import Finding
from keepfit.data.anomalies import Case
from keepfit.data.check import check, examine, quarantine
from keepfit.data.profile import Kind, profile
from keepfit.data.read import read
from keepfit.data.schema import Expectation, Schema, TimeOrder, infer

PICKUP, DROPOFF = "pickup_datetime", "dropoff_datetime"
YEAR = 2018
SCHEMA = Schema(
    (
        Expectation(name=PICKUP, kind=Kind.TIME),
        Expectation(name=DROPOFF, kind=Kind.TIME),
        Expectation(name="fare_amount", kind=Kind.FLOAT, maximum=10_000.0),
        Expectation(name="congestion_surcharge", kind=Kind.FLOAT),
    ),
    "",
    rules=(f"{DROPOFF} >= {PICKUP}",),
    time=TimeOrder(PICKUP, every="day"),
)


def month(folder: Path, number: int) -> pa.Table:
    return read(folder / f"yellow_tripdata_sample_{YEAR}-{number:02}.csv")


def span(number: int) -> tuple[datetime, datetime]:
    end = datetime(YEAR + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return datetime(YEAR, number, 1, tzinfo=UTC), end


@pytest.fixture(scope="session")
def folder(shared_data: Path) -> Path:
    return shared_data / "nyc_yellow_2018"


@pytest.fixture(scope="session")
def found(folder: Path) -> dict[int, tuple[Finding, ...]]:
    columns = [column.name for column in SCHEMA.columns]
    return {n: check(month(folder, n).select(columns), SCHEMA, span=span(n)) for n in range(1, 13)}


def test_exactly_the_faults(folder: Path, found: dict[int, tuple[Finding, ...]]) -> None:
    """2 drop-offs before their pick-up, one fare, 5 pick-ups outside of their month, the empty column; nothing else."""
    counts: dict[str, int] = {}
    for findings in found.values():
        for finding in findings:
            assert len(finding.rows) == min(finding.count, 10)
            key = f"{finding.anomaly} {finding.subject}"
            counts[key] = counts.get(key, 0) + finding.count
    assert counts == {
        f"ROW_RULE_BROKEN {DROPOFF} >= {PICKUP}": 2,
        "FLOAT_TYPE_BIG_FLOAT fare_amount": 1,
        f"OUTSIDE_SPAN {PICKUP}": 5,
        "EMPTY_COLUMN congestion_surcharge": 120_000,
    }
    (fare,) = (finding for finding in found[8] if finding.subject == "fare_amount")
    assert month(folder, 8)["fare_amount"][fare.rows[0] - 1].as_py() == 429_490.20


def test_rows_are_those_meant(folder: Path, found: dict[int, tuple[Finding, ...]]) -> None:
    """The numbers told are those of the rows in the file."""
    for number, findings in found.items():
        table = month(folder, number)
        first, end = (at.replace(tzinfo=None) for at in span(number))
        for finding in findings:
            for row in finding.rows:
                pickup, dropoff = (table[name][row - 1].as_py() for name in (PICKUP, DROPOFF))
                if finding.anomaly == "ROW_RULE_BROKEN":
                    assert dropoff < pickup
                if finding.anomaly == "OUTSIDE_SPAN":
                    assert not first <= pickup < end


def test_quarantine(folder: Path) -> None:
    """August's fare goes to quarantine with its row and its reason, and no other row does."""
    table = month(folder, 8).select([PICKUP, DROPOFF, "fare_amount"])
    case = Case(schema=SCHEMA, profile=profile(table), table=table)
    (row,) = quarantine(table, examine(case)).to_pylist()
    assert row["fare_amount"] == 429_490.20
    assert row["_why"] == "FLOAT_TYPE_BIG_FLOAT fare_amount"
    assert table["fare_amount"][row["_row"] - 1].as_py() == row["fare_amount"]


def test_learnt_alone(folder: Path) -> None:
    """A schema inferred from January finds August's fare without being told of any bound."""
    schema = infer(profile(month(folder, 1)))
    rows = {f.rows for f in check(month(folder, 8), schema) if f.subject == "fare_amount"}
    fares = month(folder, 8)["fare_amount"].to_pylist()
    assert rows == {(fares.index(429_490.20) + 1,)}
