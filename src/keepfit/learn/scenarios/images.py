"""The same images turned, or with their pixels in another order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.learn.scenarios.parts import Examples, Experience, Rows, numbered, parted


@dataclass(frozen=True)
class Rotated:
    """All classes in every experience, the images turned by one of `angles` (degrees, anticlockwise).

    As the rotations of Lopez-Paz and Ranzato, "Gradient episodic memory for continual learning" (2017). Every image is
    seen once: the rows are spread over the experiences, unless `whole`, where each has all of them.
    """

    angles: tuple[float, ...] = (0.0, 45.0, 90.0, 135.0, 180.0)
    whole: bool = True

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per angle."""
        train, test = parted(examples, seed)
        side = _side(train, examples.name)
        parts = _parts(train, len(self.angles), seed, whole=self.whole)
        found = []
        for angle, part in zip(self.angles, parts, strict=True):
            turned = turning(side, angle)
            learnt, asked = (Rows(_through(rows, turned), rows.y) for rows in (part, test))
            found.append(Experience(name=f"{angle:g}°", task=0, train=learnt, test=asked, seen=()))
        return numbered(found)


@dataclass(frozen=True)
class Permuted:
    """All classes in every experience, the pixels in an order of its own; the first keeps theirs.

    As the permutations of Goodfellow et al., "An empirical investigation of catastrophic forgetting" (2013).
    """

    count: int = 5
    whole: bool = True

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per order of the pixels, drawn by the seed."""
        train, test = parted(examples, seed)
        random, width = np.random.default_rng(seed), np.asarray(train.X).shape[1]
        found = []
        for place, part in enumerate(_parts(train, self.count, seed, whole=self.whole)):
            order = random.permutation(width) if place else np.arange(width)
            learnt, asked = (Rows(np.asarray(rows.X)[:, order], rows.y) for rows in (part, test))
            name = f"order {place + 1}" if place else "as it is"
            found.append(Experience(name=name, task=0, train=learnt, test=asked, seen=()))
        return numbered(found)


def turning(side: int, angle: float) -> NDArray[np.float32]:
    """The matrix (side², side²) that turns a flat square image anticlockwise about its middle, bilinearly.

    >>> turned = np.arange(9.0) @ turning(3, 90).T
    >>> turned.reshape(3, 3).round(3).tolist()
    [[2.0, 5.0, 8.0], [1.0, 4.0, 7.0], [0.0, 3.0, 6.0]]
    """
    middle, radians = (side - 1) / 2, math.radians(angle)
    row, column = np.divmod(np.arange(side * side), side)
    down, right = row - middle, column - middle
    # where the value of each pixel comes from: rows count downwards, so anticlockwise looks as clockwise does in axes
    source_row = math.cos(radians) * down + math.sin(radians) * right + middle
    source_column = -math.sin(radians) * down + math.cos(radians) * right + middle
    matrix = np.zeros((side * side, side * side), dtype=np.float32)
    for shift_row in (0, 1):
        for shift_column in (0, 1):
            near_row = np.floor(source_row + 1e-9).astype(int) + shift_row
            near_column = np.floor(source_column + 1e-9).astype(int) + shift_column
            share = (1 - abs(source_row - near_row)).clip(0) * (1 - abs(source_column - near_column)).clip(0)
            inside = (near_row >= 0) & (near_row < side) & (near_column >= 0) & (near_column < side)
            places = np.flatnonzero(inside)
            matrix[places, near_row[places] * side + near_column[places]] += share[places]
    return matrix


def _through(rows: Rows, matrix: NDArray[np.float32]) -> Any:
    return np.asarray(rows.X, dtype=np.float32) @ matrix.T


def _side(rows: Rows, name: str) -> int:
    width = np.asarray(rows.X).shape[1]
    side = math.isqrt(width)
    if side * side != width:
        raise DataInvalid(f"{name}: only square images can be turned, and {width} features are none")
    return side


def _parts(train: Rows, count: int, seed: int, *, whole: bool) -> Iterator[Rows]:
    if whole:
        yield from [train] * count
        return
    shuffled = np.random.default_rng(seed).permutation(len(train))
    yield from (train.take(part) for part in np.array_split(shuffled, count))
