"""The committee: several fitted estimators that answer as one, each with its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Lesson


@dataclass(frozen=True, eq=False)
class Vote:
    """Classifiers: their probabilities averaged by weight; or, not `soft`, their votes."""

    members: tuple[Any, ...]
    weights: tuple[float, ...]
    classes_: NDArray[Any]
    soft: bool = True

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """One row per record, one column per class of `classes_`, each row's sum 1."""
        total: NDArray[np.float64] = np.zeros((len(X), len(self.classes_)))
        for member, weight in zip(self.members, self.weights, strict=True):
            total += weight * (chances(member, X, self.classes_) if self.soft else votes(member, X, self.classes_))
        total /= total.sum(axis=1, keepdims=True)
        return total

    def predict(self, X: Any) -> NDArray[Any]:
        """The class with the most weight behind it; the first of those that tie."""
        said: NDArray[Any] = self.classes_[np.argmax(self.predict_proba(X), axis=1)]
        return said


@dataclass(frozen=True, eq=False)
class Mean:
    """Regressors: their answers averaged by weight."""

    members: tuple[Any, ...]
    weights: tuple[float, ...]

    def predict(self, X: Any) -> NDArray[np.float64]:
        """One number per record."""
        said = [np.asarray(member.predict(X), dtype=np.float64).reshape(-1) for member in self.members]
        return np.asarray(np.average(said, axis=0, weights=self.weights))


def committee(members: Sequence[Any], weights: Sequence[float], classes: NDArray[Any], *, soft: bool = True) -> Any:
    """A Vote, or a Mean where there are no classes; members without weight are left out."""
    heard = [(member, float(weight)) for member, weight in zip(members, weights, strict=True) if weight > 0]
    chosen, weighed = tuple(member for member, _ in heard), tuple(weight for _, weight in heard)
    return Vote(chosen, weighed, classes, soft) if len(classes) else Mean(chosen, weighed)


def classes_in(lesson: Lesson, members: Sequence[Any]) -> NDArray[Any]:
    """All classes in order: the Service's, or those that members have met; none for numbers."""
    met = {one for member in members for one in np.asarray(getattr(member, "classes_", [])).tolist()}
    known = list(lesson.classes) or sorted(met)
    return np.array(known, dtype=object if known and isinstance(known[0], str) else None)


def chances(member: Any, X: Any, classes: NDArray[Any]) -> NDArray[np.float64]:
    """A classifier's probabilities in the order of `classes`; its votes where it has none."""
    if not hasattr(member, "predict_proba"):
        return votes(member, X, classes)
    own = np.asarray(member.classes_).tolist()
    ordered = np.zeros((len(X), len(classes)))
    places = [classes.tolist().index(one) for one in own]
    ordered[:, places] = member.predict_proba(X)
    return ordered


def votes(member: Any, X: Any, classes: NDArray[Any]) -> NDArray[np.float64]:
    """1 for the class a classifier predicts, 0 for the others."""
    said = np.asarray(member.predict(X)).reshape(-1)
    return np.asarray(said[:, None] == classes[None, :], dtype=np.float64)
