"""Triggers on marks of the live Version: tables of series and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import nan

import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Mark, Pulse
from keepfit.core.protocols import Trigger
from keepfit.watch.triggers import (
    AllOf,
    AnyOf,
    Avoidable,
    Cost,
    Estimated,
    Labels,
    Latency,
    LookAhead,
    Quantile,
    Rhythm,
    Rolling,
    Threshold,
    Vote,
)
from keepfit.watch.triggers.series import Strides, regret, slope, strides

BEGIN = datetime(2013, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def pulse(*values: float, before: tuple[float, ...] = (), rows: int = 100, **more: object) -> Pulse:
    """Marks an hour apart: those of earlier Versions up to the last update at BEGIN, and those since."""
    early = [Mark(BEGIN - HOUR * (len(before) - 1 - place), rows, one, one) for place, one in enumerate(before)]
    late = [Mark(BEGIN + HOUR * (place + 1), rows, one, one) for place, one in enumerate(values)]
    now = BEGIN + HOUR * max(1, len(values))
    made = Pulse(now, BEGIN, labels=rows * len(values), marks=(*early, *late), metric="accuracy")
    return replace(made, **more)  # type: ignore[arg-type]  # fields of Pulse


STEADY = (0.9,) * 12
TABLE = [
    pytest.param(Threshold(0.8), pulse(0.79), True, id="below the bound"),
    pytest.param(Threshold(0.8), pulse(0.8), False, id="at the bound"),
    pytest.param(Threshold(0.8), pulse(0.7, 0.85), False, id="the newest counts"),
    pytest.param(Threshold(0.8), pulse(before=(0.5,)), False, id="a mark before the update does not count"),
    pytest.param(Threshold(0.8), pulse(0.1, rows=49), False, id="fewer than half a stride say little"),
    pytest.param(Threshold(3.0), pulse(3.5, higher=False), True, id="an error above its bound"),
    pytest.param(Threshold(3.0), pulse(2.5, higher=False), False, id="an error within"),
    pytest.param(Quantile(0.05), pulse(0.8, before=STEADY), True, id="worse than ever"),
    pytest.param(Quantile(0.05), pulse(0.9, before=STEADY), False, id="as ever"),
    pytest.param(Quantile(0.05), pulse(0.1, before=STEADY[:9]), False, id="too little to compare with"),
    pytest.param(Quantile(0.2), pulse(0.7, before=(0.6, 0.5, *STEADY)), True, id="2 of 14 were as bad, 0.2 asked"),
    pytest.param(Quantile(0.1), pulse(0.7, before=(0.6, 0.5, *STEADY)), False, id="2 of 14 were as bad, 0.1 asked"),
    pytest.param(
        Quantile(0.05, window=12), pulse(0.7, before=(0.6, *STEADY)), True, id="what is long ago is forgotten"
    ),
    pytest.param(Quantile(0.05), pulse(9.0, before=STEADY, higher=False), True, id="an error larger than ever"),
    pytest.param(Rolling(0.05), pulse(0.84, before=STEADY), True, id="worse than the average"),
    pytest.param(Rolling(0.05), pulse(0.86, before=STEADY), False, id="a little worse"),
    pytest.param(Rolling(0.05), pulse(0.1, before=STEADY[:4]), False, id="half the window is needed"),
    pytest.param(Rolling(0.05), pulse(0.96, before=STEADY, higher=False), True, id="an error above its average"),
    pytest.param(Avoidable(10), pulse(0.8, expected_accuracy=0.9), True, id="100 rows, a tenth of them avoidable"),
    pytest.param(Avoidable(10.1), pulse(0.8, expected_accuracy=0.9), False, id="not quite as many"),
    pytest.param(Avoidable(10), pulse(0.8, 1.0, 0.85, expected_accuracy=0.9), False, id="good stretches win back"),
    pytest.param(Avoidable(10), pulse(1.0, 1.0, 0.8, expected_accuracy=0.9), True, id="but luck is not saved up"),
    pytest.param(Avoidable(10), pulse(0.1), False, id="nothing to compare with"),
    pytest.param(
        Avoidable(10), pulse(0.6, before=(0.9, 0.9, 0.5), expected_accuracy=0.6), False, id="judged amid a change"
    ),
    pytest.param(
        Avoidable(10, lately=3),
        pulse(0.6, before=(0.9, 0.9, 0.5), expected_accuracy=0.6),
        True,
        id="but the best of late was better",
    ),
    pytest.param(
        Avoidable(10, lately=3), pulse(0.6, before=(0.9, *[0.6] * 3), expected_accuracy=0.6), False, id="long ago"
    ),
    pytest.param(
        Avoidable(10, lately=6), pulse(0.6, before=(0.9, 0.9), expected_accuracy=0.6), False, id="too little of it yet"
    ),
    pytest.param(Avoidable(10, expected=0.9), pulse(0.8), True, id="an expectation that is declared"),
    pytest.param(Avoidable(10), pulse(before=(0.1,), expected_accuracy=0.9), False, id="an update wipes the slate"),
    pytest.param(Cost(10), pulse(0.8, expected_accuracy=0.9), True, id="waiting costs as much as updating"),
    pytest.param(Cost(11), pulse(0.8, expected_accuracy=0.9), False, id="not yet"),
    pytest.param(Cost(0, 2.0), pulse(0.8, expected_accuracy=0.9, costs=(99, 5, 5, 5)), True, id="CPU at its price"),
    pytest.param(Cost(0, 2.0), pulse(0.8, expected_accuracy=0.9, costs=(5, 5, 6)), False, id="CPU is too dear"),
    pytest.param(Cost(0, 2.0), pulse(0.1, expected_accuracy=0.9), False, id="a price that is not known yet"),
    pytest.param(Latency(3600), pulse(waited=3600.0), True, id="a label-hour"),
    pytest.param(Latency(3600), pulse(waited=3599.0), False, id="not quite"),
    pytest.param(LookAhead(4 * HOUR), pulse(0.9, 0.89, 0.88, 0.87, 0.86, expected=0.9), True, id="0.82 in four hours"),
    pytest.param(LookAhead(HOUR / 2), pulse(0.9, 0.89, 0.88, 0.87, 0.86, expected=0.9), False, id="0.855 in a half"),
    pytest.param(LookAhead(4 * HOUR), pulse(0.9, 0.89, 0.88, 0.87, expected=0.9), False, id="four values are no trend"),
    pytest.param(LookAhead(9 * HOUR), pulse(0.8, 0.9, 0.8, 0.9, 0.8, expected=0.9), False, id="noise is no trend"),
    pytest.param(LookAhead(4 * HOUR), pulse(0.86, 0.87, 0.88, 0.89, 0.9, expected=0.9), False, id="it becomes better"),
    pytest.param(LookAhead(9 * HOUR), pulse(1.0, 1.1, 1.2, 1.3, 1.4, higher=False), True, id="an error that grows"),
]


@pytest.mark.parametrize(("trigger", "given", "fire"), TABLE)
def test_what_follows(trigger: Trigger, given: Pulse, fire: bool) -> None:
    """Each trigger fires on the series it is for, and on no other."""
    assert trigger.decide(given).fire is fire


def test_promises_are_looked_at_without_labels() -> None:
    """Estimated fires on the newest promise since the update, in rows where no label has come."""
    low, high = (Mark(BEGIN + HOUR, promise=value, released=0.9) for value in (0.84, 0.86))
    assert Estimated(0.05).decide(Pulse(BEGIN + HOUR, BEGIN, marks=(low,))).fire
    assert not Estimated(0.05).decide(Pulse(BEGIN + HOUR, BEGIN, marks=(high,))).fire
    assert not Estimated(0.05).decide(Pulse(BEGIN + HOUR, BEGIN + HOUR, marks=(low,))).fire
    assert not Threshold(0.8).decide(Pulse(BEGIN + HOUR, BEGIN, marks=(low,))).fire


@pytest.mark.parametrize(
    ("hours", "fire"),
    [
        pytest.param(22, False, id="before it is due"),
        pytest.param(23, True, id="an hour of lead"),
        pytest.param(30, True, id="late"),
    ],
)
def test_releases_have_a_rhythm(hours: int, fire: bool) -> None:
    """Rhythm fires the lead before the median interval is over since the last release, and not again at once."""
    releases = tuple(BEGIN - HOUR * ago for ago in (75, 48, 24, 0))
    now = BEGIN + HOUR * hours
    trigger = Rhythm(lead=HOUR)
    assert trigger.decide(Pulse(now, BEGIN, releases=releases)).fire is fire
    assert not trigger.decide(Pulse(now, now, releases=releases)).fire
    assert not trigger.decide(Pulse(now + 99 * HOUR, BEGIN, releases=releases[1:])).fire


def test_a_vote() -> None:
    """A Vote needs its majority, or the number asked for, and tells how many there are."""
    yes, no = Labels(5), Labels(500)
    given = pulse(0.9)
    assert Vote((yes, yes, no)).decide(given).fire
    assert not Vote((yes, no)).decide(given).fire
    assert Vote((yes, no), at_least=1).decide(given).fire
    assert Vote((yes, no, no), at_least=2).decide(given).reason.startswith("1 of 3 triggers fire, 2 are needed: 100 of")


def test_the_finest_stride_counts() -> None:
    """Marks are taken as finely as any trigger asks, also one inside of others; by nobody's wish there are none."""
    nested = AllOf((Threshold(0.8, stride=300), AnyOf((Cost(5, stride=200), Estimated(stride=900)))))
    assert strides((Labels(5), nested, Estimated(stride=950))) == Strides(labels=200, records=900)
    assert strides((Labels(5),)) == Strides()


