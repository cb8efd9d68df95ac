"""Every registered learner keeps the laws of learners."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from keepfit.core import registry
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.core.protocols import Learner
from keepfit.testing import check_learner

pytest.importorskip("sklearn")

from sklearn.base import clone

CLASSIC = ("AccuracyWeighted", "Auto", "LearnNSE", "Refit", "Reuse", "WarmStart")


@pytest.mark.parametrize("name", CLASSIC)
def test_laws(name: str) -> None:
    """A registered learner leaves its arguments alone, repeats itself, learns, remembers, and can be stored."""
    learner = registry.load("keepfit.learners", name)()
    assert isinstance(learner, Learner)
    check_learner(learner)


class Greedy:
    """A learner that trains the very parent it is given."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        return Learnt((lesson.parent or clone(estimator)).partial_fit(lesson.X, lesson.y, classes=list(lesson.classes)))


class Moody:
    """A learner whose seed is its own affair."""

    turn = 0

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        self.turn += 1
        return Learnt(clone(estimator).set_params(random_state=self.turn).fit(lesson.X, lesson.y))


class Hoarder:
    """A learner that keeps everything."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        before = lesson.memory.arrays["all"] if lesson.memory else np.empty((0, 2))
        kept = np.concatenate([before, lesson.X.to_numpy()])
        fitted = clone(estimator).set_params(random_state=lesson.seed).fit(lesson.X, lesson.y)
        return Learnt(fitted, Memory("Hoarder", arrays={"all": kept}))


class Ungrateful(Hoarder):
    """A learner that changes the rows it is given."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        lesson.X["a"] += 1
        return super().learn(estimator, replace(lesson, memory=None))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (Greedy(), "changes the parent"),
        (Moody(), "something else from the same rows"),
        (Hoarder(), r"its memory grew by \d\.\d\d times"),
        (Ungrateful(), "changes the rows"),
    ],
)
def test_the_laws_notice_what_breaks_them(wrong: Learner, sentence: str) -> None:
    """The suite itself fails on a learner that changes what serves at this moment, throws dice, hoards or scribbles."""
    with pytest.raises(AssertionError, match=sentence):
        check_learner(wrong)
