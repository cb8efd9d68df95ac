"""River: estimators of the river library, with scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import MissingExtra

try:
    from sklearn.base import BaseEstimator
except ImportError as error:
    raise MissingExtra("sklearn", "sklearn") from error


class River(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Any river classifier or regressor as an estimator: rows are learnt one by one, in their order.

    `model` is not changed: `fit` learns from a clone of it, whose open seeds are `random_state`. With the learner
    `WarmStart` it goes on, row by row, from where its parent ended, and may meet new classes on the way.

    >>> from river import linear_model
    >>> fitted = River(linear_model.LogisticRegression()).fit(np.array([[-1.0], [1.0]] * 50), np.array([0, 1] * 50))
    >>> fitted.predict(np.array([[-2.0], [2.0]])).tolist(), fitted.predict_proba(np.array([[2.0]])).shape
    ([0, 1], (1, 2))
    """

    in_order = True

    def __init__(self, model: Any, random_state: int | None = None) -> None:
        self.model = model
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> River:
        """Learn all rows, beginning anew."""
        self.model_ = self.model.clone(_seeds(self.model._get_params(), self.random_state))
        self.__dict__.pop("classes_", None)
        self.met_: list[Any] = []
        return self.partial_fit(X, y)

    def partial_fit(self, X: Any, y: Any) -> River:
        """Learn more rows on top."""
        if not hasattr(self, "model_"):
            return self.fit(X, y)
        told = np.asarray(y).tolist()
        if _classifies(self.model_):
            self.met_ = list(dict.fromkeys([*self.met_, *told]))
            self.classes_ = np.array(sorted(self.met_), dtype=object if isinstance(told[0], str) else None)
            codes = {one: code for code, one in enumerate(self.met_)}  # river's linear models want 0 and 1
            told = [codes[one] for one in told]
        for row, label in zip(_rows(X), told, strict=True):
            self.model_.learn_one(row, label)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """A class or a number per row; the first class met where the model says nothing yet."""
        said = [self.model_.predict_one(row) for row in _rows(X)]
        if not hasattr(self, "classes_"):
            return np.array(said, dtype=np.float64)
        return np.array([self.met_[int(one or 0)] for one in said], dtype=self.classes_.dtype)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """A row of probabilities per row, in the order of `classes_`; equal ones where the model says nothing yet."""
        codes = [self.met_.index(one) for one in self.classes_.tolist()]
        found = np.array([[said.get(code, 0.0) for code in codes] for said in map(self._chances, _rows(X))])
        total = found.sum(axis=1, keepdims=True)
        return np.where(total == 0, 1.0 / len(codes), found / np.where(total == 0, 1.0, total))

    def _chances(self, row: dict[Any, Any]) -> dict[Any, float]:
        try:
            return dict(self.model_.predict_proba_one(row))
        except NotImplementedError:  # a river classifier without probabilities
            return {self.model_.predict_one(row): 1.0}


def _rows(X: Any) -> Iterator[dict[Any, Any]]:
    """Each row by name of a DataFrame, by place of a matrix; what is missing is None, as river has it."""
    named = X.to_dict(orient="records") if hasattr(X, "to_dict") else map(dict, map(enumerate, np.asarray(X).tolist()))
    for row in named:
        yield {name: None if value != value else value for name, value in row.items()}


def _classifies(model: Any) -> bool:
    try:
        from river.base import Classifier
    except ImportError as error:
        raise MissingExtra("river", "river") from error
    return isinstance(model, Classifier)  # of a pipeline, river answers for its last step


def _seeds(parameters: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """Those parameters of a river estimator, however deep, by which every open `seed` in it is set."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        if name == "seed" and value is None and seed is not None:
            found[name] = seed
        elif isinstance(value, dict):  # a step of a pipeline
            found[name] = _seeds(value, seed)
        elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], dict):  # a class and its parameters
            found[name] = (value[0], _seeds(value[1], seed))
    return found
