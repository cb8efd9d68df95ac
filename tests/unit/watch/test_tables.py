"""Drift of whole tables: no service, no store, no server."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid, SpecInvalid
from keepfit.data.read import read
from keepfit.watch.detectors import JensenShannon
from keepfit.watch.tables import Limits, drift, drift_by

RNG = np.random.default_rng(3)


def table(n: int, *, fare: float = 10.0, cash: float = 0.5) -> pa.Table:
    start = datetime(2018, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "at": [start + timedelta(hours=i) for i in range(n)],
            "fare": RNG.normal(fare, 2, n),
            "paid": np.where(RNG.random(n) < cash, "cash", "card"),
            "tags": [["a"]] * n,
            "nothing": pa.nulls(n),
        }
    )


def test_what_moved() -> None:
    """The columns that moved are found, with what moved in them; lists and lone columns are said not to be compared."""
    found = drift(table(2000).drop_columns("at"), table(1000, fare=12.0, cash=0.2).append_column("new", [[1] * 1000]))
    told = {finding.subject: finding.sentence for finding in found.findings}
    assert set(told) == {"fare", "paid"}
    assert "median 10" in told["fare"]
    assert "'cash' went from" in told["paid"] or "'card' went from" in told["paid"]
    assert {line.split(":")[0] for line in found.skipped} == {"at", "new", "tags"}
    assert {m.subject for m in found.measurements} == {"fare", "paid", "nothing"}


def test_by_month() -> None:
    """Each month is compared by itself, so the first drifted one is known."""
    months = pa.concat_tables([table(744), table(1400, fare=13.0).slice(744)])
    found = drift_by(table(700), months, by="month")
    assert [(one.period[:7], bool(one.findings)) for one in found] == [("2018-01", False), ("2018-02", True)]
    with pytest.raises(DataInvalid, match="expected a column of times"):
        drift_by(table(9), table(9), by="month", column="fare")
    with pytest.raises(SpecInvalid, match="expected one of hour"):
        drift_by(table(9), table(9), by="moon")


def test_frames_and_detectors() -> None:
    """DataFrames are taken as they are, and any detector."""
    import pandas as pd

    frame = pd.DataFrame({"x": RNG.normal(size=500), "c": ["a", "b"] * 250})
    found = drift(frame, frame.assign(x=frame["x"] + 1), limits=Limits(JensenShannon()))
    assert [finding.subject for finding in found.findings] == ["x"]
    with pytest.raises(SpecInvalid, match="no column in common"):
        drift(frame, frame.add_prefix("other_"))


def test_needs_little() -> None:
    """Importing it brings neither pandas nor scipy nor a store."""
    code = "import sys, keepfit.watch.tables; print({'pandas', 'scipy', 'keepfit.store'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_real_halves(shared_data: Path) -> None:
    """Random halves of the Chicago trips have no drift in any column, where TFDV's default finds it in four."""
    taxi = read(shared_data / "chicago_taxi" / "tfdv_train.csv")
    for _ in range(5):
        rows = RNG.permutation(taxi.num_rows)
        assert not drift(taxi.take(rows[::2]), taxi.take(rows[1::2])).findings
