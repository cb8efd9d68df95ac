"""River: its estimators learn row by row, go on, and are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lessons
from keepfit.core.nouns import Base, Lesson, Task
from keepfit.core.service import Recipe
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.native import answers
from keepfit.learn.tables import arrays
from keepfit.learn.update import Folders, opened, update

pytest.importorskip("sklearn")
pytest.importorskip("river")

from river import compose, forest, linear_model, neighbors, preprocessing, stats, tree

from keepfit.learn.river import River


def numbers() -> Any:
    return compose.Select("distance", "wind", "hour") | preprocessing.StatImputer(
        *((name, stats.Mean()) for name in ("distance", "wind", "hour"))
    )


def test_rows_are_learnt_in_order_and_gone_on_from() -> None:
    """A fit followed by a warm start equals one fit of all rows: nothing is shuffled, nothing is learnt twice."""
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(300, 2)), columns=["a", "b"])
    y = np.where(X["a"] > 0, "up", "down").astype(object)
    ids = tuple(str(place) for place in range(300))
    estimator = River(preprocessing.StandardScaler() | linear_model.LogisticRegression())
    whole = Refit().learn(estimator, Lesson(X=X, y=y, ids=ids)).model
    first = WarmStart().learn(estimator, Lesson(X=X[:200], y=y[:200], ids=ids[:200]))
    child = WarmStart().learn(estimator, Lesson(X=X, y=y, ids=ids, parent=first.model, memory=first.memory)).model
    np.testing.assert_array_equal(child.predict_proba(X), whole.predict_proba(X))
    assert child.classes_.tolist() == ["down", "up"]
    assert (child.predict(X) == y).mean() > 0.9
    np.testing.assert_allclose(child.predict_proba(X).sum(axis=1), 1.0)


def test_open_seeds_are_set_however_deep() -> None:
    """A forest inside a pipeline repeats itself for a seed, and does otherwise for another one."""
    random = np.random.default_rng(0)
    X, y = random.normal(size=(400, 3)), random.integers(0, 2, 400)
    estimator = River(preprocessing.StandardScaler() | forest.ARFClassifier(n_models=3))
    found = [Refit().learn(estimator, Lesson(X=X, y=y, seed=seed)).model.predict_proba(X) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_class_may_come_later_and_one_row_may_be_all() -> None:
    """Classes grow as they are met; before anything is known all are equally likely."""
    model = River(tree.HoeffdingTreeClassifier()).fit(np.zeros((1, 2)), np.array([7]))
    assert model.predict(np.zeros((2, 2))).tolist() == [7, 7]
    model.partial_fit(np.ones((50, 2)), np.full(50, 3))
    assert model.classes_.tolist() == [3, 7]
    assert model.predict(np.ones((1, 2))).tolist() == [3]
    near = River(neighbors.KNNRegressor(n_neighbors=1)).fit(np.array([[0.0], [1.0]]), np.array([5.0, 9.0]))
    assert near.predict(np.array([[0.9]])).tolist() == [9.0]
    assert not hasattr(near, "classes_")


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_it_becomes_a_bundle(tmp_path: Path, task: Task) -> None:
    """An update of a river model writes a Bundle that answers as the model does, and another goes on from it."""
    classes: tuple[Any, ...] = (0, 1) if task is Task.BINARY else ()
    inputs = lessons.rows(600, 1)
    table = lessons.table(inputs, lessons.labels(task, inputs, 1, classes))
    last = linear_model.LogisticRegression() if task is Task.BINARY else tree.HoeffdingTreeRegressor()
    estimator = River(numbers() | preprocessing.StandardScaler() | last)
    specification = lessons.specification(task, classes, recipe=Recipe(base=Base.WARM))
    train, holdout = table.slice(0, 500), table.slice(500)
    first = Folders(into=tmp_path / "1", left=tmp_path / "1-memory")
    bundle = update(specification, estimator, train=train, holdout=holdout, folders=first)
    assert bundle.runtime == "python"
    more = Folders(into=tmp_path / "2", left=tmp_path / "2-memory", parent=tmp_path / "1", memory=tmp_path / "1-memory")
    update(specification, estimator, train=table, holdout=holdout, folders=more)
    found = answers(opened(tmp_path / "2"), specification, arrays(holdout, lessons.FIELDS))
    assert set(found) == {field.name for field in specification.outputs}
