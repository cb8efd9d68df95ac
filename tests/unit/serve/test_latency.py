"""What front workers tell of their latency, read in another place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.serve.latency import Latency
from keepfit.serve.tally import Tally


@given(st.floats(1e-6, 100.0))
def test_what_is_told_is_read(tmp_path_factory: pytest.TempPathFactory, seconds: float) -> None:
    """To a hundredth of a millisecond, by whoever maps the same file."""
    path = tmp_path_factory.mktemp("deployment") / "latency"
    told, read = Latency(path), Latency(path)
    told.tell(0, seconds)
    found = read.slowest()
    assert found == pytest.approx(seconds, abs=1e-5)
    told.close()
    read.close()


def test_the_slowest_worker_that_lives_counts(tmp_path: Path) -> None:
    """One that told nothing for three seconds is gone; one that answers nothing has no say."""
    now = [1000.0]
    latency = Latency(tmp_path / "latency", clock=lambda: now[0])
    assert latency.slowest() is None
    latency.tell(0, 0.5)
    now[0] += 2.0
    latency.tell(1, 0.1)
    latency.tell(2, None)
    assert latency.slowest() == pytest.approx(0.5)
    now[0] += 2.0
    assert latency.slowest() == pytest.approx(0.1)
    now[0] += 2.0
    assert latency.slowest() is None


def test_workers_beyond_the_file_are_not_heard(tmp_path: Path) -> None:
    """They do no harm either."""
    latency = Latency(tmp_path / "latency")
    latency.tell(64, 1.0)
    assert latency.slowest() is None


def test_the_latest_answers_are_those_of_as_few_seconds_as_suffice() -> None:
    """A hundred answers are looked at where there are so many, and none of the second that is going on."""
    tally = Tally()
    assert tally.latest(0.99) is None
    for _ in range(100):
        tally.add(200, 1.0)
    assert tally.latest(0.99) is None
    tally.tick()
    assert tally.latest(0.99) == pytest.approx(1.0, rel=0.1)
    for _ in range(50):
        tally.add(200, 0.001)
    tally.tick()
    assert tally.latest(0.99) == pytest.approx(1.0, rel=0.1)
    for _ in range(50):
        tally.add(200, 0.001)
    tally.tick()
    assert tally.latest(0.99) == pytest.approx(0.001, rel=0.1)
    for _ in range(9):
        tally.tick()
    assert tally.latest(0.99) is None
