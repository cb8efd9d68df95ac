"""Evaluate: metrics × slices of a candidate beside an incumbent, with intervals from a paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Digest, Evaluation, Measure, Slice, Task
from keepfit.core.service import Specification
from keepfit.judge import bootstrap
from keepfit.judge.metrics import Classes, Floats, Metric, Scored, default, fits, score, standard
from keepfit.judge.slices import members

ENOUGH = 0.5
"""An interval needs this share of the resamples to be defined (a resample of one class has no AUC)."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is evaluated, on which slices, and how surely.

    `confidence` is the two-sided coverage of the intervals; the seed makes them the same bytes every time.
    """

    task: Task
    classes: Classes = ()
    metrics: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    @classmethod
    def of(cls, specification: Specification, *, resamples: int = 1000) -> Terms:
        """The terms a Specification implies: its metric, the task's own, and those its gates ask for."""
        service, task = specification.service, specification.task
        asked = [str(getattr(gate, "metric", "")) for gate in service.gates]
        names = [service.metric or default(task), *specification.metrics, *standard(task), *asked]
        return cls(
            task=task,
            classes=specification.classes,
            metrics=tuple(dict.fromkeys(name for name in names if name)),
            slices=service.slices,
            confidence=max([0.95, *(float(getattr(gate, "confidence", 0.0)) for gate in service.gates)]),
            resamples=resamples,
            seed=service.recipe.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The digests an Evaluation is about: the Dataset, and the Bundles of candidate and incumbent."""

    dataset: Digest = ""
    candidate: Digest = ""
    incumbent: Digest | None = None


def evaluate(
    truth: Any,
    candidate: Mapping[str, Any],
    incumbent: Mapping[str, Any] | None,
    *,
    table: pa.Table,
    terms: Terms,
    of: Compared | None = None,
) -> Evaluation:
    """Measure every metric on every slice, candidate against incumbent on the same Records.

    `truth` has one label per row of `table` (which the slices are taken from), `candidate` and `incumbent` map output
    names to arrays of as many answers. A metric that is undefined on a slice (one class only, no probabilities) is
    left out, so that a gate on it finds no evidence. Intervals are percentiles of a paired bootstrap: every resample
    weighs each Record by a Poisson(1) count, the same for both models and all slices (Efron 1979; Chamandy et al.
    2012, "Estimating uncertainty for massive data streams").

    >>> table = pa.table({"site": ["a", "b"] * 50})
    >>> truth = np.array([0, 1] * 50)
    >>> good, poor = {"prediction": truth}, {"prediction": np.zeros(100, dtype=np.int64)}
    >>> terms = Terms(task=Task.BINARY, classes=(0, 1), metrics=("accuracy",), slices=(Slice("site"),))
    >>> evaluation = evaluate(truth, good, poor, table=table, terms=terms)
    >>> [(m.slice, m.n, m.difference) for m in evaluation.measures]
    [('all', 100, 0.5), ('site=a', 50, 0.0), ('site=b', 50, 1.0)]
    """
    models = [
        score(terms.task, terms.classes, truth, answers) for answers in (candidate, incumbent) if answers is not None
    ]
    if not len(models[0].truth):
        raise DataInvalid("evaluation: no labelled records to judge on")
    if len(models[0].truth) != table.num_rows:
        raise DataInvalid(f"evaluation: expected {table.num_rows} labels, one per row, found {len(models[0].truth)}")
    asked = [fits(name, terms.task) for name in (terms.metrics or standard(terms.task))]
    metrics = [metric for metric in asked if not metric.probabilistic or all(m.chances is not None for m in models)]
    named = of or Compared()
    measures = _measures(models, metrics, members(terms.slices, table), terms)
    return Evaluation(
        named.dataset,
        named.candidate,
        named.incumbent if len(models) == 2 else None,
        terms.confidence,
        terms.resamples,
        tuple(measures),
    )


def _measures(
    models: Sequence[Scored], metrics: Sequence[Metric], slices: Mapping[str, NDArray[np.bool_]], terms: Terms
) -> list[Measure]:
    rows = [np.flatnonzero(mask) for mask in slices.values()]
    plan = bootstrap.prepare(models, metrics, rows)
    points = plan.points()
    resampled = plan.resample(terms.resamples, terms.seed)
    found = []
    for s, name in enumerate(slices):
        for m, metric in enumerate(metrics):
            measure = _measure(metric, name, len(rows[s]), points[:, s, m], resampled[:, s, m], terms.confidence)
            if measure is not None:
                found.append(measure)
    return found


def _measure(metric: Metric, name: str, n: int, point: Floats, resampled: Floats, confidence: float) -> Measure | None:
    """One Measure; `point` and `resampled` have the candidate first and, where there is one, the incumbent second."""
    sign = 1.0 if metric.higher else -1.0
    draws = resampled[0] if len(point) == 1 else sign * (resampled[0] - resampled[1])
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(point).all() or len(draws) < max(1.0, ENOUGH * resampled.shape[1]):
        return None
    tail = (1.0 - confidence) / 2.0
    low, high = (float(bound) for bound in np.quantile(draws, [tail, 1.0 - tail]))
    if len(point) == 1:
        return Measure(metric.name, name, n, float(point[0]), None, None, low, high)
    difference = float(sign * (point[0] - point[1])) + 0.0
    return Measure(metric.name, name, n, float(point[0]), float(point[1]), difference, low, high)
