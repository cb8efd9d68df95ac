"""Strategies of avalanche-lib keep the laws of deep learners; where it is not installed this is skipped."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from keepfit.core.errors import MissingExtra, Refused, SpecInvalid
from keepfit.core.nouns import Learnt
from keepfit.learn.deep import MLP, Network
from keepfit.learn.learners.avalanche import Avalanche
from keepfit.learn.learners.fine_tune import FineTune
from keepfit.testing import check_learner
from keepfit.testing.deep import lessons

there = pytest.mark.skipif(find_spec("avalanche") is None, reason="avalanche-lib is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # what avalanche-lib says of itself is not ours

REPLAY = Avalanche(strategy="Replay", parameters={"mem_size": 60})
ONLINE = {"ewc_lambda": 1.0, "mode": "online", "decay_factor": 0.5}


@there
@pytest.mark.parametrize(
    "learner",
    [
        Avalanche(),
        REPLAY,
        Avalanche("DER", {"mem_size": 60}),
        Avalanche("GDumb", {"mem_size": 60}),
        Avalanche("EWC", ONLINE),
        Avalanche("LwF", {"alpha": 1.0, "temperature": 2.0}),
    ],
    ids=lambda one: one.strategy,
)
def test_laws(learner: Avalanche) -> None:
    """It repeats itself, leaves alone what it is given, keeps its bounds, and goes on from a memory out of a file."""
    check_learner(learner)


def taught(learner: FineTune) -> Learnt:
    """All lessons one after the other."""
    learnt, network = None, Network(module=MLP((16,)), lr=0.02, batch=16, epochs=40)
    for lesson in lessons()[:2]:
        given = replace(lesson, parent=learnt.model, memory=learnt.memory) if learnt else lesson
        learnt = learner.learn(network, given)
    assert learnt is not None
    return learnt


def kept(learnt: Learnt) -> float:
    """How much of the first lesson is right after the second."""
    first = lessons()[0]
    return float(np.mean(learnt.model.predict(first.X) == first.y))


@there
def test_what_a_strategy_carries_is_used() -> None:
    """A rehearsal of Avalanche's remembers the first lesson's classes; its naive training forgets half of them."""
    assert kept(taught(REPLAY)) > 0.9
    assert kept(taught(Avalanche())) < 0.6


@there
@pytest.mark.parametrize(
    ("learner", "error", "sentence"),
    [
        (Avalanche("Nothing"), SpecInvalid, "no strategy 'Nothing'"),
        (Avalanche("Replay", {"size": 3}), SpecInvalid, "unexpected keyword"),
        (Avalanche("AGEM", {"patterns_per_exp": 5}), Refused, "cannot be pickled"),
    ],
    ids=["unknown", "parameters", "not carried"],
)
def test_refusals(learner: Avalanche, error: type[Exception], sentence: str) -> None:
    """What is not a strategy, does not fit it, or cannot be carried is said, and nothing is learnt."""
    with pytest.raises(error, match=sentence):
        taught(learner)


@there
def test_a_memory_of_another_strategy() -> None:
    """A memory goes on with the strategy that wrote it, and no other."""
    learnt, third = taught(REPLAY), lessons()[2]
    network: Any = Network(module=MLP((16,)))
    with pytest.raises(Refused, match="another Avalanche strategy"):
        Avalanche().learn(network, replace(third, parent=learnt.model, memory=learnt.memory))


@pytest.mark.skipif(find_spec("avalanche") is not None, reason="avalanche-lib is installed")
def test_without_the_library() -> None:
    """Where avalanche-lib is missing the extra that brings it is named."""
    with pytest.raises(MissingExtra, match=r"keepfit\[avalanche\]"):
        taught(Avalanche())
