"""Reuse: where the world is as it once was, take the model of that time and train nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.core.protocols import Learner
from keepfit.learn import shelf as shelves
from keepfit.learn.learners.refit import Refit
from keepfit.learn.lessons import SEEN, newest, part, seen, unseen
from keepfit.learn.losses import interval, losses
from keepfit.learn.within import inner, outer

LATER = 5
"""One row in so many, the newest of a lesson, tells how good a model is that is to be stored."""


@dataclass(frozen=True)
class Reuse:
    """Keep the `most` best models of the past; on a lesson return one of them, untrained, if it is good enough now.

    All are scored on the lesson's new rows, at most the `rows` newest. The one that loses least is good enough where
    its mean loss, less its interval, is at most `good_enough` times the least that any of them lost in its own time.
    Otherwise `otherwise` learns and the result is stored; what it lost in its own time is measured by a twin that has
    not learnt the newest fifth of the lesson. Of more than `most` the older of the two most alike goes.

    Memory: `reused` is the place of the model returned, -1 where one was trained; `lost` what each stored one lost on
    the new rows; `levels` what each lost in its own time.
    """

    otherwise: Learner = Refit()
    most: int = 10
    good_enough: float = 1.1
    rows: int = 500

    def __post_init__(self) -> None:
        if self.most < 1 or self.rows < 1 or not self.good_enough >= 1:
            raise SpecInvalid(
                f"Reuse: expected most >= 1, rows >= 1 and good_enough >= 1, found {self.most}, {self.rows} and "
                f"{self.good_enough}"
            )

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """The stored model that is good enough, or a new one; the parent is handed on to `otherwise`."""
        shelf = shelves.opened(lesson.memory.arrays) if lesson.memory else ()
        new = unseen(lesson)
        now = newest(part(lesson, new), self.rows) if len(new) else newest(lesson, self.rows)
        lost = [losses(one.model, now) for one in shelf]
        place = self._good_enough(shelf, lost)
        if place is not None:
            memory = lesson.memory.arrays if lesson.memory else {}
            kept = {name: values for name, values in memory.items() if name not in ("lost", "reused")}
            return Learnt(shelf[place].model, self._memory({**kept, **shelves.closed(shelf)}, lesson, lost, place))
        return self._trained(estimator, lesson, shelf, now, lost)

    def _good_enough(self, shelf: shelves.Shelf, lost: list[NDArray[np.float64]]) -> int | None:
        if not shelf:
            return None
        place = int(np.argmin([one.mean() for one in lost]))
        allowed = self.good_enough * min(one.level for one in shelf)
        return place if float(lost[place].mean()) - interval(lost[place]) <= allowed else None

    def _trained(
        self, estimator: Any, lesson: Lesson, shelf: shelves.Shelf, now: Lesson, lost: list[NDArray[np.float64]]
    ) -> Learnt:
        given = inner(self.otherwise, lesson)
        learnt = self.otherwise.learn(estimator, given)
        shelf = (*shelf, shelves.stored(learnt.model, self._level(estimator, given, learnt.model)))
        lost = [*lost, losses(learnt.model, now)]
        if len(shelf) > self.most:
            gone = shelves.surplus(lost) if self.most > 1 else 0
            shelf, lost = (*shelf[:gone], *shelf[gone + 1 :]), [*lost[:gone], *lost[gone + 1 :]]
        arrays = {**outer(self.otherwise, learnt), **shelves.closed(shelf)}
        return Learnt(learnt.model, self._memory(arrays, lesson, lost, -1))

    def _level(self, estimator: Any, lesson: Lesson, trained: Any) -> float:
        """What a model just trained loses on rows it has not learnt, by a twin; by itself where there are too few."""
        count = len(lesson.y) // LATER
        early = part(lesson, np.arange(len(lesson.y) - count, dtype=np.int64))
        later = newest(lesson, max(1, count))
        if not count or (lesson.classes and len(np.unique(early.y)) < 2):
            return float(losses(trained, later).mean())
        return float(losses(self.otherwise.learn(estimator, early).model, later).mean())

    def _memory(
        self, arrays: dict[str, NDArray[Any]], lesson: Lesson, lost: list[NDArray[np.float64]], place: int
    ) -> Memory:
        told = {"reused": np.array(place), "lost": np.array([one.mean() for one in lost])}
        return Memory(type(self).__name__, arrays={**arrays, **told, SEEN: seen(lesson.ids)})
