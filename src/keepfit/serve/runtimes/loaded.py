"""Loaded: what every Runtime hands out; a model's answers, finished as the Bundle says and held against its Signature.

A Runtime brings only a function from arrays to arrays. What a Bundle adds to a model (the threshold of its decision,
the names of its classes) and what no model may do (answer another shape, another number of rows, NaN) are here, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, ModelFault, Refused
from keepfit.core.nouns import Bundle, Task
from keepfit.serve.loading import check_output
from keepfit.serve.wire.tables import numpy_type

Arrays = dict[str, NDArray[Any]]
Answer = Callable[[Arrays], Arrays]


def answered_by_model(bundle: Bundle) -> tuple[str, ...]:
    """The outputs a model has to give: the Signature's, and the probability where the Bundle decides by it."""
    names = tuple(field.name for field in bundle.signature.outputs)
    if bundle.threshold is None or "probability" in names:
        return names
    return (*names, "probability")


class Loaded:
    """A model in this process; `answer` may leave `prediction` out where it gives probabilities."""

    def __init__(self, bundle: Bundle, answer: Answer, *, inline: bool) -> None:
        if bundle.threshold is not None and bundle.task is not Task.BINARY:
            raise Refused(
                f"the Bundle has a threshold of {bundle.threshold:g}, which only a binary task can have; "
                f"its task is {bundle.task}",
                code="wrong_signature",
            )
        self.inline = inline
        self._answer: Answer | None = answer
        self._outputs = [(field, numpy_type(field.dtype)) for field in bundle.signature.outputs]
        self._batched = bundle.signature.batched
        self._first = bundle.signature.inputs[0].name
        self._decide = _decision(bundle)
        self._always = bundle.threshold is not None

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer n records; see `Predictor.predict`."""
        rows = len(inputs[self._first])
        if rows != 1 and (not rows or not self._batched):
            return self._one_by_one(inputs, rows)
        answer = self._answer
        if answer is None:
            raise ModelFault("the model was unloaded")
        try:
            raw = answer(inputs)
        except KeepfitError:
            raise
        except Exception as error:
            raise ModelFault(f"the model raised {type(error).__name__}: {error}") from error
        if self._decide is not None and (self._always or "prediction" not in raw):
            raw["prediction"] = self._decide(raw)
        outputs = {field.name: _typed(raw, field.name, dtype) for field, dtype in self._outputs}
        for field, _ in self._outputs:
            check_output(field, outputs[field.name], rows)
        return outputs

    def close(self) -> None:
        """Give the model's memory back once those who are being answered are done."""
        self._answer = None

    def _one_by_one(self, inputs: Arrays, rows: int) -> Arrays:
        """Answers of a model that takes one record at a time, or no answers to no records."""
        if not rows:
            return {f.name: np.empty((0, *(max(0, d) for d in f.shape)), dtype) for f, dtype in self._outputs}
        each = [self.predict({name: values[row : row + 1] for name, values in inputs.items()}) for row in range(rows)]
        try:
            return {field.name: np.concatenate([one[field.name] for one in each]) for field, _ in self._outputs}
        except ValueError as error:
            raise ModelFault(f"the model answers records with tensors of different shapes: {error}") from error


def _typed(raw: Arrays, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        values = raw[name]
    except KeyError:
        raise ModelFault(f"output '{name}': the model did not answer it; it answered {sorted(raw)}") from None
    if values.dtype == dtype:
        return values
    if dtype.kind in "iub" and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ModelFault(f"output '{name}': the model answered NaN or infinity")  # which a cast would hide
    try:
        return values.astype(dtype)
    except (TypeError, ValueError) as error:
        raise ModelFault(f"output '{name}': {values.dtype} is not {dtype}: {error}") from error


def _decision(bundle: Bundle) -> Callable[[Arrays], NDArray[Any]] | None:
    """From probabilities to one of the Bundle's classes; None where there is nothing to decide."""
    decides = bundle.task in (Task.BINARY, Task.MULTICLASS) and bundle.classes
    field = next((field for field in bundle.signature.outputs if field.name == "prediction"), None)
    if field is None or not decides:
        return None
    classes = np.array(bundle.classes, dtype=object if field.dtype == "BYTES" else None)
    classes = classes.astype(numpy_type(field.dtype))
    if bundle.task is Task.MULTICLASS:
        return lambda raw: cast("NDArray[Any]", classes[np.argmax(_finite(raw, "probabilities"), axis=1)])
    ends, cut = classes[[0, -1]], bundle.threshold
    if cut is None:
        return lambda raw: ends[(_finite(raw, "probability") > 0.5).astype(np.intp)]
    return lambda raw: ends[(_finite(raw, "probability") >= cut).astype(np.intp)]


def _finite(raw: Arrays, name: str) -> NDArray[Any]:
    """Probabilities to decide by: of NaN every comparison is false, which would look like a decision."""
    values = raw.get(name)
    if values is None:
        raise ModelFault(f"output '{name}': the model did not answer it, and the prediction is decided by it")
    if not np.isfinite(values).all():
        raise ModelFault(f"output '{name}': the model answered NaN or infinity")
    return values
