"""Drift of whole tables: no service, no store, no server."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from keepfit.core.errors import DataInvalid, SpecInvalid
from keepfit.core.nouns import Score, Season
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


def nights_and_days(start: datetime, hours: int) -> pa.Table:
    """Fares twice as high by night (UTC), ten an hour."""
    at = [start + timedelta(minutes=6 * i) for i in range(10 * hours)]
    night = np.array([one.hour < 6 for one in at])
    return pa.table({"at": at, "fare": RNG.normal(np.where(night, 20.0, 10.0), 2)})


def test_seasons() -> None:
    """A night differs from the weeks before it and not from their nights; a night that changed differs from those too.

    Without rows of its hours before, nothing is compared, and the note says which there should have been.
    """
    before = nights_and_days(datetime(2018, 1, 1, tzinfo=UTC), 24 * 14)
    night = nights_and_days(datetime(2018, 1, 15, tzinfo=UTC), 6)
    hours = Limits(season=Season.HOUR)
    assert drift(before, night).findings
    calm = drift(before, night, limits=hours)
    assert not calm.findings
    assert [m.subject for m in calm.measurements] == ["fare"]
    assert calm.measurements[0].n_reference == 240
    dearer = night.set_column(1, "fare", pc.add(night["fare"], 5.0))
    assert drift(before, dearer, limits=hours, column="at").findings
    days = before.filter(pa.array([one.hour >= 6 for one in before["at"].to_pylist()]))
    alone = drift(days, night, limits=hours)
    assert not alone.findings
    assert alone.measurements[0].note.startswith("0 rows before of hours 0, 1, 2, 3, 4, 5 UTC, 60 in the window")


def test_seasons_by_day() -> None:
    """Each hour of a day is held against the same hours: no hour drifts, while without a season the nights do."""
    before = nights_and_days(datetime(2018, 1, 1, tzinfo=UTC), 24 * 14)
    day = nights_and_days(datetime(2018, 1, 15, tzinfo=UTC), 24)
    few = Limits(season=Season.HOUR_OF_WEEK, minimum=10)
    assert sum(bool(one.findings) for one in drift_by(before, day, by="hour", limits=few)) <= 1
    plain = drift_by(before, day, by="hour", limits=Limits(minimum=10))
    assert sum(bool(one.findings) for one in plain[:6]) >= 5


def test_seasons_need_times() -> None:
    """Without a column of times, or with a zone that is none, a season is refused."""
    lone = pa.table({"x": [1.0, 2.0]})
    with pytest.raises(DataInvalid, match="expected a column of times for the season 'hour', found 'none'"):
        drift(lone, lone, limits=Limits(season=Season.HOUR))
    with pytest.raises(DataInvalid, match="expected a column of times in both tables, found 'at'"):
        drift(lone, table(9), limits=Limits(season=Season.HOUR))
    with pytest.raises(SpecInvalid, match="tz: expected an IANA name"):
        Limits(tz="Mars")


class Lengths:
    """Somebody's detector, which reads texts one by one."""

    def score(self, reference: np.ndarray, window: np.ndarray) -> Score:
        lengths = [np.mean([len(text) for text in side]) for side in (reference, window)]
        return Score(lengths[1] - lengths[0], 0.0, 1.0)


def test_texts_for_a_detector_of_somebody_else() -> None:
    """A detector that is not ours finds the texts themselves; ours tell what moved by codes alone."""
    old, new = pa.table({"x": ["a", "bb"] * 50}), pa.table({"x": ["ccc", "dddd"] * 50})
    assert drift(old, new, limits=Limits(Lengths())).measurements[0].statistic == 2.0
    assert "'a' vanished, it was 50.0%" in drift(old, new, limits=Limits(JensenShannon())).findings[0].sentence


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
