"""Metrics: how good a model's answers are, as one number, and as a loss per record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid, NotFound, SpecInvalid
from keepfit.core.nouns import OUTPUT_PREFIX, Task

Floats = NDArray[np.float64]
Classes = tuple[str | int | bool, ...]

CLIP = float(np.finfo(np.float32).eps)
"""Probabilities are kept this far from 0 and 1 under a logarithm; they are FP32, so nothing finer is known."""


@dataclass(frozen=True)
class Scored:
    """What one model answered beside the truth, both as numbers; row i of each array is Record i.

    For a class label `truth` and `prediction` are indexes into the classes, -1 for one that is not among them, and
    `chances` has the shape (n, classes), None where the model gives none. For REGRESSION they are float64 values.
    """

    task: Task
    truth: NDArray[Any]
    prediction: NDArray[Any]
    chances: Floats | None = None
    classes: int = 0


@dataclass(frozen=True)
class Metric:
    """A metric as `finish(sums of parts over records, n)`, so that it can be resampled; None of both: it is ranked.

    `parts` has the shape (n, k); `finish` takes sums of shape (..., k) and counts of shape (...). `loss` is the
    per-record loss that stands for the metric where one value per Record is needed. `higher` says that more is better.
    """

    name: str
    higher: bool
    tasks: tuple[Task, ...]
    loss: Callable[[Scored], Floats]
    parts: Callable[[Scored], Floats] | None = None
    finish: Callable[[Floats, Floats], Floats] | None = None
    probabilistic: bool = False


def score(task: Task, classes: Classes, truth: Any, outputs: Mapping[str, Any]) -> Scored:
    """Put a model's outputs (`prediction`, `probability` or `probabilities`) beside the truth, record by record.

    DataInvalid where an output is absent, a label is missing, or lengths differ.
    """
    if "prediction" not in outputs:
        raise DataInvalid(f"outputs: expected 'prediction' among them, found {sorted(outputs)}")
    actual, predicted = np.asarray(truth), np.asarray(outputs["prediction"])
    if len(actual) != len(predicted):
        raise DataInvalid(f"outputs: expected one per label ({len(actual)}), found {len(predicted)}")
    if task is Task.REGRESSION:
        values = actual.astype(np.float64)
        if np.isnan(values).any():
            raise DataInvalid(f"labels: {int(np.isnan(values).sum())} of {len(values)} are missing; drop those records")
        return Scored(task, values, predicted.astype(np.float64))
    return Scored(
        task, _codes(actual, classes), _codes(predicted, classes), _chances(task, classes, outputs), len(classes)
    )


def _codes(values: NDArray[Any], classes: Classes) -> NDArray[np.int64]:
    found = pa.array(values, from_pandas=True)
    if found.null_count:
        raise DataInvalid(f"labels: {found.null_count} of {len(found)} are missing; drop those records")
    try:
        known = pa.array(classes).cast(found.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataInvalid(f"labels: expected values among {list(classes)}, found {found.type}") from error
    codes = pc.fill_null(pc.index_in(found, known), -1)
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def _chances(task: Task, classes: Classes, outputs: Mapping[str, Any]) -> Floats | None:
    if task is Task.BINARY:
        if "probability" not in outputs:
            return None
        last = np.asarray(outputs["probability"], dtype=np.float64)
        return np.column_stack([1.0 - last, last])
    if "probabilities" not in outputs:
        return None
    found = np.asarray(outputs["probabilities"], dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != len(classes):
        raise DataInvalid(f"outputs: expected 'probabilities' of shape (n, {len(classes)}), found {found.shape}")
    return found


def outputs_of(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The outputs recorded in a Dataset (its `_out_*` columns), by output name; lists become arrays (n, k)."""
    return {
        name.removeprefix(OUTPUT_PREFIX): _column(table.column(name))
        for name in table.column_names
        if name.startswith(OUTPUT_PREFIX)
    }


