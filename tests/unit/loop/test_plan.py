"""plan() as tables: a situation in, intents out; no store, no process, no clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from keepfit.core.facts import (
    Approved,
    Fact,
    Quarantined,
    Requested,
    RunStarted,
    UpdateClosed,
    Watched,
)
from keepfit.core.nouns import Outcome, Rollout, Subject
from keepfit.loop.intents import (
    Answer,
    Approve,
    Close,
    Compact,
    Intent,
    Nothing,
    Open,
    Quarantine,
    Record,
    Register,
    Run,
    Swap,
    Watch,
)
from keepfit.loop.plan import ATTEMPTS, COMPACT_AFTER, plan
from keepfit.loop.situation import Situation, fold
from situations import LIVE, NOW, S, after, failed, finished, judged, opened, specification, swapped, version, wish

FROZEN = finished("freeze", train="t", holdout="h")
CHECKED = finished("check", findings="f")
TRAINED = finished("train", bundle="b2")
EVALUATED = finished("evaluate", evidence="e", losses="l")
JUDGED = finished("judge", verdict="v")
ALL = (FROZEN, CHECKED, TRAINED, version(2, "u1"), EVALUATED, JUDGED)


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        pytest.param(after(), Open("there is no version yet", parent=0), id="nothing yet: the first version"),
        pytest.param(after(*LIVE, opened()), Run("freeze"), id="an update begins with freezing"),
        pytest.param(after(*LIVE, opened(), FROZEN), Run("check"), id="then the data is checked"),
        pytest.param(after(*LIVE, opened(), FROZEN, CHECKED), Run("train"), id="then trained"),
        pytest.param(after(*LIVE, opened(), FROZEN, CHECKED, TRAINED), Register("b2"), id="a bundle gets a number"),
        pytest.param(
            after(*LIVE, opened(), FROZEN, CHECKED, finished("train", bundle="b1")),
            Close("held", "the same rows made the same bundle: v1, which is live"),
            id="what is live already is not judged against itself",
        ),
        pytest.param(after(*LIVE, opened(), *ALL[:4]), Run("evaluate"), id="then evaluated"),
        pytest.param(after(*LIVE, opened(), *ALL[:5]), Run("judge"), id="then judged"),
        pytest.param(after(*LIVE, opened(), *ALL), Record(2), id="the verdict becomes a fact"),
        pytest.param(
            after(*LIVE, opened(), *ALL, judged(2, Outcome.PASS)),
            Swap(2, "promote", "NotWorse: numbers"),
            id="pass: swapped in",
        ),
        pytest.param(
            after(*LIVE, opened(), *ALL, judged(2, Outcome.PASS), swapped(1, 2)),
            Close("passed", "NotWorse: numbers"),
            id="after the swap the update is closed",
        ),
        pytest.param(
            after(*LIVE, opened(), *ALL, judged(2, Outcome.REFUSE)),
            Close("refused", "NotWorse: numbers"),
            id="refuse: the old version goes on",
        ),
        pytest.param(
            after(*LIVE, opened(), *ALL, judged(2, Outcome.HOLD)),
            Close("held", "NotWorse: numbers"),
            id="hold: the old version goes on",
        ),
        pytest.param(
            after(*LIVE, opened(), FROZEN, finished("check", result={"errors": ["label is empty"]}, findings="f")),
            Close("refused", "the data has errors and is never trained on: label is empty"),
            id="erroneous data is never trained on",
        ),
        pytest.param(
            after(*LIVE, opened(), failed("freeze")), Close("failed", "freeze: why"), id="a failed step ends the update"
        ),
        pytest.param(
            after(*LIVE, opened(), FROZEN, CHECKED, failed("train", "refused")),
            Close("refused", "train: why"),
            id="training that cannot be done is a refusal",
        ),
        pytest.param(
            after(*LIVE, opened(), failed("freeze", "lost")), Run("freeze"), id="a vanished worker is replaced"
        ),
        pytest.param(
            after(*LIVE, opened(), *[failed("freeze", "lost")] * ATTEMPTS),
            Close("failed", "freeze: why"),
            id="but not for ever",
        ),
        pytest.param(
            after(*LIVE, deployed=0),
            Swap(1, "restore", "the runner serves v0, the ledger says v1"),
            id="an empty runner gets what the ledger says",
        ),
        pytest.param(
            after(*LIVE, labels=1000),
            Open("1,000 labels since the last update, 1,000 asked", 1, decided=True),
            id="a trigger",
        ),
    ],
)
def test_the_one_next_act(situation: Situation, expected: Intent) -> None:
    """From each situation the loop does exactly one next thing."""
    intents = plan(situation, specification(monitors=()))
    if isinstance(expected, Open) and expected.decided:
        assert isinstance(intents[0], Open)
        assert (intents[0].parent, intents[0].decided, len(intents)) == (1, True, 1)
        assert "1" in intents[0].reason
    else:
        assert intents == (expected,)


def test_nothing_to_do_says_why() -> None:
    """A quiet situation is a decision with a reason."""
    (intent,) = plan(after(*LIVE, labels=10), specification(monitors=()))
    assert isinstance(intent, Nothing)
    assert "10" in intent.reason


def test_a_running_step_is_left_alone() -> None:
    """While a worker is under way nothing is started twice."""
    started = RunStarted(service=S, time=NOW, key="k", run="r", step="freeze", update="u1", process=1)
    (intent,) = plan(after(*LIVE, opened(), started), specification(monitors=()))
    assert isinstance(intent, Nothing)


@pytest.mark.parametrize(
    ("facts", "request_", "kinds"),
    [
        pytest.param((), wish("swap", version=9), [Answer], id="an unknown version"),
        pytest.param((version(2),), wish("swap", version=2), [Answer], id="no verdict"),
        pytest.param((version(2),), wish("swap", version=2, forced=True), [Approve, Swap], id="forced with a reason"),
        pytest.param((version(2),), wish("swap", version=2, forced=True, reason=""), [Answer], id="forced, no reason"),
        pytest.param(
            (version(2), Approved(service=S, time=NOW, version=2, actor="bo", yes=True, reason="ok")),
            wish("swap", version=2),
            [Swap],
            id="approved by a person",
        ),
        pytest.param(
            (version(2), Approved(service=S, time=NOW, version=2, actor="bo", yes=False, reason="no")),
            wish("swap", version=2),
            [Answer],
            id="disapproved by a person",
        ),
        pytest.param(
            (
                opened(),
                *ALL,
                judged(2, Outcome.PASS),
                UpdateClosed(service=S, time=NOW, update="u1", outcome="held", reason="r"),
            ),
            wish("swap", version=2),
            [Swap],
            id="passed and waiting",
        ),
        pytest.param(
            (
                opened(),
                *ALL,
                judged(2, Outcome.PASS),
                UpdateClosed(service=S, time=NOW, update="u1", outcome="held", reason="r"),
                Quarantined(service=S, time=NOW, version=2, reason="bad"),
            ),
            wish("swap", version=2),
            [Answer],
            id="in quarantine",
        ),
        pytest.param((), wish("swap", version=1), [Answer], id="already live"),
        pytest.param((), wish("rollback"), [Answer], id="nothing to go back to"),
        pytest.param((version(2), swapped(1, 2)), wish("rollback"), [Swap], id="back to the one before"),
        pytest.param(
            (version(2), swapped(1, 2), swapped(2, 1, "rollback")), wish("rollback"), [Answer], id="done already"
        ),
        pytest.param((), wish("dance"), [Answer], id="an unknown deed"),
    ],
)
def test_wishes(facts: tuple[Fact, ...], request_: Requested, kinds: list[type]) -> None:
    """Only a Verdict or a person's recorded approval lets a Version into the live Slot."""
    intents = plan(after(*LIVE, *facts, request_), specification())
    assert [type(intent) for intent in intents] == kinds


