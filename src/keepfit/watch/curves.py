"""Inputs as columns of numbers: indicators of their bins and values, and what smooth curves of them are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.watch.samples import FEW, comparable, is_categorical

Floats = NDArray[np.float64]

_BINS = 5
_VALUES = 10
_KNOTS, _COLUMNS = 10, 150
"""A curve of one input has so many bends, those of all inputs together so many."""


def design(old: Mapping[str, NDArray[Any]], new: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
    """Every input as indicators of its bins, side by side."""
    pairs = [indicators(old[name], new[name]) for name in old if name in new]
    if not pairs:
        return np.empty((_rows(old), 0)), np.empty((_rows(new), 0))
    return np.hstack([a for a, _ in pairs]), np.hstack([b for _, b in pairs])


def indicators(old: NDArray[Any], new: NDArray[Any]) -> tuple[Floats, Floats]:
    """One column per quantile bin of both together, or per common value, but for the commonest, which the rest tell."""
    was, now = comparable(old, new)
    both = np.concatenate([was, now])
    if _are_few(both):
        names, place, counts = np.unique(both.astype(str), return_inverse=True, return_counts=True)
        rank = np.empty(names.size, np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(names.size)
        codes = np.minimum(rank[place], _VALUES)
    else:
        edges = np.unique(np.quantile(both, np.arange(1, _BINS) / _BINS, method="inverted_cdf"))
        codes = np.searchsorted(edges, both, side="right")
    columns = (codes[:, None] == np.arange(1, int(codes.max(initial=0)) + 1)[None, :]).astype(np.float64)
    return columns[: was.size], columns[was.size :]


def smooth(old: Mapping[str, NDArray[Any]], new: Mapping[str, NDArray[Any]]) -> tuple[Floats, Floats]:
    """Every input as what a smooth curve of it is made of."""
    names = [name for name in old if name in new]
    knots = max(2, min(_KNOTS, _COLUMNS // max(1, len(names))))
    pairs = [_curve(old[name], new[name], knots) for name in names]
    if not pairs:
        return np.empty((_rows(old), 0)), np.empty((_rows(new), 0))
    return np.hstack([a for a, _ in pairs]), np.hstack([b for _, b in pairs])


def _curve(old: NDArray[Any], new: NDArray[Any], knots: int) -> tuple[Floats, Floats]:
    """A number's rank among all, bent at every knot; categories, and numbers of few values, as indicators."""
    both = np.concatenate(comparable(old, new))
    if _are_few(both):
        return indicators(old, new)
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = ((np.cumsum(counts) - counts)[place] / both.size)[:, None]
    bends = np.maximum(0.0, ranks - np.arange(knots)[None, :] / knots)
    columns = np.column_stack([bends, np.isinf(both)])
    return columns[: old.size], columns[old.size :]


def _are_few(values: NDArray[Any]) -> bool:
    """Whether they are categories, or at most FEW different numbers; a look at some of them often shows more."""
    if is_categorical(values):
        return True
    return np.unique(values[:1000]).size <= FEW and np.unique(values).size <= FEW


def _rows(side: Mapping[str, NDArray[Any]]) -> int:
    return next((values.size for values in side.values()), 0)


def explained(curves: tuple[Floats, Floats], values: tuple[Floats, Floats], weights: Floats) -> tuple[Floats, Floats]:
    """What is left of values, shape (n, k), once what curves explain of them is taken off.

    A ridge regression, learnt from the first of both pairs with a weight per row.
    """
    designs = [np.column_stack([side, np.ones(len(side))]) for side in curves]
    root = np.sqrt(weights)[:, None]
    left = root * designs[0]
    slopes = np.linalg.solve(left.T @ left + 1e-3 * np.eye(left.shape[1]), left.T @ (root * values[0]))
    was, now = (side - columns @ slopes for side, columns in zip(values, designs, strict=True))
    return was, now


def influence(curves: tuple[Floats, Floats]) -> Floats:
    """How much the value of each row before counts in the mean expected of the rows after; about 1 together.

    By the ridge regression of `explained`, which is linear in the values.
    """
    was, now = (np.column_stack([side, np.ones(len(side))]) for side in curves)
    found: Floats = was @ np.linalg.solve(was.T @ was + 1e-3 * np.eye(was.shape[1]), now.mean(axis=0))
    return found