def _column(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        flat = pc.list_flatten(column).to_numpy(zero_copy_only=False)
        return np.asarray(flat.reshape(len(column), -1))
    return np.asarray(column.to_numpy(zero_copy_only=False))


def metric(name: str) -> Metric:
    """The metric of that name; NotFound lists the names there are."""
    if name not in METRICS:
        raise NotFound(f"no metric {name!r}; there are: {', '.join(METRICS)}")
    return METRICS[name]


def default(task: Task) -> str:
    """The metric decisions are made on when a Service names none.

    >>> default(Task.BINARY), default(Task.REGRESSION)
    ('auc', 'mae')
    """
    return standard(task)[0]


def standard(task: Task) -> tuple[str, ...]:
    """The metrics every Evaluation of a task has, the default one first."""
    match task:
        case Task.BINARY:
            return ("auc", "log_loss", "accuracy", "brier")
        case Task.MULTICLASS:
            return ("accuracy", "log_loss", "f1")
        case Task.REGRESSION:
            return ("mae", "rmse", "r2")


def fits(name: str, task: Task) -> Metric:
    """The metric of that name, which must be one for the task; SpecInvalid names those that are."""
    found = metric(name)
    if task not in found.tasks:
        fit = [other.name for other in METRICS.values() if task in other.tasks]
        raise SpecInvalid(f"metric {name!r} is not defined for a {task} label; use one of: {', '.join(fit)}")
    return found


def losses(task: Task, classes: Classes, truth: Any, outputs: Mapping[str, Any], metric: str = "") -> Floats:
    """The loss of each Record, shape (n,), lower is better: what decay is watched on.

    Log-loss for `auc` and `log_loss`, squared error of the probability for `brier`, 0 or 1 for the metrics that count
    hits, absolute error for `mae`, squared error for `rmse` and `r2`. `metric` "" is the task's default.

    >>> losses(Task.BINARY, (0, 1), [1, 0, 1], {"prediction": [1, 1, 1]}, "accuracy").tolist()
    [0.0, 1.0, 0.0]
    """
    chosen = fits(metric or default(task), task)
    scored = score(task, classes, truth, outputs)
    if chosen.probabilistic and scored.chances is None:
        return _miss(scored)
    return chosen.loss(scored)


def _miss(scored: Scored) -> Floats:
    return np.asarray(scored.truth != scored.prediction, dtype=np.float64)


def _chances_of(scored: Scored) -> Floats:
    if scored.chances is None:
        raise DataInvalid("outputs: this metric needs 'probability' or 'probabilities', and the model gives none")
    return scored.chances


def _log_loss(scored: Scored) -> Floats:
    chances = _chances_of(scored)
    own = np.where(scored.truth >= 0, chances[np.arange(len(chances)), np.maximum(scored.truth, 0)], 0.0)
    return np.asarray(-np.log(np.clip(own, CLIP, 1.0 - CLIP)), dtype=np.float64)


def _brier(scored: Scored) -> Floats:
    chances = _chances_of(scored)
    truth = scored.truth[:, None] == np.arange(chances.shape[1])
    halves = 2.0 if scored.task is Task.BINARY else 1.0
    return np.asarray(((chances - truth) ** 2).sum(axis=1) / halves, dtype=np.float64)


def _error(scored: Scored) -> Floats:
    return np.asarray(scored.prediction - scored.truth, dtype=np.float64)


def _absolute(scored: Scored) -> Floats:
    return np.abs(_error(scored))


def _squared(scored: Scored) -> Floats:
    return _error(scored) ** 2


def _spread(scored: Scored) -> Floats:
    centred = scored.truth - scored.truth.mean() if len(scored.truth) else scored.truth
    return np.column_stack([_squared(scored), centred, centred**2])


def _confusions(scored: Scored) -> Floats:
    """Per class of interest: hits, false alarms, misses; the classes of interest are the last one, or all."""
    interest = np.array([1]) if scored.task is Task.BINARY else np.arange(scored.classes)
    truth, said = scored.truth[:, None] == interest, scored.prediction[:, None] == interest
    return np.concatenate([truth & said, ~truth & said, truth & ~said], axis=1).astype(np.float64)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """The quotient, 0 where nothing was counted, averaged over the classes of interest."""
    return np.asarray(np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0).mean(axis=-1))


def _f1(sums: Floats, count: Floats) -> Floats:
    hits, alarms, misses = np.split(sums, 3, axis=-1)
    return _ratio(2 * hits, 2 * hits + alarms + misses)


def _precision(sums: Floats, count: Floats) -> Floats:
    hits, alarms, _ = np.split(sums, 3, axis=-1)
    return _ratio(hits, hits + alarms)


def _recall(sums: Floats, count: Floats) -> Floats:
    hits, _, misses = np.split(sums, 3, axis=-1)
    return _ratio(hits, hits + misses)


def _mean(sums: Floats, count: Floats) -> Floats:
    return np.asarray(sums[..., 0] / count)


def _root(sums: Floats, count: Floats) -> Floats:
    return np.sqrt(_mean(sums, count))


def _share(sums: Floats, count: Floats) -> Floats:
    return 1.0 - _mean(sums, count)


def _determination(sums: Floats, count: Floats) -> Floats:
    return np.asarray(1.0 - sums[..., 0] / (sums[..., 2] - sums[..., 1] ** 2 / count))


def _single(loss: Callable[[Scored], Floats]) -> Callable[[Scored], Floats]:
    return lambda scored: loss(scored)[:, None]


_CLASSES = (Task.BINARY, Task.MULTICLASS)

METRICS: dict[str, Metric] = {
    found.name: found
    for found in (
        Metric("auc", True, (Task.BINARY,), _log_loss, probabilistic=True),
        Metric("log_loss", False, _CLASSES, _log_loss, _single(_log_loss), _mean, probabilistic=True),
        Metric("brier", False, _CLASSES, _brier, _single(_brier), _mean, probabilistic=True),
        Metric("accuracy", True, _CLASSES, _miss, _single(_miss), _share),
        Metric("f1", True, _CLASSES, _miss, _confusions, _f1),
        Metric("precision", True, _CLASSES, _miss, _confusions, _precision),
        Metric("recall", True, _CLASSES, _miss, _confusions, _recall),
        Metric("mae", False, (Task.REGRESSION,), _absolute, _single(_absolute), _mean),
        Metric("rmse", False, (Task.REGRESSION,), _squared, _single(_squared), _root),
        Metric("r2", True, (Task.REGRESSION,), _squared, _spread, _determination),
    )
}
"""Every metric by name: area under the ROC curve (ties count half), log-loss, Brier score (Brier 1950), accuracy, F1,
precision and recall (of the last class, or averaged over classes), mean absolute error, root mean squared error, R²."""
