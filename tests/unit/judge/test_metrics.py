"""Metrics agree with scikit-learn, and say what is wrong with what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as oracle

from keepfit.core.errors import DataInvalid, NotFound, SpecInvalid
from keepfit.core.nouns import Task
from keepfit.judge import metrics
from keepfit.judge.evaluate import Terms, evaluate

N = 400


def _binary(seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    random = np.random.default_rng(seed)
    truth = random.choice(np.array(["no", "yes"], dtype=object), N, p=[0.7, 0.3])
    # two decimals: many ties, as a small tree gives them
    chance = np.round(np.clip(0.3 * random.random(N) + 0.4 * (truth == "yes"), 0, 1), 2).astype(np.float32)
    return truth, {"prediction": np.where(chance > 0.4, "yes", "no").astype(object), "probability": chance}


def _multiclass(seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, N)
    chances = random.dirichlet([1.0, 1.0, 1.0], N).astype(np.float32)
    return truth, {"prediction": chances.argmax(1), "probabilities": chances}


def _point(name: str, task: Task, classes: tuple[Any, ...], truth: np.ndarray, outputs: dict[str, Any]) -> float:
    terms = Terms(task=task, classes=classes, metrics=(name,), resamples=20)
    table = pa.table({"x": np.zeros(len(truth))})
    found = evaluate(truth, outputs, None, table=table, terms=terms).measure(name)
    assert found is not None
    return found.candidate


BINARY: dict[str, Callable[[Any, Any, Any], float]] = {
    "auc": lambda y, p, c: oracle.roc_auc_score(y, c),
    "log_loss": lambda y, p, c: oracle.log_loss(y, c.astype(np.float64), labels=["no", "yes"]),
    "brier": lambda y, p, c: oracle.brier_score_loss(y, c.astype(np.float64), pos_label="yes"),
    "accuracy": lambda y, p, c: oracle.accuracy_score(y, p),
    "f1": lambda y, p, c: oracle.f1_score(y, p, pos_label="yes"),
    "precision": lambda y, p, c: oracle.precision_score(y, p, pos_label="yes"),
    "recall": lambda y, p, c: oracle.recall_score(y, p, pos_label="yes"),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("seed", [1, 2])
def test_binary_metrics_equal_scikit_learn(name: str, seed: int) -> None:
    """A binary metric, ties and text classes included, is what scikit-learn says it is."""
    truth, outputs = _binary(seed)
    expected = BINARY[name](truth, outputs["prediction"], outputs["probability"])
    assert _point(name, Task.BINARY, ("no", "yes"), truth, outputs) == pytest.approx(expected, abs=1e-6)


MULTICLASS: dict[str, Callable[[Any, Any, Any], float]] = {
    "accuracy": lambda y, p, c: oracle.accuracy_score(y, p),
    "log_loss": lambda y, p, c: oracle.log_loss(y, c.astype(np.float64) / c.astype(np.float64).sum(1, keepdims=True)),
    "brier": lambda y, p, c: float(((c - np.eye(3)[y]) ** 2).sum(1).mean()),
    "f1": lambda y, p, c: oracle.f1_score(y, p, average="macro"),
    "precision": lambda y, p, c: oracle.precision_score(y, p, average="macro"),
    "recall": lambda y, p, c: oracle.recall_score(y, p, average="macro"),
}


@pytest.mark.parametrize("name", MULTICLASS)
def test_multiclass_metrics_equal_scikit_learn(name: str) -> None:
    """A multiclass metric averages over classes as scikit-learn's macro average does."""
    truth, outputs = _multiclass(3)
    expected = MULTICLASS[name](truth, outputs["prediction"], outputs["probabilities"])
    assert _point(name, Task.MULTICLASS, (0, 1, 2), truth, outputs) == pytest.approx(expected, abs=1e-6)


