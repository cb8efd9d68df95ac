"""When Runs stand still: decided from the strain of serving alone, so told here as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.edge.guard import Stance, stance

SECONDS = 0.1


def course(strains: list[tuple[float, float | None]]) -> list[tuple[float, bool]]:
    """For how long Runs work or stand still, given for how long which strain lasts."""
    now, at, found = 100.0, Stance(), [(0.0, False)]
    for seconds, strain in strains:
        for _ in range(round(seconds / SECONDS)):
            now += SECONDS
            at = stance(now, at, strain)
            lasted, still = found[-1]
            if still == at.still:
                found[-1] = (lasted + SECONDS, still)
            else:
                found.append((SECONDS, at.still))
    return [(round(lasted, 1), still) for lasted, still in found]


@pytest.mark.parametrize(
    ("strains", "expected"),
    [
        pytest.param([(5, None)], [(5, False)], id="nothing is asked"),
        pytest.param([(5, 1.0)], [(5, False)], id="the budget is just kept"),
        pytest.param([(1, 0.5), (2, 1.1)], [(1, False), (2, True)], id="it is passed"),
        pytest.param([(1, 1.1), (5, 0.9)], [(0, False), (6, True)], id="barely well is not well"),
        pytest.param([(1, 1.1), (5, 0.5)], [(0, False), (3, True), (3, False)], id="well for two seconds"),
        pytest.param([(1, 1.1), (5, None)], [(0, False), (3, True), (3, False)], id="nobody asks any more"),
        pytest.param(
            [(1, 2.0), (3, 0.5), (1, 2.0), (6, 0.5)],
            [(0, False), (3, True), (1, False), (5, True), (2, False)],
            id="in the way again at once: twice as long",
        ),
        pytest.param(
            [(1, 2.0), (14, 0.5), (1, 2.0), (3, 0.5)],
            [(0, False), (3, True), (12, False), (3, True), (1, False)],
            id="in the way again much later: as before",
        ),
        pytest.param([(65, 5.0)], [(0, False), (60, True), (2, False), (3, True)], id="it is not their doing"),
    ],
)
def test_runs_stand_still(strains: list[tuple[float, float | None]], expected: list[tuple[float, bool]]) -> None:
    """Work and rest last as long as the rule says, to a tenth or two of a second."""
    found = course(strains)
    assert [still for _, still in found] == [still for _, still in expected]
    assert [lasted for lasted, _ in found] == pytest.approx([lasted for lasted, _ in expected], abs=0.25)


@given(st.lists(st.tuples(st.sampled_from([0.5, 3.0, 20.0]), st.sampled_from([None, 0.5, 0.9, 1.5])), max_size=20))
def test_nobody_waits_for_ever(strains: list[tuple[float, float | None]]) -> None:
    """However serving fares, no rest is longer than a minute, and between two there is work."""
    for lasted, still in course(strains):
        assert not still or lasted <= 60.2


@given(st.lists(st.sampled_from([None, 0.2, 0.9, 1.2]), max_size=100))
def test_a_breach_is_answered_at_once(strains: list[float | None]) -> None:
    """Whatever came before, a look that finds serving over its budget leaves Runs still, but for their stint."""
    now, at = 100.0, Stance()
    for strain in strains:
        now += SECONDS
        at = stance(now, at, strain)
        if strain is not None and strain > 1.0:
            assert at.still or now < at.unasked
