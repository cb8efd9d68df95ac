"""The shelf: models of the past that are kept, one for each way the world has been, to be taken out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.learn.pickled import packed, unpacked


@dataclass(frozen=True)
class Stored:
    """A model of the past, its bytes, and its `level`: the mean loss per row it had in its own time."""

    model: Any
    bytes: NDArray[np.uint8]
    level: float


Shelf = tuple[Stored, ...]
"""Oldest first."""


def stored(model: Any, level: float) -> Stored:
    """A model to be put on the shelf."""
    return Stored(model, packed(model), level)


def opened(arrays: Mapping[str, NDArray[Any]]) -> Shelf:
    """The shelf of a memory; models that are on it may be opened in workers only."""
    levels = arrays.get("levels", np.empty(0))
    found = (arrays[f"stored/{place:03d}"] for place in range(len(levels)))
    return tuple(Stored(unpacked(one), one, float(level)) for one, level in zip(found, levels, strict=True))


def closed(shelf: Shelf) -> dict[str, NDArray[Any]]:
    """The arrays that a memory keeps of a shelf."""
    kept: dict[str, NDArray[Any]] = {f"stored/{place:03d}": one.bytes for place, one in enumerate(shelf)}
    return {**kept, "levels": np.array([one.level for one in shelf], dtype=np.float64)}


def surplus(lost: Sequence[NDArray[np.float64]]) -> int:
    """Which of several models is missed least: the older of the two whose losses on the same rows are most alike.

    >>> surplus([np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([0.9, 0.0])])
    1
    """
    pairs = [(older, newer) for newer in range(len(lost)) for older in range(newer)]
    return min(pairs, key=lambda pair: float(np.abs(lost[pair[0]] - lost[pair[1]]).mean()))[0]
