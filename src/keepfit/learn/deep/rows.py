"""Rows: what a learner remembers, as a table, and back from there to what an estimator is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import LABEL, RECORD_ID, Lesson
from keepfit.learn.tables import column

MATRIX = "x"
"""The name of the column that holds a row of the matrix, where features have no names."""


def of_lesson(lesson: Lesson, places: NDArray[np.int64]) -> pa.Table:
    """Some rows of a Lesson as a table of `_id`, the features and `_label`; ids are empty where there are none."""
    ids = np.array(lesson.ids or [""], dtype=object)
    columns = {RECORD_ID: pa.array(ids[places] if lesson.ids else np.repeat(ids, len(places)), pa.string())}
    for name, values in _features(lesson.X).items():
        columns[name] = column(values[places])
    return pa.table({**columns, LABEL: column(_labels(lesson)[places])})


def _features(X: Any) -> dict[str, NDArray[Any]]:
    if hasattr(X, "columns"):
        return {str(name): X[name].to_numpy() for name in X.columns}
    return {MATRIX: np.asarray(X)}


def _labels(lesson: Lesson) -> NDArray[Any]:
    """Of one type, whatever mixture an object array holds."""
    if lesson.classes and isinstance(lesson.classes[0], str):
        return np.asarray(lesson.y, dtype=object)
    return np.asarray(np.asarray(lesson.y).tolist())


def features_of(table: pa.Table, like: Any) -> Any:
    """The features of remembered rows, in the form of a Lesson's `X`; Refused where they are other features."""
    found = [name for name in table.column_names if not name.startswith("_")]
    expected = list(_features(like))
    if found != expected:
        raise Refused(
            f"the memory has the features {found[:10]}, the rows to learn {expected[:10]}; begin again without memory",
            code="memory_of_other_features",
        )
    if hasattr(like, "columns"):
        return type(like)({name: table[name].to_numpy() for name in expected})
    plain = table[MATRIX].combine_chunks()
    values = plain.to_numpy(zero_copy_only=False) if like.ndim == 1 else _flat(plain)
    return values.reshape(len(table), *like.shape[1:])


def _flat(rows: Any) -> NDArray[Any]:
    values: NDArray[Any] = rows.flatten().to_numpy(zero_copy_only=False)
    return values


def joined(memory: pa.Table | None, like: Any) -> Any:
    """The rows of a memory above those of a Lesson, in the Lesson's form."""
    if memory is None or not memory.num_rows:
        return like
    old = features_of(memory, like)
    if hasattr(like, "columns"):
        import pandas as pd

        return pd.concat([old, like], ignore_index=True)
    return np.concatenate([old, np.asarray(like)])


def labels(memory: pa.Table | None, y: Any) -> NDArray[Any]:
    """The labels of a memory's rows above those of a Lesson, plain values or numbers."""
    known = [] if memory is None else memory[LABEL].to_pylist()
    together = [*known, *np.asarray(y).tolist()]
    return np.array(together, dtype=object if together and isinstance(together[0], str) else None)


def codes(labels: NDArray[Any], classes: Sequence[Any]) -> NDArray[np.int64]:
    """The place of each label among the classes; Refused for a label that is none."""
    place = {value: number for number, value in enumerate(classes)}
    try:
        return np.array([place[value] for value in labels.tolist()], dtype=np.int64)
    except KeyError as error:
        raise Refused(
            f"label {error.args[0]!r} is none of the classes {list(classes)[:10]}; apply the service again",
            code="unknown_label",
        ) from error
