"""Update: parent Version + Dataset + Recipe → a candidate's Bundle."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, Refused, StorageFault
from keepfit.core.nouns import RECORD_ID, Base, Bundle, Learnt, Lesson, Task
from keepfit.core.own import Own
from keepfit.core.protocols import Learner
from keepfit.core.service import Specification
from keepfit.learn import bundles
from keepfit.learn import memory as memories
from keepfit.learn.estimators import cloned, threaded
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.lessons import newest
from keepfit.learn.native import fitting, own_classes, threads
from keepfit.learn.tables import arrays, frame, labels, numpy_type

_OTHER = "another_signature"


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Directories of an update: read are the `parent` Version's Bundle, the `memory` it left and the `code` snapshot.

    Written are the Bundle (`into`), the memory to go on with (`left`) and what an interrupted attempt may be continued
    from (`checkpoint`).
    """

    into: Path
    left: Path
    parent: Path | None = None
    memory: Path | None = None
    code: Path | None = None
    checkpoint: Path | None = None


def update(
    specification: Specification, estimator: Any, *, train: pa.Table, holdout: pa.Table, folders: Folders
) -> Bundle:
    """Learn from the rows of `train` as the Recipe says, write the whole Bundle directory, and what is remembered.

    Raises Refused where nothing can be learnt: no rows, one class only, an estimator that raises, answers that are not
    finite or do not fit the Signature, a memory that another learner wrote. StorageFault where the disk has no room.
    """
    recipe = specification.service.recipe
    y = labels(train, specification.label)
    _check_labels(specification, y)
    learner: Learner = recipe.learner or (WarmStart() if recipe.base is Base.WARM else Refit())
    learner = learner.made() if isinstance(learner, Own) else learner
    goes_on = recipe.base is Base.WARM or not isinstance(learner, Refit)
    kind = type(learner).__name__
    with threads(recipe.resources.threads):
        lesson = Lesson(
            X=frame(arrays(train, specification.inputs), specification.inputs),
            y=y,
            ids=tuple(train[RECORD_ID].to_pylist()) if RECORD_ID in train.column_names else (),
            classes=specification.classes,
            parent=opened(folders.parent) if folders.parent is not None and goes_on else None,
            memory=memories.load(folders.memory, kind) if folders.memory is not None and goes_on else None,
            seed=recipe.seed,
            checkpoint=folders.checkpoint,
        )
        learnt = _learnt(specification, learner, estimator, lesson)
        threaded(learnt.model, 1)  # predictions are asked for row by row: starting threads costs more than it gives
        try:
            if learnt.memory is not None:
                memories.save(learnt.memory, folders.left)
            return bundles.make(
                learnt.model, specification, train=train, holdout=holdout, code=folders.code, into=folders.into
            )
        except OSError as error:
            raise StorageFault(
                f"the candidate cannot be written to {folders.into.parent}: {error}; make room"
            ) from error


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


def _learnt(specification: Specification, learner: Learner, estimator: Any, lesson: Lesson) -> Learnt:
    allowed = fitting(specification.service.recipe.resources.threads)
    prepared = threaded(cloned(estimator), allowed)
    if lesson.parent is not None:
        threaded(lesson.parent, allowed)
    try:
        learnt = learner.learn(prepared, lesson)
    except KeepfitError:
        raise
    except Exception as error:
        raise Refused(f"{type(estimator).__name__} could not learn: {type(error).__name__}: {error}") from error
    _check_signature(specification, learnt.model, lesson)
    return learnt


def _check_signature(specification: Specification, model: Any, lesson: Lesson) -> None:
    """What a learner returns must answer what the Service promises: its classes, or numbers, one per row."""
    name, few = type(model).__name__, newest(lesson, 5)
    if specification.task is not Task.REGRESSION:
        if not hasattr(model, "classes_"):
            raise Refused(f"{name} has no classes_ after fitting; classifiers need it")
        foreign = [one for one in own_classes(model) if one not in specification.classes]
        if foreign:
            promised = list(specification.classes)
            raise Refused(f"{name} tells classes {foreign[:5]}, the Signature promises {promised}", code=_OTHER)
    try:
        said = np.asarray(model.predict(few.X))
        said.reshape(-1).astype(numpy_type(specification.outputs[0].dtype))
    except Exception as error:
        raise Refused(
            f"{name} cannot answer rows of this Service ({type(error).__name__}: {error})", code=_OTHER
        ) from error
    if said.size != len(few.y):
        raise Refused(f"{name} answers {len(few.y)} rows with shape {said.shape}, expected one each", code=_OTHER)


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
