"""Update: parent Version + Dataset + Recipe → a candidate's Bundle."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, Refused
from keepfit.core.nouns import Base, Bundle, Task
from keepfit.core.protocols import Learner
from keepfit.core.service import Specification
from keepfit.learn import bundles
from keepfit.learn.learners import Refit, WarmStart, cloned, threaded
from keepfit.learn.native import threads
from keepfit.learn.tables import arrays, frame, labels


def update(
    specification: Specification,
    estimator: Any,
    *,
    train: pa.Table,
    holdout: pa.Table,
    parent: Path | None,
    code: Path | None,
    into: Path,
) -> Bundle:
    """Learn from the rows of `train` as the Recipe says and write the whole Bundle directory `into`.

    `parent` is the Bundle directory of the Version in use, `code` the snapshot needed to load pickles. Raises Refused
    where nothing can be learnt: no rows, one class only, an estimator that raises, answers that are not finite.
    """
    recipe = specification.service.recipe
    y = labels(train, specification.label)
    _check_labels(specification, y)
    learner: Learner = recipe.learner or (WarmStart() if recipe.base is Base.WARM else Refit())
    goes_on = recipe.base is Base.WARM or not isinstance(learner, Refit)
    with threads(recipe.resources.threads):
        before = opened(parent) if parent is not None and goes_on else None
        fitted = _learnt(
            specification,
            learner,
            estimator,
            frame(arrays(train, specification.inputs), specification.inputs),
            y,
            before,
        )
        threaded(fitted, 1)  # predictions are asked for row by row, where starting threads costs more than it gives
        return bundles.make(fitted, specification, train=train, holdout=holdout, code=code, into=into)


def _check_labels(specification: Specification, y: NDArray[Any]) -> None:
    if not len(y):
        raise Refused("there is no row to train on; wait for labels or widen the recipe's window")
    if specification.task is Task.REGRESSION:
        if not np.isfinite(y.astype(np.float64)).all():
            raise Refused("some labels are NaN or infinite; check the data before training on it")
        return
    present = set(np.unique(y).tolist())
    if len(present) < 2:
        raise Refused(f"all {len(y)} training rows have the label {present.pop()!r}; a classifier needs two classes")
    new = sorted(present - set(specification.classes))
    if new:
        raise Refused(
            f"labels {new[:5]} are none of the classes {list(specification.classes)}; apply the service again"
        )


def _learnt(specification: Specification, learner: Learner, estimator: Any, X: Any, y: Any, before: Any) -> Any:
    recipe = specification.service.recipe
    prepared = threaded(cloned(estimator), recipe.resources.threads)
    if before is not None:
        threaded(before, recipe.resources.threads)
    try:
        fitted = learner.learn(prepared, X, y, parent=before, memory=None, seed=recipe.seed)
    except KeepfitError:
        raise
    except Exception as error:
        raise Refused(f"{type(estimator).__name__} could not learn: {type(error).__name__}: {error}") from error
    if specification.task is not Task.REGRESSION and not hasattr(fitted, "classes_"):
        raise Refused(f"{type(fitted).__name__} has no classes_ after fitting; classifiers need it")
    return fitted


def opened(directory: Path) -> Any:
    """The fitted estimator of a Bundle; runs its pickle, so only workers and a model's own process may call this."""
    code = str(directory / "code")
    if Path(code).is_dir() and code not in sys.path:
        sys.path.append(code)  # last: what the worker has already imported goes first
    try:
        with (directory / "estimator.pickle").open("rb") as file:
            return pickle.load(file)  # noqa: S301  # a verified Bundle, inside a worker
    except Exception as error:
        raise Refused(f"the parent's estimator cannot be loaded: {type(error).__name__}: {error}") from error