def test_a_refused_wish_is_answered_no() -> None:
    """A swap without a verdict is answered with what to do."""
    (intent,) = plan(after(*LIVE, version(2), wish("swap", version=2)), specification())
    assert isinstance(intent, Answer)
    assert not intent.done
    assert "force" in intent.reason


def test_a_wished_update_is_opened_once() -> None:
    """The wish travels with the update it opened."""
    request = wish("update", dataset="x" * 64)
    assert plan(after(*LIVE, request), specification(monitors=())) == (
        Open("because", 1, request="q1", dataset="x" * 64),
    )


def test_labels_after_a_swap_judge_the_live_version_again() -> None:
    """At 1, 4, 16 times `confirm_labels` after a promotion, and never after a rollback."""
    spec = specification(monitors=(), triggers=(), rollout=Rollout(confirm_labels=100))
    facts = (*LIVE, version(2), swapped(1, 2, labels=50))
    assert isinstance(plan(after(*facts, labels=149), spec)[0], Nothing)
    (intent,) = plan(after(*facts, labels=150), spec)
    assert isinstance(intent, Open)
    assert (intent.parent, intent.confirms) == (1, 2)
    done = (
        opened("c1", confirms=2),
        UpdateClosed(service=S, time=NOW, update="c1", outcome="confirmed", reason="r"),
    )
    assert isinstance(plan(after(*facts, *done, labels=449), spec)[0], Nothing)
    assert isinstance(plan(after(*facts, *done, labels=450), spec)[0], Open)
    assert isinstance(plan(after(*facts, swapped(2, 1, "rollback"), labels=10_000), spec)[0], Nothing)


