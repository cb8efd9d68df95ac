"""Which trainings may begin where several Services want the same processors: told as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.loop.share import PATIENCE, Deeds, Waiting, share

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def waits(service: str, gain: float | None = None, cost: float | None = None, **more: object) -> Waiting:
    one = Waiting(service=service, threads=1, since=NOW, gain=gain, cpu_seconds=cost)
    return replace(one, **more)  # type: ignore[arg-type]


LONG = NOW - PATIENCE

TABLE = [
    pytest.param([], 0, 2, Deeds(), id="nobody waits"),
    pytest.param([waits("a")], 0, 2, Deeds(train=("a",)), id="one alone needs no outlook"),
    pytest.param([waits("a")], 0, 1, Deeds(train=("a",)), id="one core is enough for one"),
    pytest.param([waits("a")], 1, 2, Deeds(), id="another one trains"),
    pytest.param([waits("a"), waits("b")], 0, 3, Deeds(train=("a", "b")), id="there is room for both"),
    pytest.param([waits("a"), waits("b")], 0, 2, Deeds(outlook=("a",)), id="a choice is looked at first"),
    pytest.param([waits("a", 0.1, 1.0), waits("b")], 0, 2, Deeds(outlook=("b",)), id="whoever is not known yet"),
    pytest.param(
        [waits("a"), waits("b", since=NOW - timedelta(minutes=1))], 0, 2, Deeds(outlook=("b",)), id="in order of asking"
    ),
    pytest.param([waits("a", 0.1, 10.0), waits("b", 0.05, 1.0)], 0, 2, Deeds(train=("b",)), id="gain for a second"),
    pytest.param([waits("a", -0.1, 1.0), waits("b", 0.01, 99.0)], 0, 2, Deeds(train=("b",)), id="a loss is no gain"),
    pytest.param([waits("a", 0.5, 1.0), waits("b", lacks=True)], 0, 2, Deeds(train=("b",)), id="who answers nobody"),
    pytest.param([waits("a"), waits("b", lacks=True)], 0, 2, Deeds(train=("b",)), id="and without an outlook"),
    pytest.param(
        [waits("a", 0.5, 1.0), waits("b", 0.0, 9.0, since=LONG)], 0, 2, Deeds(train=("b",)), id="who waited for an hour"
    ),
    pytest.param(
        [waits("a", 0.5, 1.0, threads=3), waits("b", 0.1, 1.0)],
        1,
        4,
        Deeds(),
        id="the best is not overtaken by a small",
    ),
    pytest.param([waits("a", threads=64)], 0, 4, Deeds(train=("a",)), id="more threads than cores are taken as all"),
]


@pytest.mark.parametrize(("waiting", "taken", "cores", "expected"), TABLE)
def test_what_may_begin(waiting: list[Waiting], taken: int, cores: int, expected: Deeds) -> None:
    """The rule for each kind of queue."""
    assert share(waiting, taken=taken, cores=cores, now=NOW) == expected


some = st.builds(
    Waiting,
    service=st.sampled_from("abcdefgh"),
    threads=st.integers(1, 8),
    since=st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 1, 12), timezones=st.just(UTC)),  # noqa: DTZ001  # the strategy wants naive bounds
    gain=st.none() | st.floats(-1, 1),
    cpu_seconds=st.none() | st.floats(0, 1e4),
    lacks=st.booleans(),
)


@given(st.lists(some, max_size=8, unique_by=lambda one: one.service), st.integers(0, 9), st.integers(1, 9))
def test_the_machine_is_never_overbooked_nor_idle(waiting: list[Waiting], taken: int, cores: int) -> None:
    """Threads fit below the cores; where the machine is free and somebody waits, something begins."""
    deeds = share(waiting, taken=taken, cores=cores, now=NOW)
    most = max(1, cores - 1)
    begun = sum(min(one.threads, most) for one in waiting if one.service in deeds.train)
    assert begun == 0 or begun + taken <= most
    assert not (deeds.train and deeds.outlook)
    if waiting and not taken:
        assert deeds.train or deeds.outlook
