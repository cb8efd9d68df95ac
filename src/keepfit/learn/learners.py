"""Learners: methods of continual learning."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.nouns import Memory


@dataclass(frozen=True)
class Refit:
    """Fit anew on all the data given; the parent is not looked at."""

    def learn(self, estimator: Any, X: Any, y: Any, *, parent: Any | None, memory: Memory | None, seed: int) -> Any:
        """A fitted copy of `estimator`, every `random_state` that is None set from `seed`."""
        fresh = seeded(cloned(estimator), seed)
        fresh.fit(X, y)
        return fresh


@dataclass(frozen=True)
class WarmStart:
    """Go on from the parent: its preprocessing stays as fitted, its last step learns the new rows on top.

    A step with `partial_fit` makes `passes` passes over the rows; a forest, or gradient boosting, grows `trees` more
    trees on them. A forest with more than `most` trees drops its oldest. Without a parent it is an ordinary fit.
    Raises Refused for estimators that cannot go on, saying why.
    """

    passes: int = 1
    trees: int = 20
    most: int = 500

    def learn(self, estimator: Any, X: Any, y: Any, *, parent: Any | None, memory: Memory | None, seed: int) -> Any:
        """A copy of `parent` that has also learnt X and y; `estimator` fitted where there is no parent."""
        if parent is None:
            return Refit().learn(estimator, X, y, parent=None, memory=memory, seed=seed)
        grown = copy.deepcopy(parent)
        final, given = _final(grown, X)
        _known_classes(final, y)
        if hasattr(final, "partial_fit"):
            self._pass_over(final, given, y, seed)
        else:
            self._grow(final, given, y, seed)
        return grown

    def _pass_over(self, final: Any, X: Any, y: Any, seed: int) -> None:
        from sklearn.utils import shuffle

        for turn in range(self.passes):
            final.partial_fit(*shuffle(X, y, random_state=seed + turn))

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
        raise Refused(f"{name} would have {self.most + surplus} trees, more than `most`={self.most}; use Refit() once")


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


def cloned(estimator: Any) -> Any:
    """An unfitted copy; objects that are no scikit-learn estimators are copied as they are."""
    try:
        from sklearn.base import clone
    except ImportError as error:
        raise MissingExtra("sklearn", "sklearn") from error
    return clone(estimator, safe=False)


def seeded(estimator: Any, seed: int) -> Any:
    """Set every `random_state` that is None, however deep; the estimator itself is changed and returned."""
    return _set_where(estimator, "random_state", seed, unset=True)


def threaded(estimator: Any, threads: int) -> Any:
    """Make every `n_jobs` the user set, however deep, `threads`; the estimator itself is changed and returned."""
    return _set_where(estimator, "n_jobs", threads, unset=False)


def _set_where(estimator: Any, parameter: str, value: int, *, unset: bool) -> Any:
    if not hasattr(estimator, "get_params"):
        return estimator
    found = estimator.get_params(deep=True)
    named = {key: current for key, current in found.items() if key.split("__")[-1] == parameter}
    chosen = {key: value for key, current in named.items() if (current is None) is unset}
    return estimator.set_params(**chosen) if chosen else estimator