def test_a_worse_live_version_is_quarantined_swapped_back_and_closed() -> None:
    """Next-day validation: quarantine first, then the predecessor, then the end."""
    spec = specification(monitors=(), triggers=())
    confirm = opened("c1", confirms=2)
    runs = (
        finished("freeze", "c1", holdout="h"),
        finished("evaluate", "c1", evidence="e", losses="l"),
        finished("judge", "c1", verdict="v"),
    )
    bad = (*LIVE, version(2), swapped(1, 2), confirm, *runs, judged(2, Outcome.REFUSE, "c1"))
    assert plan(after(*bad), spec) == (Quarantine(2, "NotWorse: numbers", "e"),)
    bad = (*bad, Quarantined(service=S, time=NOW, version=2, reason="r"))
    assert plan(after(*bad), spec) == (Swap(1, "rollback", "NotWorse: numbers"),)
    bad = (*bad, swapped(2, 1, "rollback"))
    assert plan(after(*bad), spec) == (Close("refused", "NotWorse: numbers"),)


def test_a_candidate_judged_against_a_version_that_left_is_not_swapped_in() -> None:
    """A verdict is about one incumbent: when another went live meanwhile, it does not count."""
    facts = (*LIVE, opened(), *ALL, judged(2, Outcome.PASS), version(3), swapped(1, 3, "force"))
    (intent,) = plan(after(*facts), specification(monitors=()))
    assert isinstance(intent, Close)
    assert intent.outcome == "held"


def test_an_overtaken_update_ends_at_once_even_while_a_step_runs() -> None:
    """A forced version is judged by its labels as soon as they are there, not after an update that leads nowhere."""
    started = RunStarted(service=S, time=NOW, key="k", run="r", step="freeze", update="u1", process=1)
    (intent,) = plan(after(*LIVE, opened(), started, version(3), swapped(1, 3, "force")), specification(monitors=()))
    assert isinstance(intent, Close)
    assert "v3 is live now" in intent.reason


def test_a_failed_update_is_left_alone_for_a_while() -> None:
    """After a failure the loop waits, longer each time, and then tries again."""
    spec = specification(monitors=())
    fail = UpdateClosed(service=S, time=NOW, update="u1", outcome="failed", reason="r")
    situation = after(*LIVE, opened(), fail, opened("u2"), replace(fail, update="u2"), labels=2000)
    assert isinstance(plan(situation, spec)[0], Nothing)
    assert isinstance(plan(replace(situation, now=NOW + timedelta(minutes=1)), spec)[0], Open)
    assert isinstance(plan(fold(situation, wish("update")), spec)[0], Open), "a person's wish does not wait"


def test_monitors_look_when_their_window_is_full() -> None:
    """First after one window, then after every stride: inputs whatever is live, outputs from the swap on."""
    spec = specification(triggers=())
    assert isinstance(plan(after(*LIVE, records=99), spec)[0], Nothing)
    assert plan(after(*LIVE, records=100), spec)[0] == Watch(("inputs",))
    seen = Watched(service=S, time=NOW, monitor="inputs", records=100, labels=0, measurements=(), findings=())
    assert isinstance(plan(after(*LIVE, seen, records=199), spec)[0], Nothing)
    assert plan(after(*LIVE, seen, records=200), spec)[0] == Watch(("inputs",))
    fresh = (version(2), swapped(1, 2, records=150))
    assert isinstance(plan(after(*LIVE, seen, *fresh, records=199), spec)[0], Nothing)
    assert plan(after(*LIVE, seen, *fresh, records=200), spec)[0] == Watch(("inputs",))
    outputs = specification(triggers=(), monitors=(replace(spec.service.monitors[0], on=Subject.OUTPUT),))
    assert isinstance(plan(after(*LIVE, seen, *fresh, records=249), outputs)[0], Nothing)
    assert plan(after(*LIVE, seen, *fresh, records=250), outputs)[0] == Watch(("inputs",))


def test_monitors_go_on_looking_while_an_update_trains() -> None:
    """An open update does not blind the loop."""
    intents = plan(after(*LIVE, opened(), records=100), specification())
    assert intents == (Watch(("inputs",)), Run("freeze"))


def test_segments_are_compacted_aside_when_many_records_came() -> None:
    """Compaction needs no update, waits for looks, and counts from the last one."""
    spec = specification(triggers=(), monitors=())
    assert plan(after(*LIVE, records=COMPACT_AFTER), spec)[0] == Compact(COMPACT_AFTER)
    done = finished("compact", "", result={"compacted": COMPACT_AFTER})
    assert isinstance(plan(after(*LIVE, done, records=2 * COMPACT_AFTER - 1), spec)[0], Nothing)
    assert plan(after(*LIVE, records=COMPACT_AFTER), specification(triggers=()))[0] == Watch(("inputs",))
