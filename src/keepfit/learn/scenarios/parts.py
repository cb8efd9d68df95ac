"""What scenarios are made of: rows, the examples given, and the experiences they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid, SpecInvalid

Class = str | int | bool

HELD_OUT = 0.25
"""The share of the examples that is held out for testing where they come without test rows."""


@dataclass(frozen=True)
class Rows:
    """Rows with their labels: `X` one matrix (n, features) or a DataFrame, `y` of shape (n,)."""

    X: Any
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, places: NDArray[np.int64]) -> Rows:
        """The rows at some places, in that order."""
        table = hasattr(self.X, "iloc")
        return Rows(self.X.iloc[places].reset_index(drop=True) if table else self.X[places], self.y[places])

    def of(self, classes: Sequence[Class]) -> Rows:
        """The rows of some classes, in order."""
        return self.take(np.flatnonzero(np.isin(self.y, np.array(classes, dtype=self.y.dtype))))


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What a scenario is made from: rows in order of time, all classes, and test rows where there are some.

    Without test rows, a quarter of the rows of every class is held out, drawn by the seed.
    """

    name: str
    train: Rows
    test: Rows | None = None
    classes: tuple[Class, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataInvalid(
                f"{self.name}: expected at least two classes to learn one after the other, found {list(self.classes)}"
            )


@dataclass(frozen=True, kw_only=True)
class Experience:
    """A piece of a scenario: what is learnt from, and what is asked about it ever after.

    `task` is its number, `seen` the classes that have appeared up to here. Where `within` is not empty, the model is
    told when it is asked that the answer is one of these classes: that is what makes a scenario task-incremental.
    """

    name: str
    task: int
    train: Rows
    test: Rows
    seen: tuple[Class, ...]
    within: tuple[Class, ...] = ()


@runtime_checkable
class Scenario(Protocol):
    """A way to cut examples into experiences."""

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """The experiences, in order; the same for the same examples and seed."""
        ...


def delay_of(scenario: Scenario) -> int:
    """How many experiences later a scenario's labels are known; none but those of time say."""
    return int(getattr(scenario, "delay", 0))


def parted(examples: Examples, seed: int) -> tuple[Rows, Rows]:
    """Train and test rows, each in order; the held-out quarter is drawn class by class."""
    if examples.test is not None:
        return examples.train, examples.test
    random = np.random.default_rng(seed)
    y = examples.train.y
    held = np.zeros(len(y), dtype=bool)
    for one in examples.classes:
        places = np.flatnonzero(y == one)
        held[random.permutation(places)[: round(HELD_OUT * len(places))]] = True
    return examples.train.take(np.flatnonzero(~held)), examples.train.take(np.flatnonzero(held))


def groups(classes: Sequence[Class], count: int, *, seed: int | None) -> list[tuple[Class, ...]]:
    """`count` groups of the classes, in order or (with a seed) shuffled, as equal in size as can be.

    >>> groups((0, 1, 2, 3, 4), 2, seed=None)
    [(0, 1, 2), (3, 4)]
    """
    if not 1 <= count <= len(classes):
        raise SpecInvalid(f"{len(classes)} classes cannot be spread over {count} experiences; ask for fewer")
    order = np.arange(len(classes)) if seed is None else np.random.default_rng(seed).permutation(len(classes))
    return [tuple(classes[place] for place in part) for part in np.array_split(order, count)]


def numbered(found: Sequence[Experience]) -> tuple[Experience, ...]:
    """The experiences with their numbers, and with the classes seen up to each."""
    seen: set[Class] = set()
    told = []
    for task, one in enumerate(found):
        seen |= set(one.train.y.tolist())
        told.append(replace(one, task=task, seen=tuple(sorted(seen))))
    for one in told:
        if not len(one.train) or not len(one.test):
            raise DataInvalid(
                f"experience '{one.name}' has {len(one.train)} rows to learn from and {len(one.test)} to be tested on; "
                "ask for fewer experiences or bring more rows"
            )
    return tuple(told)
