"""Parity: does a converted model answer as its estimator does, also where values are missing or new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keepfit.core.errors import Refused
from keepfit.core.nouns import Task
from keepfit.core.service import Specification
from keepfit.core.signature import DType, Field
from keepfit.learn.convert import Session
from keepfit.learn.native import answers, difference
from keepfit.learn.tables import Arrays, is_float

TOLERANCE = 1e-4
"""Of a probability; of the spread of the answers for a regressor."""

_PROBED = 64
_NEW_WORD = "\u2400 never seen"


@dataclass(frozen=True)
class Parity:
    """The largest difference on any row, and what only one of the two models refuses to answer."""

    error: float
    note: str = ""


def tolerance(specification: Specification, native: Arrays) -> float:
    """How far a converted model may be from its estimator, in units of the output."""
    if specification.task is not Task.REGRESSION:
        return TOLERANCE
    finite = native["prediction"][np.isfinite(native["prediction"])].astype(np.float64)
    spread = float(finite.std()) if len(finite) else 0.0
    return TOLERANCE * (spread or max(1.0, float(np.abs(finite).max(initial=0.0))))


def parity(estimator: Any, session: Session, specification: Specification, rows: Arrays, native: Arrays) -> Parity:
    """Compare on `rows`, whose native answers are given, and on probes made from the first of them."""
    largest = difference(native, session(rows))
    notes = []
    few = {name: values[:_PROBED] for name, values in rows.items()}
    for field in specification.inputs:
        for what, probe in _probes(field, few):
            try:
                expected = answers(estimator, specification, probe)
            except Refused:
                if finite(session(probe)):
                    notes.append(f"{what} in '{field.name}', which the estimator itself refuses, is answered")
                continue
            largest = max(largest, difference(expected, session(probe)))
    return Parity(largest, "; ".join(notes))


def finite(outputs: Arrays) -> bool:
    """Whether every number of an answer is one; a runner refuses to answer others."""
    return all(np.isfinite(values).all() for values in outputs.values() if values.dtype.kind == "f")


def _probes(field: Field, rows: Arrays) -> list[tuple[str, Arrays]]:
    values = rows[field.name]
    if field.dtype is DType.BYTES:
        probes = [("a text never seen", np.full(values.shape, _NEW_WORD, dtype=object))]
        return [(what, {**rows, field.name: made}) for what, made in probes] + (
            [("a missing text", {**rows, field.name: np.full(values.shape, "", dtype=object)})]
            if field.nullable
            else []
        )
    if is_float(field) and field.nullable:
        return [("a missing number", {**rows, field.name: np.full(values.shape, np.nan, dtype=values.dtype)})]
    return []
