"""History: which rows are replayed, how they are cut, and when each label is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid, SpecInvalid
from keepfit.core.nouns import LABEL, RECORD_ID, RECORD_TIME, Window
from keepfit.core.service import Service
from keepfit.loop.history import history, window_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=30)
SERVICE = Service(name="s", label="y")
TIMED = Service(name="s", label="y", time="t", label_delay=timedelta(days=3))


def rows(values: list[float], times: list[datetime] | None = None) -> pa.Table:
    moments = times or [EPOCH] * len(values)
    return pa.table(
        {
            RECORD_ID: [f"source:{place:09d}" for place in range(len(values))],
            RECORD_TIME: pa.array(moments, pa.timestamp("us", tz="UTC")),
            "x": values,
            LABEL: [int(value) % 2 for value in values],
        }
    )


def test_first_data_is_not_replayed() -> None:
    """Rows which the first data begins with are skipped, missing values included; other data is replayed whole."""
    data = rows([1.0, 2.0, 3.0, 4.0, 5.0])
    assert history(data, data.slice(0, 2), SERVICE, chunk="1", step=STEP).skipped == 2
    assert history(data, rows([9.0, 2.0]), SERVICE, chunk="1", step=STEP).skipped == 0
    holes = data.set_column(2, "x", pa.array([1.0, float("nan"), 3.0, 4.0, 5.0]))
    assert history(holes, holes.slice(0, 2), SERVICE, chunk="1", step=STEP).skipped == 2
    with pytest.raises(DataInvalid, match="nothing to replay"):
        history(data, data, SERVICE, chunk="1", step=STEP)


def test_rows_without_times_follow_the_first_data() -> None:
    """Where no time is named, rows are `step` apart after the first data, with ids of their own in that order."""
    past = history(rows([1.0, 2.0, 3.0, 4.0]), rows([1.0, 2.0]), SERVICE, chunk="1", step=STEP)
    assert past.rows[RECORD_TIME].to_pylist() == [EPOCH + STEP, EPOCH + 2 * STEP]
    ids = past.rows[RECORD_ID].to_pylist()
    assert ids == sorted(ids)
    assert not set(ids) & {"source:000000000", "source:000000001"}


def test_chunks_by_rows_share_and_calendar() -> None:
    """A chunk is a number of rows, a share of all rows, or a calendar month in UTC; the last may be shorter."""
    ten = rows([float(value) for value in range(10)])
    empty = ten.slice(0, 0)
    by_rows = history(ten, empty, SERVICE, chunk="4", step=STEP)
    assert [(chunk.start, chunk.end) for chunk in by_rows.chunks] == [(0, 4), (4, 8), (8, 10)]
    assert [chunk.end for chunk in history(ten, empty, SERVICE, chunk="50%", step=STEP).chunks] == [5, 10]
    days = [datetime(2018, 1, 30, tzinfo=UTC) + timedelta(days=day) for day in range(10)]
    by_month = history(rows([0.0] * 10, days), empty, TIMED, chunk="month", step=STEP)
    assert [(chunk.end, chunk.close) for chunk in by_month.chunks] == [(2, days[1]), (10, days[9])]


@pytest.mark.parametrize("chunk", ["0", "2.5", "fortnight", "0%"])
def test_odd_chunks_are_refused(chunk: str) -> None:
    """A chunk that means nothing is refused with what there is."""
    with pytest.raises(SpecInvalid, match="month"):
        history(rows([1.0, 2.0]), rows([]).slice(0, 0), SERVICE, chunk=chunk, step=STEP)


def test_labels_are_known_so_many_chunks_later() -> None:
    """With a delay of one chunk, the labels of a chunk are known after the next one was answered, not before."""
    past = history(rows([float(v) for v in range(6)]), rows([]), SERVICE, chunk="2", delay=1, step=STEP)
    assert past.known.tolist() == [1, 1, 2, 2, 3, 3]
    assert past.labelled_after(1).num_rows == 2
    assert past.known_before(1).num_rows == 0
    assert past.known_before(2)["x"].to_pylist() == [0.0, 1.0]


def test_labels_are_known_no_sooner_than_the_label_delay() -> None:
    """A Service's own delay holds labels back beyond chunks which end too early."""
    days = [datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(8)]
    past = history(rows([0.0] * 8, days), rows([]), TIMED, chunk="2", step=STEP)
    assert past.known.tolist() == [1, 2, 2, 3, 3, 4, 4, 4]


def test_window_of_rows_and_time() -> None:
    """A window keeps the latest rows, or those younger than its time; neither keeps all."""
    days = [datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(8)]
    table = rows([float(day) for day in range(8)], days)
    assert window_of(table, Window(rows=3))["x"].to_pylist() == [5.0, 6.0, 7.0]
    assert window_of(table, Window(time=timedelta(days=2)))["x"].to_pylist() == [6.0, 7.0]
    assert window_of(table, Window()).num_rows == 8
