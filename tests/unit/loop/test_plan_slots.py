"""plan() about Slots beside the live one, and about Bundles from outside: a situation in, intents out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keepfit.core.facts import Fact, Quarantined, Requested, Swapped
from keepfit.core.nouns import Outcome
from keepfit.loop.intents import Answer, Approve, Close, Intent, Nothing, Open, Record, Register, Run, Swap
from keepfit.loop.plan import ATTEMPTS, plan
from keepfit.loop.situation import fold
from situations import LIVE, NOW, S, after, failed, finished, judged, opened, specification, swapped, version, wish


def passed(number: int) -> tuple[Fact, ...]:
    """A registered Version with a passing Verdict, its update closed."""
    done = finished("evaluate", evidence="e", losses="l")
    return (opened(), version(number, "u1"), done, judged(number, Outcome.PASS))


def seated(slot: str, before: int, to: int, **more: object) -> Swapped:
    return replace(swapped(before, to), slot=slot, **more)


@pytest.mark.parametrize(
    ("facts", "request_", "expected"),
    [
        pytest.param(passed(2), wish("swap", version=2, slot="canary", share=0.1, key="x"),
                     Swap(2, "promote", "because", "q1", slot="canary", share=0.1, key="x"), id="a canary that passed"),
        pytest.param((version(2),), wish("swap", version=2, slot="canary"), Answer, id="a canary without a verdict"),
        pytest.param((version(2),), wish("swap", version=2, slot="shadow"),
                     Swap(2, "promote", "because", "q1", slot="shadow"), id="a shadow needs no verdict"),
        pytest.param((*passed(2), Quarantined(service=S, time=NOW, version=2, reason="bad")),
                     wish("swap", version=2, slot="canary"), Answer, id="a canary in quarantine"),
        pytest.param((), wish("swap", version=9, slot="shadow"), Answer, id="a shadow that does not exist"),
        pytest.param((seated("canary", 0, 2),), wish("swap", version=0, slot="canary"),
                     Swap(0, "abort", "because", "q1", slot="canary"), id="an abort is a swap to nothing"),
        pytest.param((seated("canary", 2, 0, request="q1"),), wish("swap", version=0, slot="canary"),
                     Answer("q1", True, "the canary slot is empty"), id="done: empty"),
        pytest.param((seated("canary", 2, 0, request="q0"),), wish("swap", version=0, slot="canary"),
                     Answer("q1", True, "the canary slot is empty"), id="two aborts at once are one"),
        pytest.param((seated("canary", 0, 2, request="q1"),), wish("swap", version=2, slot="canary", share=0.25),
                     Answer("q1", True, "v2 is canary for 0.25 of the requests"), id="done: canary"),
        pytest.param((*passed(2), seated("canary", 0, 2, request="q0", share=0.1)),
                     wish("swap", version=2, slot="canary", share=0.5),
                     Swap(2, "promote", "because", "q1", slot="canary", share=0.5), id="another share is another swap"),
        pytest.param((*passed(2), seated("canary", 0, 2)), wish("swap", version=2),
                     Swap(2, "promote", "because", "q1"), id="a canary is promoted by a swap"),
        pytest.param((*passed(2), seated("live@2", 0, 3), seated("live@2", 3, 2)), wish("rollback", slot="live@2"),
                     Swap(3, "rollback", "because", "q1", slot="live@2"), id="a major goes back by itself"),
        pytest.param((), wish("rollback", slot="live@2"), Answer, id="a major that was never there"),
    ],
)  # fmt: skip
def test_wishes_about_slots(facts: tuple[Fact, ...], request_: Requested, expected: Intent | type) -> None:
    """Only a Verdict or a recorded approval lets a Version answer; a shadow is not heard, so it may be anything."""
    (intent,) = plan(after(*LIVE, *facts, request_), specification())
    assert isinstance(intent, expected) if isinstance(expected, type) else intent == expected
    if isinstance(intent, Answer) and isinstance(expected, type):
        assert not intent.done


def test_a_forced_canary_is_approved_and_swapped_in() -> None:
    """The person's reason is on record before the Version answers."""
    request = wish("swap", version=2, slot="canary", forced=True)
    approve, swap = plan(after(*LIVE, version(2), request), specification())
    assert isinstance(approve, Approve)
    assert isinstance(swap, Swap)
    assert (swap.cause, swap.slot) == ("force", "canary")


def test_only_the_live_slot_is_what_the_loop_looks_after() -> None:
    """A canary, a shadow and another major change neither what is live, nor what monitors count from."""
    beside = (seated("canary", 0, 2), seated("shadow", 0, 3), seated("live@2", 0, 4))
    situation = after(*LIVE, version(2), *beside)
    alone = after(*LIVE, version(2))
    assert (situation.live, situation.swap) == (1, alone.swap)
    assert [situation.held(slot) for slot in ("live", "canary", "shadow", "live@2", "canary@2")] == [1, 2, 3, 4, 0]
    spec = specification(monitors=())
    assert plan(situation, spec) == plan(alone, spec)


# --- Bundles from outside

BROUGHT = replace(opened(), bundle="b9", origin="model.onnx", request="q1")


def test_a_bundle_from_outside_is_opened_as_an_update_that_trains_nothing() -> None:
    """It gets its number first, then it is judged by the steps of a candidate."""
    spec = specification(monitors=())
    request = wish("register", bundle="b9", origin="model.onnx")
    assert plan(after(*LIVE, request), spec) == (Open("because", 1, request="q1", bundle="b9", origin="model.onnx"),)
    facts: tuple[Fact, ...] = (*LIVE, request, BROUGHT)
    assert plan(after(*facts), spec) == (Register("b9"),)
    facts = (*facts, version(2, "u1"))
    for step in ("freeze", "evaluate", "judge"):
        assert plan(after(*facts), spec) == (Run(step),)
        facts = (*facts, finished(step, evidence="e", losses="l", verdict="v"))
    assert plan(after(*facts), spec) == (Record(2),)


def test_a_bundle_that_passed_waits_for_a_person() -> None:
    """It may have learnt from the rows it was judged on, so that it never goes live by itself."""
    runs = [finished(step, evidence="e", losses="l", verdict="v") for step in ("freeze", "evaluate", "judge")]
    (intent,) = plan(after(*LIVE, BROUGHT, version(2, "u1"), *runs, judged(2, Outcome.PASS)), specification())
    assert isinstance(intent, Close)
    assert intent.outcome == "passed"
    assert f"keepfit swap {S} 2" in intent.reason


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        pytest.param((finished("freeze", result={"short": "no rows"}),), "held", id="no labelled rows"),
        pytest.param((failed("evaluate"),), "refused", id="it cannot answer"),
        pytest.param((failed("evaluate", "lost"),) * ATTEMPTS, "failed", id="its judge kept dying"),
    ],
)
def test_a_bundle_that_cannot_be_judged_gets_that_as_its_verdict(facts: tuple[Fact, ...], outcome: str) -> None:
    """It is never without a reason."""
    (intent,) = plan(after(*LIVE, BROUGHT, version(2, "u1"), *facts), specification(monitors=()))
    assert isinstance(intent, Close)
    assert (intent.outcome, intent.unjudged) == (outcome, True)


def test_bringing_a_bundle_does_not_count_as_an_update() -> None:
    """Triggers go on counting labels from the last training."""
    before = after(*LIVE, opened("u0"), labels=10)
    assert fold(before, replace(BROUGHT, labels=10)).opened == before.opened
    quiet = fold(fold(before, replace(BROUGHT)), wish("dance"))
    assert not isinstance(plan(quiet, specification())[0], Nothing)
