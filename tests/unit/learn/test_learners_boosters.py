"""WarmStart of xgboost and lightgbm: more trees on the new rows, on top of the old ones."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keepfit.core.errors import Refused
from keepfit.core.nouns import Lesson
from keepfit.learn.learners import WarmStart

pytest.importorskip("sklearn")
xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

from sklearn.impute import SimpleImputer  # noqa: E402  # skipped above where there is none
from sklearn.pipeline import make_pipeline  # noqa: E402


def rows(seed: int, *, turned: bool = False) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    X = pd.DataFrame(random.normal(size=(400, 3)), columns=["a", "b", "c"])
    return X, ((X["a"] > 0) ^ turned).to_numpy().astype(int)


def given(seed: int) -> dict[str, Any]:
    X, y = rows(seed)
    return {"X": X, "y": y}


def xgb(**more: Any) -> Any:
    return xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1, **more)


def lgbm(**more: Any) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=10, max_depth=3, n_jobs=1, verbosity=-1, **more)


def counted(model: Any) -> int:
    """Rounds of trees."""
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(last, "get_booster"):
        return int(last.get_booster().num_boosted_rounds())
    return int(last.booster_.current_iteration())


@pytest.mark.parametrize("made", [xgb, lgbm])
@pytest.mark.parametrize("piped", [False, True])
def test_a_booster_goes_on(made: Any, piped: bool) -> None:
    """Alone and as the last step of a pipeline: trees are added, the parent stays, the new rows are known."""
    estimator = make_pipeline(SimpleImputer().set_output(transform="pandas"), made()) if piped else made()
    learner = WarmStart(trees=30)
    parent = learner.learn(estimator, Lesson(**given(0))).model
    kept = pickle.dumps(parent)
    X, y = rows(1, turned=True)
    child = learner.learn(estimator, Lesson(X=X, y=y, parent=parent)).model
    assert (counted(parent), counted(child)) == (10, 40)
    assert pickle.dumps(parent) == kept
    assert (parent.predict(X) == y).mean() < 0.1
    assert (child.predict(X) == y).mean() > 0.9
    last = child[-1] if piped else child
    assert last.get_params()["n_estimators"] == 10


@pytest.mark.parametrize("made", [xgb, lgbm])
def test_the_number_of_trees_is_bounded(made: Any) -> None:
    """Beyond `most` rounds the lesson is refused, for old trees of a sum cannot be dropped."""
    parent = made().fit(*rows(0))
    with pytest.raises(Refused, match="40 rounds of trees, more than `most`=35") as refused:
        WarmStart(trees=30, most=35).learn(None, Lesson(**given(1), parent=parent))
    assert refused.value.code == "grown_too_large"


@pytest.mark.parametrize("made", [xgb, lgbm])
def test_a_lesson_without_a_class_is_refused(made: Any) -> None:
    """Their classes come from the rows alone, so an absent one would shift the meaning of the trees."""
    parent = made().fit(*rows(0))
    X, y = rows(1)
    with pytest.raises(Refused, match=r"none of the classes \[1\]"):
        WarmStart().learn(None, Lesson(X=X, y=np.zeros_like(y), parent=parent))


@pytest.mark.parametrize("made", [xgb, lgbm])
def test_native_boosters_go_on(made: Any) -> None:
    """The libraries' own objects too."""
    fitted = made().fit(*rows(0))
    parent = fitted.get_booster() if hasattr(fitted, "get_booster") else fitted.booster_
    X, y = rows(1, turned=True)
    child = WarmStart(trees=30).learn(None, Lesson(X=X, y=y, parent=parent)).model
    said = child.predict(xgboost.DMatrix(X) if made is xgb else X)
    assert ((said > 0.5) == y).mean() > 0.9
    before = parent.predict(xgboost.DMatrix(X) if made is xgb else X)
    assert ((before > 0.5) == y).mean() < 0.1


@pytest.mark.parametrize("made", [xgb, lgbm])
def test_seeds_decide(made: Any) -> None:
    """The same seed grows the same trees, another one others, where rows are drawn."""
    parent = made(subsample=0.5, **({"subsample_freq": 1} if made is lgbm else {})).fit(*rows(0))
    X, y = rows(1)
    found = [
        WarmStart().learn(None, Lesson(X=X, y=y, parent=parent, seed=seed)).model.predict_proba(X)[:, 1]
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
