"""AccuracyWeighted: an ensemble over time, each member weighed by its error on the newest window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.learn import members as known
from keepfit.learn.committee import chances, classes_in, committee
from keepfit.learn.lessons import SEEN, newest, part, seen

FOLDS = 3


@dataclass(frozen=True)
class AccuracyWeighted:
    """Members trained on successive windows of `window` rows, each weighed by how much better than chance it is now.

    A member's weight is the mean squared error of an answer by the classes' shares (for numbers: their variance) minus
    its own on the newest window; the newest member's own error is cross-validated, for it has learnt that window. The
    `most` best are kept, and those worse than chance are not heard. Wang, Fan, Yu & Han (2003), "Mining
    concept-drifting data streams using ensemble classifiers".
    """

    window: int = 500
    most: int = 10

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """A committee with the windows of the lesson's new rows in it, weighed anew."""
        before = known.opened(lesson.memory.arrays) if lesson.memory else []
        turn = int(lesson.memory.arrays["turn"]) if lesson.memory else 0
        now = newest(lesson, self.window)
        added = list(known.windows(lesson, self.window, self.most))
        members = before + [known.member(estimator, one, turn + place) for place, one in enumerate(added)]
        known.require_some(members, lesson)
        models = [one.model for one in members]
        classes = classes_in(lesson, models)
        lost = np.array([_error(one, now, classes) for one in models])
        if added:
            lost[-1] = _cross_validated(estimator, added[-1], classes, turn)
        worth = _chance(now, classes) - lost
        best = np.sort(np.argsort(-worth, kind="stable")[: self.most])
        kept, worth = [members[place] for place in best], worth[best]
        if not (worth > 0).any():
            worth = np.eye(len(kept))[-1]  # nothing is better than chance: the newest is what there is
        memory = {**known.closed(kept), SEEN: seen(lesson.ids), "turn": np.array(turn + len(added)), "weights": worth}
        chosen = committee([one.model for one in kept], worth.tolist(), classes)
        return Learnt(chosen, Memory(type(self).__name__, arrays=memory))


def _error(model: Any, rows: Lesson, classes: NDArray[Any]) -> float:
    """The mean squared error of the true class's probability, or of the number."""
    if not len(classes):
        said = np.asarray(model.predict(rows.X), dtype=np.float64).reshape(-1)
        return float(((said - rows.y) ** 2).mean())
    hit = np.asarray(rows.y)[:, None] == classes[None, :]
    return float(((1 - (chances(model, rows.X, classes) * hit).sum(axis=1)) ** 2).mean())


def _chance(rows: Lesson, classes: NDArray[Any]) -> float:
    """The error of answering at random by the classes' shares, or the mean."""
    if not len(classes):
        return float(np.var(rows.y.astype(np.float64)))
    shares = (np.asarray(rows.y)[:, None] == classes[None, :]).mean(axis=0)
    return float((shares * (1 - shares) ** 2).sum())


def _cross_validated(estimator: Any, window: Lesson, classes: NDArray[Any], turn: int) -> float:
    place = np.arange(len(window.y))
    lost = []
    for fold in range(FOLDS):
        train, held = part(window, place[place % FOLDS != fold]), part(window, place[place % FOLDS == fold])
        if len(held.y) and (not len(classes) or len(np.unique(train.y)) > 1):
            lost.append(_error(known.member(estimator, train, turn).model, held, classes))
    return float(np.mean(lost)) if lost else _chance(window, classes)
