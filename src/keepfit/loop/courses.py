"""Courses: how good the answers of one policy were, chunk by chunk, and what the simple policies would have answered.

*never* fits once on all of the first data; *every N* fits anew at every Nth chunk, by the same Recipe but with nothing
held out and nothing judged, and is live at that very moment; *last label* repeats the newest label known. Where all
rows to fit on are of one class, the model before goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.nouns import LABEL, RECORD_ID, Base, Learnt, Lesson, Task
from keepfit.core.service import Selection, Specification
from keepfit.judge import bootstrap
from keepfit.judge.metrics import METRICS, score
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.native import answers, threads
from keepfit.learn.tables import arrays, frame, labels
from keepfit.loop.choosing import needs_parent, selected
from keepfit.loop.history import History, window_of

Answers = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Course:
    """One policy over the whole history.

    `total` and `chunks` are the metric by name, over everything and per chunk (NaN where it is undefined). `updates`
    counts trainings after the first, `rows` all rows trained on; `loss` is the mean loss per Record that stands for the
    metric, NaN where the answers have none; `cpu_seconds` is measured and differs between runs.
    """

    name: str
    total: dict[str, float]
    chunks: dict[str, tuple[float, ...]]
    updates: int = 0
    swaps: int = 0
    rows: int = 0
    cpu_seconds: float = 0.0
    loss: float = math.nan


def shown(specification: Specification) -> tuple[str, ...]:
    """The metrics of a course: the Service's own, and the one that answers without probabilities have too."""
    plain = "mae" if specification.task is Task.REGRESSION else "accuracy"
    return tuple(dict.fromkeys((specification.service.metric or plain, plain)))


def course(name: str, outputs: Answers, past: History, specification: Specification, **counts: float | int) -> Course:
    """Measure the answers to every row of a history."""
    metrics = [METRICS[name] for name in shown(specification)]
    scored = score(specification.task, specification.classes, values(past.rows[LABEL]), outputs)
    possible = [metric for metric in metrics if scored.chances is not None or not metric.probabilistic]
    places = [np.arange(chunk.start, chunk.end) for chunk in past.chunks]
    points = bootstrap.prepare([scored], possible, [np.arange(past.rows.num_rows), *places]).points()[0]
    found = {metric.name: points[:, place] for place, metric in enumerate(possible)}
    unknown = np.full(1 + len(places), np.nan)
    by_name = {metric.name: found.get(metric.name, unknown) for metric in metrics}
    return Course(
        name,
        {key: float(value[0]) for key, value in by_name.items()},
        {key: tuple(float(one) for one in value[1:]) for key, value in by_name.items()},
        loss=math.nan if scored.chances is None and metrics[0].probabilistic else float(metrics[0].loss(scored).mean()),
        **counts,  # type: ignore[arg-type]  # fields of Course
    )


