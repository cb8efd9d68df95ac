"""Measure one column of a batch, whatever it holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from keepfit.data.profile.kinds import Kind, kind_of
from keepfit.data.profile.numbers import measure_numbers, measure_truths
from keepfit.data.profile.quantiles import Floats
from keepfit.data.profile.statistics import Lengths, Statistics, Weighted
from keepfit.data.profile.texts import measure_texts


def measure(name: str, column: pa.Array, weights: Floats | None = None) -> Statistics:
    """The statistics of a column of which all values are at hand; `weights` has one per row."""
    kind = kind_of(column.type)
    if types.is_dictionary(column.type) and kind is not Kind.TEXT:
        column = column.cast(column.type.value_type)
    nulls = column.null_count
    known, kept = column, weights
    if nulls:
        known = column.drop_null()
        kept = None if weights is None else weights[np.asarray(column.is_valid())]
    counted = Statistics(name=name, kind=kind, rows=len(column), missing=nulls)
    found = _measured(counted, known, kept)
    if weights is None or kept is None:
        return found
    weighted = found.weighted or Weighted(present=float(kept.sum()))
    absent = float(weights.sum() - kept.sum()) if nulls else 0.0
    return replace(found, weighted=replace(weighted, missing=weighted.missing + absent))


def _measured(counted: Statistics, known: pa.Array, weights: Floats | None) -> Statistics:
    match counted.kind:
        case Kind.INTEGER | Kind.FLOAT | Kind.TIME:
            return measure_numbers(counted, known, weights)
        case Kind.TEXT:
            return measure_texts(counted, known, weights)
        case Kind.BOOLEAN:
            return measure_truths(counted, known, weights)
        case Kind.TENSOR:
            return _measure_lists(counted, known)
        case Kind.NOTHING | Kind.OTHER:
            return counted


def _measure_lists(counted: Statistics, known: pa.Array) -> Statistics:
    if not len(known):
        return counted
    lengths = np.asarray(pc.list_value_length(known).to_numpy(zero_copy_only=False))
    valency = Lengths(len(known), int(lengths.sum()), int(lengths.min()), int(lengths.max()))
    elements = measure(counted.name, pc.list_flatten(known))
    return replace(counted, infinite=elements.infinite, valency=valency, elements=elements)
