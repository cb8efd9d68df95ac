"""One look at the quality to be expected while labels are awaited."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import erfc, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Finding, FindingKind, Measurement, Severity
from keepfit.core.service import Monitor
from keepfit.watch.estimated import ERRORS, Answers, Estimate, Samples, estimate, estimated_accuracy, estimated_loss

Looked = tuple[tuple[Measurement, ...], tuple[Finding, ...]]


@dataclass(frozen=True)
class Said:
    """What a classifier said, and what came true: class by class, in the Service's order.

    `chances` has the shape (n, classes); `predicted` and `truth` are places of classes, `truth` only of the reference.
    """

    chances: NDArray[np.float64]
    predicted: NDArray[np.int64]
    truth: NDArray[np.int64] | None = None


def watch_quality(monitor: Monitor, reference: Said, window: Said) -> Looked:
    """Every metric to be expected of a window; a Finding of each worse than the reference by more than three errors.

    Two classes: accuracy, precision, recall, F1 and AUC of the last one; more: accuracy.
    """
    old = 0 if reference.truth is None else reference.truth.size
    return _judged(monitor, old, window.predicted.size, lambda: _estimates(reference, window))


def watch_loss(monitor: Monitor, reference: Samples, loss: NDArray[np.float64], window: Samples) -> Looked:
    """The same of the mean loss, for models without probabilities, by inputs (and outputs) by name."""
    new = next((values.size for values in window.values()), 0)
    return _judged(monitor, loss.size, new, lambda: (estimated_loss(reference, loss, window),))


def _judged(monitor: Monitor, old: int, new: int, estimates: Callable[[], Iterable[Estimate]]) -> Looked:
    if min(old, new) < max(monitor.minimum, 30):
        return (_none(monitor, old, new),), ()
    found = tuple(estimates())
    return tuple(_measured(monitor, one) for one in found), tuple(_finding(one) for one in found if one.is_worse)


def _estimates(reference: Said, window: Said) -> Iterable[Estimate]:
    truth = reference.truth
    if truth is None or truth.min() == truth.max():
        return ()
    if reference.chances.shape[1] == 2:
        return estimate(_answers(reference), (truth == 1).astype(np.float64), _answers(window))
    right = (reference.predicted == truth).astype(np.float64)
    return (estimated_accuracy(reference.chances.max(axis=1), right, window.chances.max(axis=1)),)


def _answers(said: Said) -> Answers:
    return Answers(said.chances[:, 1], said.predicted == 1)


def _measured(monitor: Monitor, one: Estimate) -> Measurement:
    return Measurement(
        monitor=monitor.name,
        subject=one.metric,
        statistic=one.value,
        p_value=_chance(one),
        effect=min(1.0, abs(one.value - one.reference) / (1.0 if one.higher else abs(one.reference) or 1.0)),
        threshold=erfc(ERRORS / sqrt(2)),
        n_reference=one.n_reference,
        n_window=one.n_window,
        fired=one.is_worse,
    )


def _chance(one: Estimate) -> float:
    gap = abs(one.value - one.reference)
    return erfc((gap / one.error if one.error else (inf if gap else 0.0)) / sqrt(2))


def _none(monitor: Monitor, old: int, new: int) -> Measurement:
    note = f"{old} labelled rows at release, {new} in the window; {max(monitor.minimum, 30)} are needed"
    return Measurement(monitor.name, "quality", 0.0, 1.0, 0.0, 0.0, old, new, False, note)


def _finding(one: Estimate) -> Finding:
    went, by = ("fallen", "the model's own probabilities mean") if one.higher else ("risen", "such inputs cost before")
    sentence = (
        f"{one.metric} is expected to have {went} from {one.reference:.4g} to {one.value:.4g} "
        f"({one.low:.4g} to {one.high:.4g}), by what {by}; no label of these "
        f"{one.n_window} rows was used"
    )
    return Finding(one.metric, FindingKind.DECAY, Severity.WARNING, one.value, one.reference, sentence)
