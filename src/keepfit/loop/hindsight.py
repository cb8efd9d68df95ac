"""Hindsight: what each model that could have been made would have lost on each chunk after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from keepfit.core.nouns import LABEL
from keepfit.core.service import Selection, Specification
from keepfit.judge.metrics import default, losses
from keepfit.learn.estimators import cloned, seeded
from keepfit.learn.native import answers, threads
from keepfit.learn.tables import arrays, frame, labels
from keepfit.loop.choosing import needs_parent, selected
from keepfit.loop.courses import can_be_learnt, values
from keepfit.loop.history import History, window_of
from keepfit.loop.oracle import Floats


def losses_by_model(past: History, source: pa.Table, specification: Specification, *, estimator: Any) -> Floats:
    """The matrix for the oracle: `[u, t]` is the summed loss on chunk t of the model fitted before chunk u.

    Each model is fitted anew on the labels known then, by the Recipe's window, seed and Selection; its learner is not
    asked, since what that makes depends on the schedule. Choices that look at a parent take the newest rows. Where all
    rows are of one class there is nothing to fit, and the model before goes on. The loss is that which stands for the
    Service's metric (see `judge.metrics.losses`).
    """
    recipe = specification.service.recipe
    metric = specification.service.metric or default(specification.task)
    truth = values(past.rows[LABEL])
    starts = np.array([chunk.start for chunk in past.chunks])
    made = np.zeros((len(past.chunks), len(past.chunks)))
    for number, chunk in enumerate(past.chunks):
        rows = source
        if number:
            rows = window_of(pa.concat_tables([source, past.known_before(number).cast(source.schema)]), recipe.window)
        if recipe.selection != Selection() and not needs_parent(recipe.selection):
            rows = selected(rows, specification)
        known = labels(rows, specification.label)
        if not number or can_be_learnt(specification, known):
            model = seeded(cloned(estimator), recipe.seed)
            with threads(recipe.resources.threads):
                model.fit(frame(arrays(rows, specification.inputs), specification.inputs), known)
        later = arrays(past.rows.slice(chunk.start), specification.inputs)
        outputs = answers(model, specification, later)
        lost = losses(specification.task, specification.classes, truth[chunk.start :], outputs, metric)
        made[number, number:] = np.add.reduceat(lost, starts[number:] - chunk.start)
    return made
