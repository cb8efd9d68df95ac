"""Outlook: what an update would gain and cost, from learning on small parts of its rows (`learn.curve`)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa

from keepfit.core.errors import KeepfitError
from keepfit.core.nouns import LABEL, Lesson
from keepfit.core.registry import from_plain
from keepfit.judge.evaluate import Terms
from keepfit.judge.metrics import losses
from keepfit.learn.curve import Trial, extrapolate
from keepfit.learn.estimators import cloned, threaded
from keepfit.learn.learners import Refit
from keepfit.learn.native import answers, fitting, threads
from keepfit.learn.tables import arrays, frame, labels
from keepfit.loop.pipeline import Made
from keepfit.loop.workplace import Workplace, values_of

_PARTS = (1 / 16, 1 / 8, 1 / 4)
_FEWEST = 20  # rows; of fewer nothing is learnt that could be extrapolated


def outlook(place: Workplace, estimator: Any, incumbent: dict[str, Any] | None) -> Made:
    """The expected `gain` (share of the incumbent's loss) and `cpu_seconds` of a training, with the trials behind it.

    `incumbent` is what the live Version answers on the held-out rows. An outlook that fails says why and hopes for
    nothing: whether the update is refused is for the training to find out.
    """
    try:
        return Made({}, _outlook(place, estimator, incumbent))
    except Exception as error:  # noqa: BLE001  # user code may raise anything; the training will say the same
        reason = str(error) if isinstance(error, KeepfitError) else f"{type(error).__name__}: {error}"
        return Made({}, {"gain": 0.0, "cpu_seconds": 0.0, "reason": reason})


def _outlook(place: Workplace, estimator: Any, incumbent: dict[str, Any] | None) -> dict[str, Any]:
    rows, holdout = place.table("train"), place.table("holdout")
    order = np.random.default_rng(place.specification.service.recipe.seed).permutation(rows.num_rows)
    sizes = sorted({max(_FEWEST, round(part * rows.num_rows)) for part in _PARTS if part * rows.num_rows >= _FEWEST})
    if len(sizes) < 2:
        sizes = [max(2, rows.num_rows // 2), rows.num_rows]
    trials = [_trial(place, estimator, rows.take(np.sort(order[:size])), holdout) for size in sizes]
    whole = extrapolate(trials, rows.num_rows)
    before = _loss(place, holdout, incumbent) if incumbent is not None else 0.0
    gain = (before - whole.loss) / before if before > 0.0 else 0.0
    tried = [[trial.rows, trial.loss, trial.cpu_seconds] for trial in trials]
    return {"gain": gain, "cpu_seconds": whole.cpu_seconds, "loss": whole.loss, "before": before, "trials": tried}


def _trial(place: Workplace, estimator: Any, rows: pa.Table, holdout: pa.Table) -> Trial:
    specification = place.specification
    recipe = specification.service.recipe
    learner = recipe.learner or Refit()
    given = frame(arrays(rows, specification.inputs), specification.inputs)
    truth = labels(rows, specification.label)
    began = time.process_time()
    with threads(recipe.resources.threads):
        prepared = threaded(cloned(estimator), fitting(recipe.resources.threads))
        lesson = Lesson(X=given, y=truth, classes=specification.classes, seed=recipe.seed)
        model = learner.learn(prepared, lesson).model
        spent = time.process_time() - began
        said = answers(model, specification, arrays(holdout, specification.inputs))
    return Trial(rows.num_rows, _loss(place, holdout, said), spent)


def _loss(place: Workplace, holdout: pa.Table, said: dict[str, Any]) -> float:
    terms = from_plain(Terms, place.work.parameters["terms"])
    found = losses(terms.task, terms.classes, values_of(holdout[LABEL]), said, place.work.parameters["metric"])
    return float(np.mean(found))
