"""trial: the estimator learns and answers a few rows, so that one which cannot is told now, not by the first update."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError
from keepfit.core.nouns import LABEL, Lesson
from keepfit.core.service import Specification
from keepfit.edge.declare.mistakes import Misfit
from keepfit.learn.estimators import threaded
from keepfit.learn.learners import Refit
from keepfit.learn.native import answers, threads
from keepfit.learn.tables import arrays, frame, labels, spread

ROWS = 400
"""Rows the trial learns from, beside EACH of every class."""

EACH = 10


def trial(specification: Specification, estimator: Any, table: pa.Table) -> Iterator[Misfit]:
    """What keeps the estimator from learning `table`, a Dataset, or from answering it afterwards."""
    few = table.take(_chosen(table))
    inputs = arrays(few, specification.inputs)
    recipe = specification.service.recipe
    try:
        with warnings.catch_warnings(), threads(recipe.resources.threads):
            warnings.simplefilter("ignore")  # about so few rows
            given, told = frame(inputs, specification.inputs), labels(few, specification.label)
            lesson = Lesson(X=given, y=told, classes=specification.classes, seed=recipe.seed)
            fitted = Refit().learn(threaded(estimator, recipe.resources.threads), lesson).model
            if specification.classes and not hasattr(fitted, "classes_"):
                yield Misfit(
                    ("estimator",), f"{type(fitted).__name__} has no classes_ after fitting; classifiers need it"
                )
                return
            answers(fitted, specification, {name: values[:5] for name, values in inputs.items()})
    except KeepfitError as error:
        yield Misfit(("estimator",), f"a trial on {few.num_rows} rows failed: {error}")
    except Exception as error:  # noqa: BLE001  # an estimator may raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        yield Misfit(("estimator",), f"cannot learn (a trial on {few.num_rows} rows raised {reason})")


def _chosen(table: pa.Table) -> NDArray[np.int64]:
    """Rows evenly spread over the table, and the first few of every class."""
    told = table.column(LABEL)
    if pa.types.is_floating(told.type):
        return spread(table.num_rows, ROWS)
    codes = told.combine_chunks().dictionary_encode().indices.to_numpy()
    first = [np.flatnonzero(codes == code)[:EACH] for code in range(int(codes.max()) + 1)]
    return np.unique(np.concatenate([spread(table.num_rows, ROWS), *first]))
