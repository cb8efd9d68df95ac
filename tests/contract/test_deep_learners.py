"""Every registered learner that teaches a Network keeps the laws of deep learners, with room and with little."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from keepfit.core import registry
from keepfit.core.nouns import Learnt, Lesson
from keepfit.core.protocols import Learner
from keepfit.learn.learners.fine_tune import FineTune
from keepfit.learn.learners.gem import GEM
from keepfit.learn.learners.lwf import LwF
from keepfit.learn.learners.replay import Keep, Replay
from keepfit.testing import check_learner


def deep_learners() -> list[Learner]:
    """Each with its defaults; those that remember rows also with room for fewer than a lesson has."""
    found: list[Learner] = []
    for name in registry.names("keepfit.learners"):
        kind = registry.load("keepfit.learners", name)
        if issubclass(kind, FineTune) and name != "Avalanche":  # which has laws of its own, in test_avalanche.py
            found.append(kind())
            bounded = any(field.name == "rows" for field in fields(kind))
            found += [kind(rows=60)] if bounded else []
    found += [Replay(rows=60, keep=keep) for keep in (Keep.BALANCED, Keep.HERDING)]
    return [*found, LwF(grows=True), GEM(rows=60, rehearses=True)]


def named(learner: Any) -> str:
    """The learner and what is not as by default."""
    told = (getattr(learner, name, "") for name in ("rows", "keep"))
    said = [name for name in ("grows", "rehearses") if getattr(learner, name, False)]
    return "-".join([type(learner).__name__, *map(str, told), *said])


@pytest.mark.parametrize("learner", deep_learners(), ids=named)
def test_laws(learner: Learner) -> None:
    """It repeats itself, leaves alone what it is given, keeps its bounds, and goes on where it was stopped."""
    check_learner(learner)


class Scribbling(FineTune):
    """A learner that changes the rows it is given."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        lesson.X["a"] += 1
        return super().learn(estimator, lesson)


class Forgetful(FineTune):
    """A learner that begins anew where it was interrupted, and otherwise than before."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        attempts = 0
        if lesson.checkpoint is not None:
            attempts = len(list(lesson.checkpoint.iterdir()))
            (lesson.checkpoint / str(attempts)).touch()
        return super().learn(estimator, replace(lesson, seed=lesson.seed + attempts, checkpoint=None))


@pytest.mark.parametrize(("wrong", "sentence"), [(Scribbling(), "changes the lesson"), (Forgetful(), "continued")])
def test_the_laws_notice_what_breaks_them(wrong: Learner, sentence: str) -> None:
    """The suite itself fails on a learner that scribbles, or forgets where it was."""
    with pytest.raises(AssertionError, match=sentence):
        check_learner(wrong)
