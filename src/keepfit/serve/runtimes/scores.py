"""Scores: what a booster's numbers are called in the Signature of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import Bundle, Task
from keepfit.serve.runtimes.loaded import Arrays

Named = Callable[[NDArray[Any]], Arrays]


def named(bundle: Bundle, *, probable: bool, width: int, objective: str) -> Named:
    """Name an answer of (n,) or (n, width) numbers as the task does; a `probable` one is of probabilities.

    Refused where the objective does not give what the task needs.
    """
    match bundle.task:
        case Task.BINARY:
            _needs(probable and width == 1, "one probability", objective, width)
            return lambda found: {"probability": found.reshape(-1)}
        case Task.MULTICLASS:
            classes = len(bundle.classes)
            _needs(probable and width == classes, f"{classes} probabilities", objective, width)
            return lambda found: {"probabilities": found.reshape(len(found), classes)}
        case Task.REGRESSION:
            _needs(not probable and width == 1, "one number", objective, width)
            return lambda found: {"prediction": found.reshape(-1)}
        case None:
            name, shape = bundle.signature.outputs[0].name, bundle.signature.outputs[0].shape
            if len(bundle.signature.outputs) != 1:
                raise Refused(f"{objective} has one output, the Signature several, and no task", code="wrong_signature")
            return lambda found: {name: found.reshape(len(found), *shape) if width > 1 or shape else found.reshape(-1)}


def _needs(fits: bool, wanted: str, objective: str, width: int) -> None:
    if not fits:
        raise Refused(
            f"the task needs {wanted} a record; a model of objective '{objective}' answers {width} "
            f"{'value' if width == 1 else 'values'}",
            code="wrong_signature",
        )


def softmax(margins: NDArray[Any]) -> NDArray[Any]:
    """Probabilities of margins, one row a record."""
    raised = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def sigmoid(margins: NDArray[Any]) -> NDArray[Any]:
    """The probability of a margin."""
    return np.asarray(1.0 / (1.0 + np.exp(-margins)))
