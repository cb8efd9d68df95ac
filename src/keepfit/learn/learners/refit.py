"""Refit: fit anew on the data given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused, SpecInvalid
from keepfit.core.nouns import Learnt, Lesson
from keepfit.learn import lessons
from keepfit.learn.estimators import cloned, seeded, weighed_by


@dataclass(frozen=True)
class Refit:
    """Fit anew on all the data given; the parent is not looked at.

    With `half_life` a row weighs half as much as one that is so many rows newer; the last step must take
    `sample_weight`. `newest` is for learners that compete or are made of others: so many rows of the Lesson that they
    share; what a Service learns from is its Recipe's `window`.
    """

    half_life: float | None = None
    newest: int | None = None

    def __post_init__(self) -> None:
        if self.half_life is not None and not self.half_life > 0:
            raise SpecInvalid(f"Refit.half_life: expected a number of rows above zero, found {self.half_life}")
        if self.newest is not None and self.newest < 1:
            raise SpecInvalid(f"Refit.newest: expected at least 1 row, found {self.newest}")

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """A fitted copy of `estimator`, every `random_state` that is None set from the lesson's seed."""
        given = lesson if self.newest is None else lessons.newest(lesson, self.newest)
        if given is not lesson and lesson.classes and len(np.unique(given.y)) < 2:
            raise Refused(f"the newest {len(given.y)} rows are all of one class, from which nothing can be told")
        fresh = seeded(cloned(estimator), lesson.seed)
        if self.half_life is None:
            fresh.fit(given.X, given.y)
        else:
            fresh.fit(given.X, given.y, **{weighed_by(fresh): weights(len(given.y), self.half_life)})
        return Learnt(fresh)


def weights(rows: int, half_life: float) -> NDArray[np.float64]:
    """What each of `rows` rows in order of time weighs, the newest 1.

    >>> weights(3, half_life=1).tolist()
    [0.25, 0.5, 1.0]
    """
    return np.exp2(-np.arange(rows - 1, -1, -1, dtype=np.float64) / half_life)
