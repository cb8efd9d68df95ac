"""LearnNSE: Learn++.NSE, an ensemble over time whose members' past errors count, the newer the more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.learn import members as known
from keepfit.learn.committee import classes_in, committee, votes
from keepfit.learn.lessons import SEEN, seen


@dataclass(frozen=True)
class LearnNSE:
    """Members trained on successive windows of `window` rows that vote by how little they have erred, lately above all.

    Rows that the committee already knows count less in a window's errors; the errors of a member over its windows are
    averaged by a sigmoid of `slope` and `crossing` windows. Of more than `most` members the one with the least weight
    goes. A world that returns brings old members back. Classes only. Elwell & Polikar (2011), "Incremental learning of
    concept drift in nonstationary environments".
    """

    window: int = 500
    most: int = 10
    slope: float = 0.5
    crossing: float = 10.0

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """A committee that has voted on, and then learnt, each window of the lesson's new rows."""
        arrays = lesson.memory.arrays if lesson.memory else {}
        members, turn = known.opened(arrays), int(arrays.get("turn", 0))
        betas: NDArray[np.float64] = arrays.get("betas", np.empty((0, 0)))
        weights = arrays.get("weights", np.empty(0))
        for window in known.windows(lesson, self.window, self.most):
            classes = classes_in(lesson, [one.model for one in members])
            if members and not len(classes):
                raise Refused("LearnNSE votes on classes, these labels are numbers; use AccuracyWeighted()")
            important = _importance(members, weights, window, classes)
            members.append(known.member(estimator, window, turn))
            betas = self._later(betas, members, window, important)
            weights = self._weights(betas)
            if len(members) > self.most:
                gone = int(np.argmin(weights))
                del members[gone]
                betas, weights = np.delete(betas, gone, axis=0), np.delete(weights, gone)
            turn += 1
        known.require_some(members, lesson)
        classes = classes_in(lesson, [one.model for one in members])
        if not len(classes):
            raise Refused("LearnNSE votes on classes, these labels are numbers; use AccuracyWeighted()")
        kept = {**known.closed(members), SEEN: seen(lesson.ids), "turn": np.array(turn), "betas": betas}
        memory = Memory(type(self).__name__, arrays={**kept, "weights": weights})
        return Learnt(committee([one.model for one in members], weights.tolist(), classes, soft=False), memory)

    def _later(
        self, betas: NDArray[np.float64], members: list[known.Member], window: Lesson, important: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The members' errors, normalised, with one more window; NaN before a member was there."""
        least = 1.0 / (2 + len(window.y))
        wrong = [np.asarray(one.model.predict(window.X)).reshape(-1) != window.y for one in members]
        errors = np.array([np.clip((important * one).sum(), least, 0.5) for one in wrong])
        grown = np.full((len(members), betas.shape[1] + 1), np.nan)
        grown[:-1, :-1] = betas
        grown[:, -1] = errors / (1 - errors)
        recent: NDArray[np.float64] = grown[:, -3 * self.most :]
        return recent

    def _weights(self, betas: NDArray[np.float64]) -> NDArray[np.float64]:
        """log(1 / mean error), the mean weighed by a sigmoid of how many windows after the member's own it was made."""
        found = []
        for row in betas:
            own = row[~np.isnan(row)]
            weighed = 1 / (1 + np.exp(-self.slope * (np.arange(len(own)) - self.crossing)))
            found.append(float(np.log(weighed.sum() / (weighed * own).sum())))
        worth: NDArray[np.float64] = np.clip(np.array(found), 0.0, None)
        if not (worth > 0).any():
            worth[-1] = 1.0  # none is better than chance: the newest is what there is
        return worth


def _importance(
    members: list[known.Member], weights: NDArray[np.float64], window: Lesson, classes: NDArray[Any]
) -> NDArray[np.float64]:
    """How much each row counts: as little as the committee errs where it is right, 1 where it is wrong; sum 1."""
    rows = len(window.y)
    if not members:
        return np.full(rows, 1.0 / rows)
    total = sum(weight * votes(one.model, window.X, classes) for one, weight in zip(members, weights, strict=True))
    wrong = classes[np.argmax(total, axis=1)] != window.y
    counted = np.where(wrong, 1.0, max(float(wrong.mean()), 1.0 / rows))
    return np.asarray(counted / counted.sum())
