"""Triggers: tables of pulses and what follows from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Finding, FindingKind, Pulse, Severity
from keepfit.core.protocols import Trigger
from keepfit.core.registry import from_plain, to_plain
from keepfit.watch.triggers import AllOf, AnyOf, Cron, Decayed, Drifted, Every, Labels

HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def pulse(since: str = "2013-03-01T00:00", now: str = "2013-03-01T12:00", *, labels: int = 0,
          findings: tuple[Finding, ...] = ()) -> Pulse:  # fmt: skip
    return Pulse(now=at(now), since=at(since), labels=labels, findings=findings)


def finding(subject: str, kind: FindingKind, severity: Severity = Severity.WARNING, looks: int = 2) -> Finding:
    return Finding(subject, kind, severity, 0.4, 0.1, f"{subject} moved", looks=looks)


CRON = [
    ("0 6 * * *", "UTC", "2013-03-01T05:59", "2013-03-01T06:00", True),  # the end belongs to it
    ("0 6 * * *", "UTC", "2013-03-01T06:00", "2013-03-01T07:00", False),  # the beginning does not
    ("0 6 * * *", "UTC", "2013-03-01T06:00", "2013-03-09T07:00", True),  # missed ticks count as one
    ("0 6 * * *", "Europe/Berlin", "2013-03-01T04:30", "2013-03-01T05:00", True),  # winter: 6 is 5 UTC
    ("0 6 * * *", "Europe/Berlin", "2013-07-01T03:30", "2013-07-01T04:00", True),  # summer: 6 is 4 UTC
    ("0 6 * * *", "Europe/Berlin", "2013-07-01T04:30", "2013-07-01T05:30", False),
    ("0 0 * * *", "America/New_York", "2013-03-01T04:30", "2013-03-01T05:00", True),
    ("30 2 * * *", "Europe/Berlin", "2013-03-31T00:00", "2013-03-31T01:00", True),  # 2:30 does not exist that day
    ("30 2 * * *", "Europe/Berlin", "2013-10-27T00:31", "2013-10-27T12:00", False),  # 2:30 exists twice, fires once
    ("*/15 * * * *", "UTC", "2013-03-01T00:01", "2013-03-01T00:14", False),
    ("*/15 * * * *", "Asia/Kolkata", "2013-03-01T00:01", "2013-03-01T00:15", True),
    ("0 0 29 2 *", "UTC", "2013-03-01T00:00", "2016-02-28T23:59", False),
    ("0 0 29 2 *", "UTC", "2013-03-01T00:00", "2016-02-29T00:00", True),
]


@pytest.mark.parametrize(("expression", "tz", "since", "now", "fire"), CRON)
def test_cron(expression: str, tz: str, since: str, now: str, fire: bool) -> None:
    """A cron trigger fires when a tick of its own time zone lies in (since, now]."""
    decision = Cron(expression, tz).decide(pulse(since, now))
    assert decision.fire is fire
    assert expression in decision.reason


def test_cron_with_seconds_between() -> None:
    """Fractions of a second neither lose nor repeat a tick."""
    tick = at("2013-03-01T06:00")
    nearly, just = tick - timedelta(microseconds=1), tick + timedelta(microseconds=1)
    assert Cron("0 6 * * *").decide(Pulse(now=just, since=nearly)).fire
    assert not Cron("0 6 * * *").decide(Pulse(now=just + HOUR, since=just)).fire


@pytest.mark.parametrize("expression", ["", "* * *", "61 * * * *", "0 6 * * someday", "0 0 30 2 *"])
def test_wrong_expression(expression: str) -> None:
    """An expression which is none, or never comes true, is refused when it is declared."""
    with pytest.raises(SpecInvalid, match=r"Cron\.expression: expected"):
        Cron(expression)


@pytest.mark.parametrize("tz", ["Mars/Base", "", "../etc/passwd", "CEST+9"])
def test_wrong_zone(tz: str) -> None:
    """A time zone that IANA does not know is refused when it is declared."""
    with pytest.raises(SpecInvalid, match=r"Cron\.tz: expected"):
        Cron("0 6 * * *", tz)


def test_wrong_numbers() -> None:
    """Intervals and counts that mean nothing are refused when they are declared."""
    for make in (
        lambda: Every(timedelta(0)),
        lambda: Labels(0),
        lambda: Drifted(0),
        lambda: Drifted(looks=0),
        lambda: AnyOf(()),
        lambda: AllOf(()),
    ):
        with pytest.raises(SpecInvalid, match="expected"):
            make()


def test_every() -> None:
    """It fires when the interval is over, not before."""
    assert Every(12 * HOUR).decide(pulse()).fire
    assert Every(12 * HOUR + timedelta(seconds=1)).decide(pulse()) == Decision(
        False, "12:00:00 of 12:00:01 passed since the last update"
    )


def test_labels() -> None:
    """It fires at the count, and says the count either way."""
    assert Labels(500).decide(pulse(labels=500)).fire
    decision = Labels(500).decide(pulse(labels=499))
    assert decision == Decision(False, "499 of 500 labels arrived since the last update")


@pytest.mark.parametrize("kind", list(FindingKind))
def test_which_findings_count(kind: FindingKind) -> None:
    """Drift, skew, alive and dead are drift; decay is decay; anomalies and gates are neither."""
    one = pulse(findings=(finding("x", kind),))
    drifted = {FindingKind.DRIFT, FindingKind.SKEW, FindingKind.ALIVE, FindingKind.DEAD}
    assert Drifted().decide(one).fire is (kind in drifted)
    assert Decayed().decide(one).fire is (kind is FindingKind.DECAY)
    told = pulse(findings=(finding("x", kind, Severity.INFO),))
    assert not Drifted().decide(told).fire
    assert not Decayed().decide(told).fire


def test_subjects_are_counted_once() -> None:
    """One subject found again and again is one subject."""
    same = tuple(finding("x", FindingKind.DRIFT) for _ in range(5))
    assert not Drifted(at_least=2).decide(pulse(findings=same)).fire
    decision = Drifted(at_least=2).decide(pulse(findings=(*same, finding("y", FindingKind.ALIVE))))
    assert decision.fire
    assert decision.reason == "2 subjects drifted, 2 were awaited: x moved; y moved"


def test_what_was_found_once_is_awaited_again() -> None:
    """A subject counts when so many looks in a row have found it; until then the reason says what is awaited."""
    once = pulse(findings=(finding("x", FindingKind.SKEW, looks=1),))
    decision = Drifted().decide(once)
    assert decision == Decision(False, "0 of 1 subjects drifted since the last update; 1 more for less than 2 looks")
    assert Drifted(looks=1).decide(once).fire
    assert Drifted().decide(pulse(findings=(*once.findings, finding("x", FindingKind.SKEW)))).fire


def test_any_and_all() -> None:
    """AnyOf says who fired, AllOf who is still awaited."""
    yes, no = Labels(5), Every(13 * HOUR)
    one = pulse(labels=7)
    assert AnyOf((yes, no)).decide(one) == Decision(True, "7 labels arrived since the last update, 5 were awaited")
    assert AllOf((yes, no)).decide(one) == Decision(False, "12:00:00 of 13:00:00 passed since the last update")
    assert AllOf((yes, AnyOf((yes, no)))).decide(one).fire
    assert not AnyOf((no, AllOf((yes, no)))).decide(one).fire


def test_what_was_stored_before_still_loads() -> None:
    """Specifications name triggers by their entry points, wherever their classes live."""
    plain = [
        {"kind": "keepfit.triggers/Cron", "expression": "0 6 * * *", "tz": "UTC"},
        {"kind": "keepfit.triggers/AllOf", "triggers": [{"kind": "keepfit.triggers/Labels", "count": 5}]},
    ]
    made = from_plain(tuple[Trigger, ...], plain)
    assert made == (Cron("0 6 * * *"), AllOf((Labels(5),)))
    assert to_plain(made) == plain
