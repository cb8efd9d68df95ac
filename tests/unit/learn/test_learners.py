"""Learners: what goes on from the parent, what starts anew, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lessons
from keepfit.core.errors import Refused
from keepfit.core.nouns import Lesson, Task
from keepfit.learn.estimators import cloned, seeded, threaded
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.tables import frame

pytest.importorskip("sklearn")

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def piped(final: Any, *, sparse: bool = False) -> Any:
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=sparse)
    steps = ColumnTransformer(
        [("words", words, lessons.WORDS), ("numbers", SimpleImputer(), lessons.NUMBERS)], sparse_threshold=float(sparse)
    )
    return make_pipeline(steps, StandardScaler(with_mean=False), final)


def lesson(seed: int, task: Task = Task.BINARY, count: int = 600) -> dict[str, Any]:
    inputs = lessons.rows(count, seed)
    classes = (0, 1) if task is Task.BINARY else ()
    return {"X": frame(inputs, lessons.FIELDS), "y": lessons.labels(task, inputs, seed, classes)}


def warmed(learner: WarmStart, estimator: Any, task: Task = Task.BINARY) -> tuple[Any, Any]:
    """A parent, and what became of it after new rows."""
    parent = learner.learn(estimator, Lesson(**lesson(1, task))).model
    return parent, learner.learn(estimator, Lesson(**lesson(2, task), parent=parent)).model


def test_refit_is_a_plain_fit() -> None:
    """Refit equals fitting a seeded copy by hand, whatever the parent is."""
    X, y = lesson(1).values()
    found = Refit().learn(piped(RandomForestClassifier(5)), Lesson(X=X, y=y, parent="nothing", seed=7)).model
    expected = piped(RandomForestClassifier(5, random_state=7)).fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_line_goes_on_by_partial_fit(sparse: bool) -> None:
    """The fitted preprocessing stays, one pass is one epoch over the new rows."""
    parent, child = warmed(WarmStart(passes=3), piped(SGDClassifier(loss="log_loss"), sparse=sparse))
    count = len(lesson(2)["y"])
    assert child[-1].t_ - parent[-1].t_ == 3 * count
    np.testing.assert_array_equal(child[1].scale_, parent[1].scale_)


def test_a_forest_grows_on_the_new_rows_alone() -> None:
    """The parent's trees stay to the bit; the new ones are what a fit on the new rows gives."""
    parent, child = warmed(WarmStart(trees=7), piped(RandomForestRegressor(10)), Task.REGRESSION)
    assert len(child[-1].estimators_) == 17
    X = lesson(3, Task.REGRESSION)["X"]
    given = parent[:-1].transform(X)
    for old, new in zip(parent[-1].estimators_, child[-1].estimators_, strict=False):
        np.testing.assert_array_equal(old.predict(given), new.predict(given))


def test_a_forest_forgets_its_oldest_trees() -> None:
    """Beyond `most` trees the oldest go, so that a Service may warm-start for ever."""
    parent, child = warmed(WarmStart(trees=7, most=12), piped(RandomForestClassifier(10)))
    assert len(child[-1].estimators_) == 12
    given = parent[:-1].transform(lesson(3)["X"])
    np.testing.assert_array_equal(
        child[-1].estimators_[0].predict_proba(given), parent[-1].estimators_[5].predict_proba(given)
    )
    third = WarmStart(trees=7, most=12).learn(None, Lesson(**lesson(4), parent=child)).model
    assert len(third[-1].estimators_) == 12


def test_boosting_goes_on_from_the_sum_so_far() -> None:
    """More trees lower the loss on the new rows, and the old trees are kept."""
    parent, child = warmed(WarmStart(trees=30), piped(GradientBoostingRegressor(n_estimators=10)), Task.REGRESSION)
    X, y = lesson(2, Task.REGRESSION).values()
    assert len(child[-1].estimators_) == 40
    assert np.mean((child.predict(X) - y) ** 2) < 0.7 * np.mean((parent.predict(X) - y) ** 2)


def test_boosting_ends_where_it_would_grow_for_ever() -> None:
    """Old trees of a sum cannot be dropped, so beyond `most` the update is refused."""
    with pytest.raises(Refused, match="40 trees, more than `most`=35"):
        warmed(WarmStart(trees=30, most=35), piped(GradientBoostingRegressor(n_estimators=10)), Task.REGRESSION)


def test_what_cannot_go_on_is_refused() -> None:
    """An estimator with neither partial_fit nor trees to add, and one whose warm start is wrong on new rows, say so."""
    with pytest.raises(Refused, match="LogisticRegression can neither"):
        warmed(WarmStart(), piped(LogisticRegression()))
    with pytest.raises(Refused, match="bins them anew"):
        warmed(WarmStart(), piped(HistGradientBoostingClassifier(max_iter=3)))


def test_a_warm_start_with_other_classes_is_refused() -> None:
    """A new label, or a forest whose new rows lack a class, would shift the meaning of the parent's classes."""
    X, y = lesson(1).values()
    parent = piped(RandomForestClassifier(5)).fit(X, y)
    with pytest.raises(Refused, match=r"labels \[9\] are new to the parent"):
        WarmStart().learn(None, Lesson(X=X, y=np.where(y == 1, 9, 0), parent=parent))
    with pytest.raises(Refused, match=r"none of the classes \[1\]"):
        WarmStart().learn(None, Lesson(X=X, y=np.zeros_like(y), parent=parent))


def test_seeds_fill_only_what_is_open() -> None:
    """A `random_state` the user set stays; every other one, however deep, gets the seed."""
    made = seeded(piped(RandomForestClassifier(random_state=3)), 5)
    assert made[-1].random_state == 3
    assert seeded(piped(SGDRegressor()), 5)[-1].random_state == 5


def test_threads_are_capped_everywhere() -> None:
    """`n_jobs=-1` of a user means as many as the Run was given."""
    made = threaded(cloned(piped(RandomForestClassifier(n_jobs=-1))), 2)
    assert made[-1].n_jobs == 2
