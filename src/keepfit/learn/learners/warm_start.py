"""WarmStart: go on from the parent with the new rows."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepfit.core.errors import Refused
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.learn.boosters import continued, is_booster
from keepfit.learn.learners.refit import Refit
from keepfit.learn.lessons import SEEN, part, seen, unseen


@dataclass(frozen=True)
class WarmStart:
    """Go on from the parent: its preprocessing stays as fitted, its last step learns the new rows on top.

    New are rows that were not in the lesson before, where Records have ids. A step with `partial_fit` makes `passes`
    passes over them, in random order unless it wants them `in_order`; a forest, gradient boosting, an xgboost or a
    lightgbm model grows `trees` more trees on them. A forest with more than `most` trees drops its oldest. Without a
    parent it is an ordinary fit. Raises Refused for estimators that cannot go on, saying why.
    """

    passes: int = 1
    trees: int = 20
    most: int = 500

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """A copy of the parent that has also learnt the lesson; `estimator` fitted where there is no parent."""
        memory = Memory(type(self).__name__, arrays={SEEN: seen(lesson.ids)}) if lesson.ids else None
        if lesson.parent is None:
            return Learnt(Refit().learn(estimator, lesson).model, memory)
        new = part(lesson, unseen(lesson))
        grown = copy.deepcopy(lesson.parent)
        return Learnt(self._grown(grown, new) if len(new.y) else grown, memory)

    def _grown(self, grown: Any, new: Lesson) -> Any:
        final, given = _final(grown, new.X)
        if hasattr(final, "partial_fit"):
            self._pass_over(final, given, new)
            return grown
        _known_classes(final, new.y)
        if is_booster(final):
            more = continued(final, given, new.y, trees=self.trees, most=self.most, seed=new.seed)
            return more if final is grown else grown
        self._grow(final, given, new.y, new.seed)
        return grown

    def _pass_over(self, final: Any, given: Any, new: Lesson) -> None:
        from sklearn.utils import shuffle

        if getattr(final, "in_order", False):
            final.partial_fit(given, new.y)
            return
        _known_classes(final, new.y)
        for turn in range(self.passes):
            final.partial_fit(*shuffle(given, new.y, random_state=new.seed + turn))

    def _grow(self, final: Any, X: Any, y: Any, seed: int) -> None:
        name = type(final).__name__
        if name.startswith("HistGradientBoosting"):
            raise Refused(
                f"{name} cannot go on with new rows: scikit-learn bins them anew, which the old trees do not fit; "
                "use Refit() or GradientBoosting*"
            )
        parameters = final.get_params()
        if "warm_start" not in parameters or "n_estimators" not in parameters:
            raise Refused(f"{name} can neither partial_fit nor grow by warm_start; use Refit()")
        _every_class(final, y)
        present = len(final.estimators_)
        state = parameters.get("random_state")
        final.set_params(warm_start=True, n_estimators=present + self.trees)
        if not isinstance(state, np.random.RandomState):
            final.set_params(random_state=(0 if state is None else state) + seed + present)
        final.fit(X, y)
        final.set_params(warm_start=False, random_state=state)
        self._forget(final, name)

    def _forget(self, final: Any, name: str) -> None:
        surplus = len(final.estimators_) - self.most
        if surplus <= 0:
            return
        if isinstance(final.estimators_, list):
            final.estimators_ = final.estimators_[surplus:]
            final.set_params(n_estimators=len(final.estimators_))
            return
        raise Refused(
            f"{name} would have {self.most + surplus} trees, more than `most`={self.most}; use Refit() once",
            code="grown_too_large",
        )


def _final(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The last step, and the rows as the fitted steps before it hand them on."""
    while hasattr(estimator, "steps"):
        for _, step in estimator.steps[:-1]:
            if step is not None and step != "passthrough":
                X = step.transform(X)
        estimator = estimator.steps[-1][1]
    return estimator, X


def _known_classes(final: Any, y: Any) -> None:
    classes = getattr(final, "classes_", None)
    if classes is None:
        return
    new = sorted(set(np.unique(y).tolist()) - set(np.asarray(classes).tolist()))
    if new:
        raise Refused(
            f"labels {new[:5]} are new to the parent, which knows {np.asarray(classes).tolist()[:10]}; use Refit()"
        )


def _every_class(final: Any, y: Any) -> None:
    """scikit-learn takes the classes of a warm start from its rows alone, so that one absent would shift the others."""
    absent = sorted(set(np.asarray(getattr(final, "classes_", [])).tolist()) - set(np.unique(y).tolist()))
    if absent:
        raise Refused(
            f"the new rows have none of the classes {absent[:5]}, without which {type(final).__name__} cannot grow; "
            "widen the recipe's window or use Refit()"
        )
