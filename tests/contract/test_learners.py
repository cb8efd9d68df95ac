"""Every registered learner keeps the laws of learners."""

from __future__ import annotations

from typing import Any

import pytest

from keepfit.core import registry
from keepfit.core.nouns import Learnt, Lesson
from keepfit.core.protocols import Learner
from keepfit.testing import check_learner

pytest.importorskip("sklearn")


@pytest.mark.parametrize("name", registry.names("keepfit.learners"))
def test_laws(name: str) -> None:
    """A registered learner leaves its arguments alone, repeats itself, learns, and can be stored and read back."""
    learner = registry.load("keepfit.learners", name)()
    assert isinstance(learner, Learner)
    check_learner(learner)


class Greedy:
    """A learner that trains the very parent it is given."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        from sklearn.base import clone

        return Learnt((lesson.parent or clone(estimator)).partial_fit(lesson.X, lesson.y, classes=["down", "up"]))


def test_the_laws_notice_a_changed_parent() -> None:
    """The suite itself fails on a learner that changes what serves at this moment."""
    with pytest.raises(AssertionError, match="changes the parent"):
        check_learner(Greedy())
