"""Check, piece by piece: columns that must be seen whole are, whatever the batches, and nothing else is kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from keepfit.data.anomalies import Case
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.check import check, examine
from keepfit.data.profile import Kind, profile
from keepfit.data.scan import Scan, scan
from keepfit.data.schema import Expectation, Schema

ROWS = 5000
NAMES = [f"n{place}" for place in range(3000)]
SCHEMA = Schema(
    (
        Expectation(name="name", kind=Kind.TEXT, domain=tuple(NAMES[:2999])),
        Expectation(name="code", kind=Kind.TEXT, holds=Kind.INTEGER, minimum=0, maximum=4998),
        Expectation(name="id", kind=Kind.TEXT, unique=True),
        Expectation(name="at", kind=Kind.TIME),
        Expectation(name="x", kind=Kind.FLOAT, maximum=1.0),
        Expectation(name="y", kind=Kind.FLOAT),
    ),
    label="",
)


def rows() -> pa.Table:
    random = np.random.default_rng(0)
    minutes = np.delete(np.arange(ROWS + 1), 2500)
    return pa.table(
        {
            "name": NAMES[:2999] + NAMES[:2000] + ["n2999"],
            "code": [str(place) for place in range(ROWS - 1)] + ["none"],
            "id": [f"id{place}" for place in range(ROWS - 1)] + ["id7"],
            "at": np.datetime64("2026-01-01", "us") + minutes * np.timedelta64(60_000_000, "us"),
            "x": np.where(np.arange(ROWS) % 1000 == 999, 2.0, random.random(ROWS)),
            "y": np.where(np.arange(ROWS) == 77, -999.0, random.random(ROWS)),
        }
    )


def test_more_values_than_a_profile_keeps() -> None:
    """Texts beyond what is counted, repeats, a hole in time, a sentinel: with the right rows from batches of 64."""
    table = rows()
    scanned = Scan(table.schema, lambda: iter(table.to_batches(64)))
    found = profile(scanned)
    name = found.column("name")
    assert name is not None
    assert not name.frequent.exact
    faults = examine(Case(schema=SCHEMA, profile=found), scanned, most=2)
    told = {(fault.finding.subject, fault.finding.anomaly): fault.pinned(2) for fault in faults}
    rows_of = {key: (finding.count, finding.rows) for key, finding in told.items()}
    assert rows_of == {
        ("name", Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES): (1, (5000,)),
        ("code", Anomaly.INT_TYPE_NOT_INT_STRING): (1, (5000,)),
        ("x", Anomaly.FLOAT_TYPE_BIG_FLOAT): (5, (1000, 2000)),
        ("id", Anomaly.VALUES_REPEATED): (1, (5000,)),
        ("at", Anomaly.HOLES_IN_TIME): (1, (2501,)),
        ("y", Anomaly.SENTINEL_VALUES): (1, (78,)),
    }
    assert tuple(told.values()) == check(table, SCHEMA, rows=2)


def test_a_stream_that_can_be_read_once() -> None:
    """What gives its rows only once is checked all the same."""
    once = pa.RecordBatchReader.from_batches(rows().schema, rows().to_batches(100))
    assert not scan(once).repeats
    once = pa.RecordBatchReader.from_batches(rows().schema, rows().to_batches(100))
    assert check(once, SCHEMA) == check(rows(), SCHEMA)


def test_a_rule_waits_for_values() -> None:
    """A row without a value (null, NaN or empty text, as a Dataset has them) is not held to a rule about it."""
    schema = Schema((), label="", rules=("tip <= fare", "town != 'Rome'"))
    nan = float("nan")
    table = pa.table({"tip": [1.0, nan, 9.0, 2.0], "fare": [2.0, 1.0, 3.0, nan], "town": ["", "Rome", None, "Oslo"]})
    broken = {finding.subject: finding.rows for finding in check(table, schema) if finding.anomaly == "ROW_RULE_BROKEN"}
    assert broken == {"tip <= fare": (3,), "town != 'Rome'": (2,)}