def values(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of labels as an array."""
    array: NDArray[Any] = column.combine_chunks().to_numpy(zero_copy_only=False)
    return array


@dataclass
class _Policy:
    """A simple policy on its way: how often it fits, what it learnt last, what that cost."""

    every: int
    learnt: Learnt | None = None
    updates: int = 0
    rows: int = 0
    spent: float = 0.0
    parts: list[Answers] = field(default_factory=list)
    answered: int = 0
    seen: tuple[pa.Table, ...] = ()

    @property
    def fitted(self) -> Any:
        """The model that answers; None before the first."""
        return self.learnt.model if self.learnt else None

    @property
    def name(self) -> str:
        return f"every {self.every}" if self.every else "never"

    def answer(self, past: History, specification: Specification, *, until: int) -> None:
        """Answer the rows up to this one that it has not answered yet, all at once: they have the same model."""
        rows = past.rows.slice(self.answered, until - self.answered)
        if rows.num_rows:
            self.parts.append(answers(self.fitted, specification, arrays(rows, specification.inputs)))
            self.answered = until


def baselines(
    past: History,
    source: pa.Table,
    specification: Specification,
    *,
    estimator: Any,
    periods: Sequence[int],
    cpu_clock: Callable[[], float],
) -> tuple[Course, ...]:
    """The courses of *never*, *every N* for each of `periods`, and *last label*."""
    fitter = _Fitter(specification, estimator, cpu_clock)
    policies = [_Policy(every) for every in (0, *periods)]
    for number, chunk in enumerate(past.chunks):
        fitter.forget()
        for policy in policies:
            if not number or (policy.every and number % policy.every == 0):
                policy.answer(past, specification, until=chunk.start)
                known = pa.concat_tables([source, past.known_before(number).cast(source.schema)]) if number else source
                window = window_of(known, specification.service.recipe.window) if number else source
                if not number or can_be_learnt(specification, labels(window, specification.label)):
                    fitter.fit(policy, _chosen(policy, window, specification, fitter))
                    policy.seen = (window,)
    for policy in policies:
        policy.answer(past, specification, until=past.rows.num_rows)
    fitted = tuple(_finished(policy, past, specification) for policy in policies)
    return (*fitted, course("last label", _last_label(past, source), past, specification))


def can_be_learnt(specification: Specification, truth: NDArray[Any]) -> bool:
    """Whether labels have anything to tell: numbers, or more than one class."""
    return specification.task is Task.REGRESSION or len(np.unique(truth)) > 1


def _chosen(policy: _Policy, window: pa.Table, specification: Specification, fitter: _Fitter) -> pa.Table:
    """The rows of a window that the Recipe's Selection takes, for the model that a policy fitted last."""
    selection = specification.service.recipe.selection
    if selection == Selection():
        return window
    outputs: Answers = {}
    if needs_parent(selection):
        fitter.forget()  # policies with other parents choose other rows
        if policy.fitted is not None:
            outputs = answers(policy.fitted, specification, arrays(window, specification.inputs))
    return selected(window, specification, seen=policy.seen, outputs=outputs)


def _finished(policy: _Policy, past: History, specification: Specification) -> Course:
    outputs = {name: np.concatenate([part[name] for part in policy.parts]) for name in policy.parts[0]}
    return course(
        policy.name,
        outputs,
        past,
        specification,
        updates=policy.updates - 1,
        swaps=policy.updates - 1,
        rows=policy.rows,
        cpu_seconds=policy.spent,
    )


class _Fitter:
    """Fits by the Recipe; policies that fit on the same rows at the same chunk share the model, and each its cost."""

    def __init__(self, specification: Specification, estimator: Any, cpu_clock: Callable[[], float]) -> None:
        recipe = specification.service.recipe
        self._specification = specification
        self._estimator = estimator
        self._learner = recipe.learner or (WarmStart() if recipe.base is Base.WARM else Refit())
        self._clock = cpu_clock
        self._made: tuple[Learnt, float] | None = None

    def forget(self) -> None:
        """Another chunk: what is known has changed."""
        self._made = None

    def fit(self, policy: _Policy, rows: pa.Table) -> None:
        """Give the policy a new model."""
        if self._made is None or not isinstance(self._learner, Refit):
            self._made = self._fitted(policy.learnt, rows)
        policy.learnt, spent = self._made
        policy.updates += 1
        policy.rows += rows.num_rows
        policy.spent += spent

    def _fitted(self, before: Learnt | None, rows: pa.Table) -> tuple[Learnt, float]:
        specification = self._specification
        recipe = specification.service.recipe
        given = frame(arrays(rows, specification.inputs), specification.inputs)
        began = self._clock()
        with threads(recipe.resources.threads):
            truth, classes = labels(rows, specification.label), specification.classes
            lesson = Lesson(
                X=given,
                y=truth,
                ids=tuple(rows[RECORD_ID].to_pylist()),
                classes=classes,
                parent=before.model if before else None,
                memory=before.memory if before else None,
                seed=recipe.seed,
            )
            learnt = self._learner.learn(self._estimator, lesson)
        return learnt, self._clock() - began


def _last_label(past: History, source: pa.Table) -> Answers:
    """For each row the newest label known when its chunk was answered."""
    truth, said = values(past.rows[LABEL]), []
    newest = values(source[LABEL])[-1]
    for number, chunk in enumerate(past.chunks):
        known = np.flatnonzero(past.known < number)
        last = truth[known[-1]] if len(known) else newest
        said += [last] * (chunk.end - chunk.start)
    return {"prediction": np.array(said, dtype=truth.dtype)}
