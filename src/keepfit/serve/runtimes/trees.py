"""Trees: whether the trees of a file are trees, asked before a library believes it.

XGBoost and LightGBM follow the indices of a file as they are: of 300 damaged files each, XGBoost 3.2 ended the process
(SIGSEGV) or never returned with one in eight of its binary ones, LightGBM 4.7 (SIGABRT, SIGSEGV) with every second.
So lengths, ranges and shape are checked here first, in Python, where damage is an exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Damaged(ValueError):
    """What is wrong with a model file, as half a sentence."""


def integers(values: Any, what: str, *, length: int, low: int, high: int) -> NDArray[np.int64]:
    """`length` whole numbers within [low, high]; Damaged says which are not."""
    try:
        found = np.asarray(values)
        if found.size == 0 and length == 0:
            return np.empty(0, np.int64)
        exact = found.astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise Damaged(f"{what} are not whole numbers") from error
    if found.dtype.kind not in "iub" or found.shape != (length,):
        raise Damaged(f"{what}: expected {length} whole numbers, found {found.dtype} of shape {list(found.shape)}")
    if exact.min() < low or exact.max() > high:
        raise Damaged(f"{what}: {int(exact.min())} … {int(exact.max())} leave {low} … {high}")
    return exact


def numbers(values: Any, what: str, *, length: int) -> NDArray[np.float64]:
    """`length` numbers; Damaged says where there are others."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Damaged(f"{what} are not numbers") from error
    if found.shape != (length,):
        raise Damaged(f"{what}: expected {length} numbers, found shape {list(found.shape)}")
    return found


def check_shape(left: NDArray[np.int64], right: NDArray[np.int64], what: str) -> None:
    """Damaged where following the children from the root, node 0, comes to a node twice; negative ones are leaves."""
    visited = np.zeros(len(left), bool)
    level = np.zeros(min(1, len(left)), np.int64)
    while len(level):
        if visited[level].any() or len(np.unique(level)) < len(level):
            raise Damaged(f"{what}: its nodes form no tree")
        visited[level] = True
        below = np.concatenate([left[level], right[level]])
        level = below[below >= 0]


def one_of(value: Any, allowed: Sequence[Any], what: str) -> Any:
    """The value where it is one of those allowed; Damaged names it."""
    if value not in allowed:
        raise Damaged(f"{what} is {value!r}, expected one of {list(allowed)}")
    return value