def test_numbers_are_regretted_by_their_metric() -> None:
    """Where there is no accuracy the Service's metric stands in, the worse way round for errors."""
    marks = (Mark(BEGIN + HOUR, 10, 3.5, nan), Mark(BEGIN + 2 * HOUR, 10, 3.0, nan))
    given = Pulse(BEGIN + 2 * HOUR, BEGIN, marks=marks, metric="mae", higher=False, expected=3.0)
    assert regret(given, None) == pytest.approx(5.0)


def test_a_line_through_points() -> None:
    """The least squares line is exact on a line, and its error is that of the textbook otherwise."""
    assert slope([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.0]) == pytest.approx((1.0, 2.0, 0.0))
    _, tilt, error = slope([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 2.0, 4.0])
    assert (tilt, error) == pytest.approx((0.9, 0.2645751))


def test_wrong_numbers() -> None:
    """What means nothing is refused when it is declared."""
    for make in (
        lambda: Threshold(0.8, stride=0),
        lambda: Quantile(1.0),
        lambda: Quantile(window=9),
        lambda: Rolling(0.0),
        lambda: Avoidable(0),
        lambda: Avoidable(1, lately=-1),
        lambda: Cost(0),
        lambda: Cost(-1, 2.0),
        lambda: Latency(0),
        lambda: Estimated(1.5),
        lambda: LookAhead(timedelta(0)),
        lambda: Rhythm(lead=-HOUR),
        lambda: Vote(()),
        lambda: Vote((Labels(5),), at_least=2),
    ):
        with pytest.raises(SpecInvalid, match="expected"):
            make()
