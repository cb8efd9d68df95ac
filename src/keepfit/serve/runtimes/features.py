"""Features: what a booster takes, one row of numbers a record, gathered from the Signature's inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import Bundle
from keepfit.core.signature import DType, Field
from keepfit.serve.runtimes.loaded import Arrays

Words = dict[str, dict[Any, int]]
"""The codes of the categories of an input, by its name."""


def stacked(names: Sequence[str], dtype: np.dtype[Any]) -> Callable[[Arrays], NDArray[Any]]:
    """Put inputs of one value a record beside each other."""
    first, width = names[0], len(names)

    def stack(inputs: Arrays) -> NDArray[Any]:
        packed = np.empty((len(inputs[first]), width), dtype)
        for place, name in enumerate(names):
            packed[:, place] = inputs[name]
        return packed

    return stack


def in_order(bundle: Bundle, names: Sequence[str]) -> list[Field]:
    """The Signature's inputs in the model's order: by name where it names its features so, else as they stand.

    Refused where some names are the model's and others are not: then neither can be meant.
    """
    fields = list(bundle.signature.inputs)
    if bundle.columns:
        order = {member: place for place, member in enumerate(m for _, members in bundle.columns for m in members)}
        if sorted(order) != sorted(field.name for field in fields):
            raise Refused("the Bundle's columns are not the Signature's inputs", code="wrong_signature")
        return sorted(fields, key=lambda field: order[field.name])
    known = {field.name for field in fields}
    if known == set(names):
        return sorted(fields, key=lambda field: list(names).index(field.name))
    if known & set(names):
        raise Refused(
            f"the model's features are {list(names)[:20]}, the Signature's inputs {sorted(known)[:20]}: "
            f"{sorted(known ^ set(names))[:20]} are in one of them only",
            code="wrong_signature",
        )
    return fields


def matrix(
    fields: Sequence[Field], width: int, dtype: np.dtype[Any], words: Words | None = None
) -> Callable[[Arrays], NDArray[Any]]:
    """The (n, width) matrix of some inputs; text becomes the codes of `words`, NaN where it has none.

    Refused where the inputs are not `width` numbers a record, or text has no codes.
    """
    words = words or {}
    for field in fields:
        if field.dtype is DType.BYTES and field.name not in words:
            raise Refused(f"input '{field.name}' is text, of which the model knows no codes", code="wrong_signature")
        if -1 in field.shape:
            raise Refused(
                f"input '{field.name}' has a free dimension; the model takes {width} numbers", code="wrong_signature"
            )
    widths = [prod(field.shape) for field in fields]
    if sum(widths) != width:
        raise Refused(f"the model takes {width} features, the Signature gives {sum(widths)}", code="wrong_signature")
    if len(fields) == 1 and fields[0].shape and fields[0].name not in words:
        only = fields[0].name
        return lambda inputs: inputs[only].reshape(len(inputs[only]), width).astype(dtype, copy=False)
    if not words and all(not field.shape for field in fields):
        return stacked([field.name for field in fields], dtype)
    ends = np.cumsum(widths).tolist()
    return _gathered(list(zip([field.name for field in fields], [0, *ends[:-1]], ends, strict=True)), dtype, words)


def _gathered(
    places: list[tuple[str, int, int]], dtype: np.dtype[Any], words: Words
) -> Callable[[Arrays], NDArray[Any]]:
    def gather(inputs: Arrays) -> NDArray[Any]:
        rows = len(inputs[places[0][0]])
        packed = np.empty((rows, places[-1][2]), dtype)
        for name, start, end in places:
            values = inputs[name]
            if name in words:
                codes = words[name]
                values = np.array([codes.get(word, np.nan) for word in values.reshape(-1)], dtype)
            packed[:, start:end] = values.reshape(rows, end - start)
        return packed

    return gather
