"""Coding: a column of words or numbers as the numbers that stand for them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.learn.graph import Columns, Graph, Kind, proto


def codes(graph: Graph, columns: Columns, place: int, words: Iterable[Any], values: NDArray[Any], other: float) -> str:
    """One column of codes (n, 1), double: `values[i]` where the column equals `words[i]`, `other` elsewhere.

    A missing number equals the word NaN.
    """
    words = list(words)
    column = columns.take([place])
    if columns.is_text(place):
        known = [(word, value) for word, value in zip(words, values, strict=True) if isinstance(word, str)]
        single = [float(value) for _, value in known]
        text = graph.matrix(column, Kind.TEXT)
        keys: dict[str, Any] = {"keys_strings": [word for word, _ in known], "values_floats": single}
        if not known:
            keys = {"keys_strings": [""], "values_floats": [float(other)]}
        found = graph.add("LabelEncoder", [text.name], domain="ai.onnx.ml", default_float=float(other), **keys)
        return graph.add("Cast", [found], to=proto().DOUBLE)
    return _numeric_codes(graph, graph.matrix(column).name, words, values, other)


def _numeric_codes(graph: Graph, column: str, words: list[Any], values: NDArray[Any], other: float) -> str:
    missing = [value for word, value in zip(words, values, strict=True) if is_missing(word)]
    known = [(word, value) for word, value in zip(words, values, strict=True) if not is_missing(word)]
    answer = graph.constant([[other]])
    if known:
        equal = graph.add("Equal", [column, graph.constant([[float(word) for word, _ in known]])])
        hits = graph.add("Cast", [equal], to=proto().DOUBLE)
        found = graph.add("MatMul", [hits, graph.constant([[float(value)] for _, value in known])])
        any_hit = graph.add("MatMul", [hits, graph.constant(np.ones((len(known), 1)))])
        answer = graph.add("Where", [graph.add("Greater", [any_hit, graph.constant(0.5)]), found, answer])
    nothing = graph.constant([[float(missing[0]) if missing else other]])
    return graph.add("Where", [graph.add("IsNaN", [column]), nothing, answer])


def is_missing(word: Any) -> bool:
    """Whether a category stands for a missing value."""
    return word is None or (isinstance(word, float | np.floating) and math.isnan(word))
