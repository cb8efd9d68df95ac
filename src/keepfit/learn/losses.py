"""Losses: how wrong a fitted estimator is, row by row, whatever it can say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import Lesson


def losses(model: Any, lesson: Lesson) -> NDArray[np.float64]:
    """The loss of each row of a Lesson: Brier (1950), halved so that it lies in [0, 1]; 0 or 1; or the absolute error.

    Brier's where there are classes and probabilities, 0 or 1 where there are classes only; a class that the model does
    not know costs 1. Refused where the model cannot answer these rows.
    """
    if not len(lesson.y):
        return np.empty(0)
    try:
        if not hasattr(model, "classes_"):
            said = np.asarray(model.predict(lesson.X), dtype=np.float64).reshape(-1)
            return np.abs(said - lesson.y.astype(np.float64))
        if not hasattr(model, "predict_proba"):
            return np.asarray(np.asarray(model.predict(lesson.X)).reshape(-1) != lesson.y, dtype=np.float64)
        return _brier(np.asarray(model.predict_proba(lesson.X), dtype=np.float64), model.classes_, lesson.y)
    except Exception as error:
        raise Refused(
            f"a remembered {type(model).__name__} cannot answer the rows of today ({type(error).__name__}: {error}); "
            "where inputs have changed, begin again without memory (one update by Refit() forgets it)",
            code="memory_does_not_fit",
        ) from error


def _brier(chances: NDArray[np.float64], classes: Any, y: NDArray[Any]) -> NDArray[np.float64]:
    hit = np.asarray(y)[:, None] == np.asarray(classes)[None, :]
    found: NDArray[np.float64] = ((chances - hit) ** 2).sum(axis=1) / 2
    return np.where(hit.any(axis=1), found, 1.0)


def interval(lost: NDArray[np.float64]) -> float:
    """How far the mean of some losses may be from the truth: two standard errors, infinite for fewer than two rows."""
    return 2.0 * float(lost.std(ddof=1)) / float(np.sqrt(len(lost))) if len(lost) > 1 else float("inf")


def surely_less(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether the first loses less than the second on the same rows, beyond the interval of the paired difference.

    >>> surely_less(np.zeros(50), np.arange(50) % 2.0), surely_less(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    (True, False)
    """
    gap = other - one
    return bool(float(gap.mean()) > interval(gap)) if len(gap) else False
