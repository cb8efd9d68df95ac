"""Native: what a fitted estimator answers, in the types of the Signature."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.nouns import Task
from keepfit.core.service import Specification
from keepfit.learn.tables import Arrays, frame, numpy_type


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let the numerical libraries loaded so far (OpenMP, BLAS) use `count` threads inside the block."""
    with _libraries(len(sys.modules)).limit(limits=fitting(count)):
        yield


@lru_cache(maxsize=1)  # looking for them takes longer than a small fit; what is imported later brings others
def _libraries(modules: int) -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError as error:
        raise MissingExtra("threadpoolctl", "sklearn") from error
    return ThreadpoolController()


def fitting(count: int) -> int:
    """As many threads as are asked, at most one for every processor that this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, there))


def answers(estimator: Any, specification: Specification, inputs: Arrays) -> Arrays:
    """The Signature's outputs for arrays by input name; Refused where the estimator raises or lacks an output."""
    outputs = {field.name: numpy_type(field.dtype) for field in specification.outputs}
    given = frame(inputs, specification.inputs)
    needs_probability = [name for name in outputs if name != "prediction"]
    if needs_probability and not hasattr(estimator, "predict_proba"):
        raise Refused(
            f"{type(estimator).__name__} has no predict_proba, but the Signature promises {needs_probability}; "
            "take an estimator that gives probabilities (CalibratedClassifierCV gives them to any)"
        )
    try:
        found: Arrays = {"prediction": np.asarray(estimator.predict(given))}
        if needs_probability:
            found |= _probabilities(estimator, specification, np.asarray(estimator.predict_proba(given)))
    except Exception as error:
        raise Refused(f"the estimator raised {type(error).__name__} on rows to predict: {error}") from error
    return {name: _flat(found[name], name).astype(dtype, copy=False) for name, dtype in outputs.items()}


def _probabilities(estimator: Any, specification: Specification, found: NDArray[Any]) -> Arrays:
    own = own_classes(estimator)
    if specification.task is Task.BINARY:
        return {"probability": found[:, own.index(specification.classes[-1])]}
    padded = np.concatenate([found, np.zeros((len(found), 1))], axis=1)
    order = [own.index(value) if value in own else len(own) for value in specification.classes]
    return {"probabilities": padded[:, order]}


def own_classes(estimator: Any) -> list[Any]:
    """The classes an estimator has seen, as plain values in its order."""
    return [value.item() if isinstance(value, np.generic) else value for value in estimator.classes_]


def _flat(values: NDArray[Any], name: str) -> NDArray[Any]:
    return values.reshape(-1) if name != "probabilities" else values


def difference(native: Arrays, other: Arrays) -> float:
    """The largest difference of two answers; a label that differs counts by how much less probable it is.

    Two estimates of a tie may name either class; so a differing label weighs the gap between the two probabilities,
    or infinity where there are none.
    """
    largest = 0.0
    for name, expected in native.items():
        if name == "prediction" and expected.dtype.kind != "f":
            largest = max(largest, _label_gap(native, other))
            continue
        with np.errstate(invalid="ignore"):
            gaps = np.abs(expected.astype(np.float64) - other[name].astype(np.float64))
        same = np.isnan(expected) & np.isnan(other[name])
        gaps = np.where(same, 0.0, np.where(np.isnan(gaps), np.inf, gaps))
        largest = max(largest, float(gaps.max(initial=0.0)))
    return largest


def _label_gap(native: Arrays, other: Arrays) -> float:
    differs = np.asarray(native["prediction"] != other["prediction"])
    if not differs.any():
        return 0.0
    if "probability" in native:
        return float(np.abs(2.0 * native["probability"][differs].astype(np.float64) - 1.0).max())
    if "probabilities" in native:
        ordered = np.sort(native["probabilities"][differs].astype(np.float64), axis=1)
        return float((ordered[:, -1] - ordered[:, -2]).max())
    return float("inf")