REGRESSION: dict[str, Callable[[Any, Any], float]] = {
    "mae": oracle.mean_absolute_error,
    "rmse": oracle.root_mean_squared_error,
    "r2": oracle.r2_score,
}


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_metrics_equal_scikit_learn(name: str) -> None:
    """A regression metric far from zero keeps its digits."""
    random = np.random.default_rng(4)
    truth = 1e6 + random.normal(0, 3, N)
    said = truth + random.normal(0, 1, N)
    found = _point(name, Task.REGRESSION, (), truth, {"prediction": said})
    assert found == pytest.approx(REGRESSION[name](truth, said), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("accuracy", [0.0, 1.0]), ("log_loss", [-np.log(0.75), -np.log(0.25)]), ("brier", [0.0625, 0.5625])],
)
def test_losses_are_per_record_and_lower_is_better(name: str, expected: list[float]) -> None:
    """The loss that stands for a metric has one value per record."""
    outputs = {"prediction": [True, True], "probability": [0.75, 0.75]}
    found = metrics.losses(Task.BINARY, (False, True), [True, False], outputs, name)
    assert found == pytest.approx(expected)


def test_loss_of_auc_falls_back_to_hits_without_probabilities() -> None:
    """A model that gives no probability is still watched, on whether it was right."""
    found = metrics.losses(Task.BINARY, (0, 1), [1, 0], {"prediction": [1, 1]})
    assert found.tolist() == [0.0, 1.0]


def test_certain_and_wrong_is_finite() -> None:
    """A probability of exactly 0 or 1 that is wrong costs much, never infinity."""
    found = metrics.losses(Task.BINARY, (0, 1), [1], {"prediction": [0], "probability": [0.0]}, "log_loss")
    assert found == pytest.approx(-np.log(np.finfo(np.float32).eps))


def test_a_label_the_model_never_saw_counts_as_wrong() -> None:
    """A class that is not among the model's own is a miss with the greatest loss, not an error."""
    outputs = {"prediction": ["a"], "probabilities": [[0.6, 0.4]]}
    assert metrics.losses(Task.MULTICLASS, ("a", "b"), ["c"], outputs, "accuracy").tolist() == [1.0]
    assert metrics.losses(Task.MULTICLASS, ("a", "b"), ["c"], outputs, "log_loss")[0] > 15


def test_what_is_wrong_is_said() -> None:
    """Absent outputs, missing labels, unequal lengths, foreign labels and wrong shapes each have their own sentence."""
    score = metrics.score
    with pytest.raises(DataInvalid, match="expected 'prediction'"):
        score(Task.BINARY, (0, 1), [1], {})
    with pytest.raises(DataInvalid, match="1 of 2 are missing"):
        score(Task.BINARY, (0, 1), [1.0, np.nan], {"prediction": [1, 1]})
    with pytest.raises(DataInvalid, match="1 of 2 are missing"):
        score(Task.REGRESSION, (), [1.0, np.nan], {"prediction": [1, 1]})
    with pytest.raises(DataInvalid, match=r"expected one per label \(1\), found 2"):
        score(Task.BINARY, (0, 1), [1], {"prediction": [1, 1]})
    with pytest.raises(DataInvalid, match="expected values among"):
        score(Task.BINARY, ("no", "yes"), [1], {"prediction": [1]})
    with pytest.raises(DataInvalid, match=r"shape \(n, 3\)"):
        score(Task.MULTICLASS, (0, 1, 2), [1], {"prediction": [1], "probabilities": [[0.5, 0.5]]})


def test_a_metric_of_another_task_is_refused_with_those_that_fit() -> None:
    """Asking a regression for its AUC names the metrics there are instead."""
    with pytest.raises(SpecInvalid, match="use one of: mae, rmse, r2"):
        metrics.fits("auc", Task.REGRESSION)
    with pytest.raises(NotFound, match="no metric 'gini'; there are: auc"):
        metrics.metric("gini")


def test_recorded_outputs_come_back_as_arrays() -> None:
    """The output columns of a Dataset become the arrays a model gave, lists as matrices."""
    table = pa.table({"x": [1, 2], "_out_prediction": ["a", "b"], "_out_probabilities": [[0.9, 0.1], [0.2, 0.8]]})
    found = metrics.outputs_of(table)
    assert list(found) == ["prediction", "probabilities"]
    assert found["probabilities"].tolist() == [[0.9, 0.1], [0.2, 0.8]]
