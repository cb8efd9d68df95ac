"""Refit: fit anew on all the data given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keepfit.core.nouns import Learnt, Lesson
from keepfit.learn.estimators import cloned, seeded


@dataclass(frozen=True)
class Refit:
    """Fit anew on all the data given; the parent is not looked at."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """A fitted copy of `estimator`, every `random_state` that is None set from the lesson's seed."""
        fresh = seeded(cloned(estimator), lesson.seed)
        fresh.fit(lesson.X, lesson.y)
        return Learnt(fresh)
