"""A small world to learn from: numbers with gaps, text with rare and empty words, whole numbers, truth values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.nouns import LABEL, RECORD_ID, RECORD_TIME, Task
from keepfit.core.service import Recipe, Service, Specification
from keepfit.core.signature import DType, Field

FIELDS = (
    Field("distance", DType.FP64, nullable=True),
    Field("origin", DType.BYTES, nullable=True),
    Field("wind", DType.FP32),
    Field("hour", DType.INT64),
    Field("dest", DType.BYTES),
    Field("weekend", DType.BOOL),
)
NUMBERS, WORDS = ["distance", "wind", "hour", "weekend"], ["origin", "dest"]

MATRIX = (Field("x", DType.FP32, (8,)),)


def rows(count: int, seed: int, *, words: int = 70) -> dict[str, NDArray[Any]]:
    """Inputs by name; more `words` than another call had are words never seen there."""
    random = np.random.default_rng(seed)
    distance = random.lognormal(6, 1, count)
    distance[random.random(count) < 0.1] = np.nan
    known = np.array([f"D{place}" for place in range(words)], dtype=object)
    return {
        "distance": distance,
        "origin": np.array(["EWR", "JFK", "LGA", ""], dtype=object)[random.integers(0, 4, count)],
        "wind": random.normal(size=count).astype(np.float32),
        "hour": random.integers(0, 24, count),
        "dest": known[np.minimum(random.geometric(0.05, count) - 1, words - 1)],
        "weekend": random.random(count) < 0.3,
    }


def scores(inputs: dict[str, NDArray[Any]], seed: int) -> NDArray[Any]:
    """A number per row which every column has a say in."""
    noise = np.random.default_rng(seed + 1).normal(size=len(inputs["hour"])) * 0.3
    far = np.where(np.isnan(inputs["distance"]), 1.0, np.log(np.nan_to_num(inputs["distance"], nan=1.0)) - 6)
    some = np.array([len(word) % 2 for word in inputs["dest"]])
    return (
        far + inputs["wind"] + (inputs["hour"] % 7 > 3) + (inputs["origin"] == "JFK") + some - inputs["weekend"] + noise
    )


def labels(task: Task, inputs: dict[str, NDArray[Any]], seed: int, classes: tuple[Any, ...]) -> NDArray[Any]:
    """The truth of some rows: the scores themselves, or which part of their range they fall in."""
    found = scores(inputs, seed)
    if task is Task.REGRESSION:
        return found * 1000 + 5e6
    edges = np.quantile(found, np.linspace(0, 1, len(classes) + 1)[1:-1])
    kind = object if isinstance(classes[0], str) else None
    return np.array(classes, dtype=kind)[np.digitize(found, edges)]


def table(inputs: dict[str, NDArray[Any]], truth: NDArray[Any]) -> pa.Table:
    """A Dataset of labelled rows, one a minute."""
    count = len(truth)
    start = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    times = pa.array((np.arange(count) * 60 + start) * 1_000_000, pa.timestamp("us", "UTC"))
    columns: dict[str, Any] = {RECORD_ID: [f"r{place}" for place in range(count)], RECORD_TIME: times}
    for name, values in inputs.items():
        if values.ndim > 1:
            columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        else:
            columns[name] = pa.array(values, from_pandas=False)
    return pa.table({**columns, LABEL: pa.array(truth)})


def specification(
    task: Task = Task.BINARY,
    classes: tuple[Any, ...] = (0, 1),
    *,
    inputs: tuple[Field, ...] = FIELDS,
    recipe: Recipe = Recipe(),
) -> Specification:
    """The Specification of a Service that learns from these rows."""
    kind = {str: DType.BYTES, bool: DType.BOOL, int: DType.INT64}[type(classes[0])] if classes else DType.FP64
    extra: tuple[Field, ...] = ()
    if task is Task.BINARY:
        extra = (Field("probability", DType.FP32),)
    elif task is Task.MULTICLASS:
        extra = (Field("probabilities", DType.FP32, (len(classes),)),)
    return Specification(
        service=Service(name="lessons", label="late", recipe=recipe),
        code="",
        module="service.py",
        source="",
        source_rows=0,
        task=task,
        classes=classes if task is not Task.REGRESSION else (),
        inputs=inputs,
        outputs=(Field("prediction", kind), *extra),
        label=Field("late", kind),
        environment="env",
    )
