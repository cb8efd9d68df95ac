"""Expected: what callers of a Service send and get already, for the parts of a model that its file is silent about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from keepfit.core.signature import DType, Field, Signature
from keepfit.edge.onboard.drafts import Draft

FLOATS = frozenset({DType.FP16, DType.FP32, DType.FP64})
_GAPS = FLOATS | {DType.BYTES}  # where what is missing is a value of the type: NaN, the empty text


def filled(draft: Draft, expected: Signature) -> tuple[Draft, tuple[str, ...]]:
    """The draft with inputs as they are expected, where its file does not say them, and what a person should know.

    An estimator's file says how many numbers it takes, and names at best; a graph's names and types, but not whether a
    value may be missing; code says nothing.
    """
    if not draft.inputs or draft.estimator:
        return _told(draft, expected)
    if draft.runtime != "onnx":
        return draft, ()
    one = draft.inputs[0]
    numbers = {field.name: field.nullable for field in expected.inputs if field.dtype is one.dtype and not field.shape}
    if one.name not in numbers and len(numbers) == len(expected.inputs) and (found := named(draft, numbers)):
        return found, (_in_order(found.inputs),)
    return replace(draft, inputs=tuple(_gaps(field, expected) for field in draft.inputs)), ()


def named(draft: Draft, columns: Mapping[str, bool]) -> Draft | None:
    """The draft's one matrix of numbers as these columns, which say whether a value may be missing; None if it is none.

    Field by field in order: a matrix has no names.
    """
    first = draft.inputs[0]
    if len(draft.inputs) != 1 or first.shape != (len(columns),) or not draft.batched or first.dtype not in FLOATS:
        return None
    fields = tuple(Field(name, first.dtype, nullable=first.nullable or gaps) for name, gaps in columns.items())
    return replace(draft, inputs=fields, columns=((first.name, tuple(columns)),) if draft.columns else ())


def _gaps(field: Field, expected: Signature) -> Field:
    alike = (
        one for one in expected.inputs if (one.name, one.dtype, one.shape) == (field.name, field.dtype, field.shape)
    )
    return replace(field, nullable=True) if field.dtype in _GAPS and any(one.nullable for one in alike) else field


def _told(draft: Draft, expected: Signature) -> tuple[Draft, tuple[str, ...]]:
    """With the expected fields as inputs, all or those that the file names, where they can be what the model takes."""
    known = {field.name: field for field in expected.inputs}
    fields = tuple(known[name] for name in draft.features or known if name in known)
    is_plain = not any(field.shape for field in fields)
    is_numeric = not any(field.dtype is DType.BYTES for field in fields)
    if draft.features and len(fields) != len(draft.features):
        return draft, ()
    if draft.width and draft.width != sum(prod(field.shape) for field in fields):
        return draft, ()
    if draft.matrix is not None:
        if not (is_plain and is_numeric):
            return draft, ()
        typed = tuple(replace(field, dtype=draft.matrix) for field in fields)
        return replace(draft, inputs=typed, columns=(("input", tuple(field.name for field in fields)),)), ()
    if not draft.estimator:
        return replace(draft, inputs=fields), ()
    if (len(fields) > 1 and not is_plain) or (draft.inputs and not is_numeric):
        return draft, ()
    gaps = not draft.inputs or draft.inputs[0].nullable
    told = () if draft.features or not is_plain else (_in_order(fields),)
    fields = tuple(replace(field, nullable=field.nullable and gaps) for field in fields)
    return replace(draft, inputs=fields), told


def _in_order(fields: tuple[Field, ...]) -> str:
    return f"the model's file names no columns: they are taken in the order {', '.join(field.name for field in fields)}"
