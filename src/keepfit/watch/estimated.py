"""Performance before labels come: what calibrated probabilities say a model's answers are worth.

Confidence-based performance estimation, as NannyML describes it: a calibrated probability is the expected share of
each cell of the confusion matrix, so the matrix of a window can be expected without one label, and every metric of it.
It holds while the probabilities mean what they meant: inputs may move, labels given the inputs may not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.watch.calibration import Calibration, calibrate
from keepfit.watch.curves import explained, influence, smooth

Floats = NDArray[np.float64]
Samples = Mapping[str, NDArray[Any]]

ERRORS = 3.0
"""Bands and alarms are so many standard errors wide."""

_DRAWS = 200
_LEAST = 30


@dataclass(frozen=True)
class Answers:
    """What a binary model said, shape (n,): the probability of its positive class, and whether it predicted that."""

    probability: Floats
    positive: NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A metric of a window as it is to be expected, its band, and what it was on the reference.

    `error` is the standard error of what will come out when the labels of the window are there. Of some metrics more is
    better (`higher`), and those are between 0 and 1.
    """

    metric: str
    value: float
    error: float
    reference: float
    n_reference: int
    n_window: int
    higher: bool = True

    @property
    def low(self) -> float:
        """The lower end of the band; no metric here is below 0."""
        return max(0.0, self.value - ERRORS * self.error)

    @property
    def high(self) -> float:
        """The upper end of the band."""
        end = self.value + ERRORS * self.error
        return min(1.0, end) if self.higher else end

    @property
    def is_out_of_line(self) -> bool:
        """Whether the estimate is more than ERRORS standard errors away from the reference."""
        return abs(self.value - self.reference) > ERRORS * self.error

    @property
    def is_worse(self) -> bool:
        """Whether it is out of line on the bad side."""
        return self.is_out_of_line and (self.value < self.reference) is self.higher


def estimate(reference: Answers, truth: Floats, window: Answers) -> tuple[Estimate, ...]:
    """Accuracy, precision, recall, F1 and AUC to be expected of a window.

    `truth` says of each row of the reference whether it came out positive (0 or 1). DataInvalid where there are fewer
    than 30 rows on a side, or all of the reference came out alike.
    """
    _require(reference, truth, window)
    chance = calibrate(reference.probability, truth)(window.probability)
    errors = _errors(reference, truth, window.probability.size)
    return tuple(
        Estimate(
            name,
            metric(chance, window),
            errors[name],
            metric(truth, reference),
            reference.probability.size,
            window.probability.size,
        )
        for name, metric in METRICS.items()
    )


def estimated_accuracy(
    confidence: Floats, right: Floats, window: Floats, *, calibration: Calibration | None = None
) -> Estimate:
    """The accuracy to be expected of any classifier, from its probability of the class it predicted.

    `right` says of each row of the reference whether the prediction was right (0 or 1).
    """
    chance = (calibration or calibrate(confidence, right))(window)
    spread = float(right.std())
    error = spread * (1 / max(1, window.size) + 1 / max(1, right.size)) ** 0.5
    return Estimate("accuracy", float(chance.mean()), error, float(right.mean()), right.size, window.size)


def estimated_loss(before: Samples, loss: Floats, window: Samples) -> Estimate:
    """The mean loss to be expected of rows, by the losses of rows before with such inputs.

    Direct loss estimation, for models that give no probabilities; inputs are taken one by one, along smooth curves. The
    error is that of the curves (White's, of unequal variances) and that of so few rows with such inputs.
    """
    size = next((values.size for values in window.values()), 0)
    _require_rows(loss.size, size)
    curves = smooth(before, window)
    rest, _ = explained(curves, (loss[:, None], np.zeros((size, 1))), np.ones(loss.size))
    squares, counts = rest[:, 0] ** 2, influence(curves)
    noise = max(float(counts @ squares), 0.0) / size
    error = (float(counts**2 @ squares) + noise) ** 0.5
    return Estimate("loss", float(counts @ loss), error, float(loss.mean()), loss.size, size, higher=False)


def _require(reference: Answers, truth: Floats, window: Answers) -> None:
    _require_rows(truth.size, window.probability.size)
    if truth.min() == truth.max():
        raise DataInvalid("all rows of the reference have one label, so probabilities cannot be calibrated on them")
    if truth.size != reference.probability.size:
        raise DataInvalid(f"expected a truth per row, found {truth.size} for {reference.probability.size}")


def _require_rows(*sizes: int) -> None:
    if min(sizes) < _LEAST:
        raise DataInvalid(f"expected at least {_LEAST} rows to estimate performance with, found {min(sizes)}")


def _errors(reference: Answers, truth: Floats, size: int) -> Mapping[str, float]:
    """The standard error of each metric of `size` rows, and of what the reference itself tells of them."""
    random = np.random.default_rng(0)
    count = truth.size
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(_DRAWS):
        rows = random.integers(0, count, min(size, 5000))
        drawn = Answers(reference.probability[rows], reference.positive[rows])
        for name, metric in METRICS.items():
            found[name].append(metric(truth[rows], drawn))
    scale = (min(size, 5000) / size + min(size, 5000) / count) ** 0.5
    return {name: float(np.std(values)) * scale for name, values in found.items()}


def _accuracy(truth: Floats, said: Answers) -> float:
    return float(np.where(said.positive, truth, 1 - truth).mean())


def _precision(truth: Floats, said: Answers) -> float:
    claimed = said.positive.sum()
    return float(truth[said.positive].sum() / claimed) if claimed else 0.0


def _recall(truth: Floats, said: Answers) -> float:
    there = truth.sum()
    return float(truth[said.positive].sum() / there) if there else 0.0


def _f1(truth: Floats, said: Answers) -> float:
    both = float(truth.sum() + said.positive.sum())
    return float(2 * truth[said.positive].sum() / both) if both else 0.0


def _auc(truth: Floats, said: Answers) -> float:
    """The chance that a positive is ranked above a negative, ties half; `truth` may be shares of positives."""
    _, place = np.unique(said.probability, return_inverse=True)
    ones = np.bincount(place, weights=truth)
    zeros = np.bincount(place, weights=1 - truth)
    below = np.cumsum(zeros) - zeros
    pairs = float(ones.sum() * zeros.sum())
    return float((ones * (below + zeros / 2)).sum() / pairs) if pairs else 0.5


METRICS: dict[str, Callable[[Floats, Answers], float]] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "auc": _auc,
}
"""Each takes truths, or the calibrated chances that stand for them, and what the model said."""
