"""What plan() does for triggers: marks that are due, decisions while an update trains, and the pulse they see."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from keepfit.core.facts import Decided, Fact, Forgotten, Marked, RunStarted, UpdateClosed, Watched
from keepfit.core.nouns import Finding, FindingKind, Outcome, Severity
from keepfit.core.nouns import Mark as MarkTaken
from keepfit.core.protocols import Trigger
from keepfit.loop.intents import Decide, Forget, Intent, Mark, Nothing, Open, Run, Watch
from keepfit.loop.plan import plan
from keepfit.loop.pulse import pulse_of
from keepfit.loop.situation import Situation, at
from keepfit.watch.triggers import AnyOf, Drifted, Estimated, Every, Labels, Threshold
from situations import LIVE, NOW, S, after, failed, finished, judged, opened, specification, swapped, version, wish

HOUR = timedelta(hours=1)
MOVED = Finding("x", FindingKind.DRIFT, Severity.WARNING, 0.4, 0.1, "x moved")


def taken(labels: int, value: float = 0.9, *, number: int = 1, hours: int = 1) -> Marked:
    when = NOW + HOUR * hours
    mark = MarkTaken(when, 100, value, value)
    return Marked(service=S, time=when, version=number, on=("labels",), records=0, labels=labels, mark=mark)


def watched(*findings: Finding) -> Watched:
    return Watched(service=S, time=NOW, monitor="m", records=0, labels=0, measurements=(), findings=findings)


def planned(situation: Situation, *triggers: Trigger) -> tuple[Intent, ...]:
    return plan(situation, specification(monitors=(), triggers=triggers))


ON_LABELS, ON_RECORDS = Threshold(0.8, stride=100), Estimated(stride=50)


@pytest.mark.parametrize(
    ("situation", "triggers", "expected"),
    [
        pytest.param(after(*LIVE, labels=99), (ON_LABELS,), (), id="not a stride of labels yet"),
        pytest.param(after(*LIVE, labels=100), (ON_LABELS,), ("labels",), id="a stride of labels"),
        pytest.param(after(*LIVE, labels=100), (Labels(500),), (), id="nobody asks"),
        pytest.param(after(*LIVE, labels=100), (AnyOf((ON_LABELS, Labels(500))),), ("labels",), id="one inside asks"),
        pytest.param(after(*LIVE, taken(100), labels=199), (ON_LABELS,), (), id="less than a stride since"),
        pytest.param(after(*LIVE, taken(100), labels=200), (ON_LABELS,), ("labels",), id="a stride since"),
        pytest.param(after(*LIVE, records=50), (ON_RECORDS,), ("records",), id="a stride of records"),
        pytest.param(
            after(*LIVE, labels=100, records=50), (ON_RECORDS, ON_LABELS), ("labels", "records"), id="both at once"
        ),
        pytest.param(
            after(*LIVE, version(2), swapped(1, 2, labels=150), taken(100, number=1), labels=240),
            (ON_LABELS,),
            (),
            id="counted from the swap, not from marks of the version before",
        ),
        pytest.param(after(version(1), labels=500), (ON_LABELS,), (), id="nothing is live"),
    ],
)
def test_marks_that_are_due(situation: Situation, triggers: tuple[Trigger, ...], expected: tuple[str, ...]) -> None:
    """The live Version is marked anew after every stride that a trigger asks for."""
    intents = [intent for intent in planned(situation, *triggers) if isinstance(intent, Mark)]
    assert intents == ([Mark(expected)] if expected else [])


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param((opened(), watched(MOVED)), [Decide, Run], id="found while it trains: remembered"),
        pytest.param((watched(MOVED), opened(), watched(MOVED)), [Run], id="found before as well: answered"),
        pytest.param((opened(confirms=1, parent=0), watched(MOVED)), [Run], id="a confirmation lets nothing be lost"),
        pytest.param((opened(bundle="b9"), watched(MOVED)), None, id="judging a bundle lets nothing be lost"),
    ],
)  # fmt: skip
def test_triggers_while_an_update_trains(facts: tuple[Fact, ...], expected: list[type] | None) -> None:
    """What is found while an update trains begins another one; what led to this update does not."""
    kinds = [type(intent) for intent in planned(after(*LIVE, *facts), Drifted(looks=1))]
    assert kinds == expected or (expected is None and Decide not in kinds)


def test_a_remembered_decision_is_acted_upon() -> None:
    """It outlives the swap that lets findings go, is said once, begins one update, and is forgotten with it."""
    decided = Decided(service=S, time=NOW, fire=True, reason="x moved")
    closed = UpdateClosed(service=S, time=NOW, update="u1", outcome="passed", reason="r", version=2)
    training = (*LIVE, opened(), watched(MOVED), decided)
    assert [type(intent) for intent in planned(after(*training), Drifted(looks=1))] == [Run]
    over = after(*training, version(2, "u1"), swapped(1, 2), closed)
    assert planned(over, Drifted(looks=1)) == (Open("x moved", 2),)
    again = after(*training, version(2, "u1"), swapped(1, 2), closed, opened("u2", parent=2))
    assert again.remembered is None


def test_a_decision_is_remembered_until_its_update_begins() -> None:
    """Made while one is open, or before a look: the next update takes it up, and only once."""
    decided = Decided(service=S, time=NOW, fire=True, reason="r")
    assert after(*LIVE, decided).remembered == decided
    assert after(*LIVE, decided, opened()).remembered is None


def looking(step: str = "watch", hours: int = 0) -> RunStarted:
    common = {"key": "k", "run": "r", "update": "", "process": 1}
    return RunStarted(service=S, time=NOW + HOUR * hours, step=step, **common)


LOOKED = (looking(), replace(finished("watch", update=""), result={}))
REMEMBERED = Decided(service=S, time=NOW, fire=True, reason="r")


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        pytest.param(after(*LIVE, records=100, labels=1000), [Watch, Decide], id="a look is due: it comes first"),
        pytest.param(after(*LIVE, records=99, labels=1000), [Open], id="no look is due"),
        pytest.param(after(*LIVE, looking(), records=100, labels=1000), [Decide], id="a look is under way"),
        pytest.param(after(*LIVE, REMEMBERED, looking(), records=100), [], id="decided: the look is awaited"),
        pytest.param(after(*LIVE, REMEMBERED, *LOOKED, records=100), [Watch, Open], id="looked once: no more waiting"),
        pytest.param(
            after(*LIVE, REMEMBERED, replace(failed("watch"), update=""), records=100), [Open], id="no look to be had"
        ),
        pytest.param(after(*LIVE, wish("update"), records=100), [Watch], id="a person waits for it as well"),
        pytest.param(after(*LIVE, wish("update"), *LOOKED, records=100), [Watch, Open], id="a person who has waited"),
        pytest.param(after(*LIVE, looking("compact"), records=100, labels=1000), [Decide], id="a compaction first"),
    ],
)
def test_the_newest_records_are_looked_at_before_an_update(situation: Situation, expected: list[type]) -> None:
    """Once, so that what is out of line in them is not learnt; never longer, however quickly Records come."""
    assert [type(intent) for intent in plan(situation, specification())] == expected


def test_marks_of_the_version_that_may_go_say_nothing_of_the_next() -> None:
    """While an update trains the performance of the Version it replaces begins no second one; afterwards they count."""
    training = after(*LIVE, opened(), taken(100, 0.5))
    assert [type(intent) for intent in planned(training, ON_LABELS)] == [Run]
    held = UpdateClosed(service=S, time=NOW, update="u1", outcome="held", reason="r")
    (intent,) = planned(after(*LIVE, opened(), taken(100, 0.5), held, labels=100), ON_LABELS)
    assert isinstance(intent, Open)


def test_the_pulse() -> None:
    """Expectation, costs (those of Runs that failed, too), releases and waiting come from facts alone."""
    measures = {"measures": {"auc of all": 0.8, "accuracy of all": 0.9}}
    evaluated = finished("evaluate", result=measures, evidence="e", losses="l")
    costly = replace(finished("train", bundle="b2"), cpu_seconds=2.5)
    closed = UpdateClosed(service=S, time=NOW, update="u1", outcome="passed", reason="r", version=2)
    vain = replace(failed("check", code="lost"), cpu_seconds=0.5)
    facts = (
        opened(labels=50),
        vain,
        costly,
        version(2, "u1"),
        evaluated,
        judged(2, Outcome.PASS),
        swapped(1, 2),
        closed,
    )
    situation = after(*LIVE, *facts, taken(150, number=2, hours=2))
    pulse = pulse_of(
        at(situation, now=NOW + 3 * HOUR, records=0, labels=150, deployed=2), specification(triggers=(ON_LABELS,))
    )
    assert (pulse.metric, pulse.higher, pulse.expected, pulse.expected_accuracy) == ("auc", True, 0.8, 0.9)
    assert (pulse.costs, pulse.releases, pulse.labels) == ((3.0,), (NOW, NOW), 100)
    assert pulse.waited == pytest.approx(100 * 3600 * (2 / 2 + 1))
    assert [mark.value for mark in pulse.marks] == [0.9]


def test_a_wish_to_forget() -> None:
    """It is done at once, but not while an update trains, which may be about to remember what is to go."""
    asked = wish("forget", records=("a",))
    assert planned(after(*LIVE, asked)) == (Forget(asked),)
    assert [type(intent) for intent in planned(after(*LIVE, opened(), asked))] == [Run]


def test_forgetting_replaces_memories() -> None:
    """After the fact every Version goes on with the Memory that is left."""
    one, two = (replace(version(number), memory=memory) for number, memory in ((1, "m1"), (2, "m2")))
    forgotten = Forgotten(service=S, time=NOW, request="q1", rows=3, memories={"m1": "m3"}, versions=(1,))
    situation = after(one, two, swapped(0, 1), forgotten)
    assert [situation.versions[number].memory for number in (1, 2)] == ["m3", "m2"]


def test_silence_is_told() -> None:
    """Where no mark was taken yet a trigger on marks says so."""
    (intent,) = planned(after(*LIVE, labels=10), ON_LABELS, Every(timedelta(days=1)))
    assert isinstance(intent, Nothing)
    assert "no auc of 100 labels since the last update yet" in intent.reason


def test_looks_in_a_row_are_counted() -> None:
    """The second look that finds the same says so; a look that finds nothing, or a swap, begins the count anew."""
    again = after(*LIVE, watched(MOVED), watched(MOVED))
    assert [one.looks for one in again.findings] == [1, 2]
    interrupted = after(*LIVE, watched(MOVED), watched(), watched(MOVED))
    assert [one.looks for one in interrupted.findings] == [1, 1]
    released = after(*LIVE, watched(MOVED), version(2), swapped(1, 2), watched(MOVED))
    assert [one.looks for one in released.findings] == [1]


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_what_made_nothing_is_tried_again_later(outcome: str) -> None:
    """An update that ends without a candidate, whosever fault it was, is followed by a pause."""
    closed = UpdateClosed(service=S, time=NOW, update="u1", outcome=outcome, reason="r", version=0)
    (intent,) = planned(after(opened(parent=0), closed), Drifted())
    assert isinstance(intent, Nothing)
    assert "the last update made nothing" in intent.reason
