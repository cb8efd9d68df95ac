"""Rows as they come: in order of time, or in chunks of one population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keepfit.core.errors import SpecInvalid
from keepfit.learn.scenarios.parts import HELD_OUT, Examples, Experience, numbered, parted


@dataclass(frozen=True)
class TimeIncremental:
    """Consecutive pieces of a stream; a quarter of each piece, drawn by the seed, is what it is asked about.

    Labels of a piece are known `delay` pieces later than its rows: what is measured ahead (accuracy on a piece by the
    model that was there when it came) is then of a model that much older.
    """

    count: int = 10
    delay: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.delay < 0:
            raise SpecInvalid(f"TimeIncremental: expected count >= 1 and delay >= 0, found {self.count}, {self.delay}")

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per piece, named by its rows."""
        random, found = np.random.default_rng(seed), []
        whole = examples.train
        for part in np.array_split(np.arange(len(whole)), min(self.count, len(whole))):
            shuffled = random.permutation(part)
            held = np.sort(shuffled[: max(1, round(HELD_OUT * len(part)))])
            kept = np.setdiff1d(part, held)
            name = f"rows {part[0] + 1:,} to {part[-1] + 1:,}"
            found.append(Experience(name=name, task=0, train=whole.take(kept), test=whole.take(held), seen=()))
        return numbered(found)


@dataclass(frozen=True)
class DataIncremental:
    """More rows of one population every time, all asked about alike: nothing changes, nothing should be forgotten."""

    count: int = 5

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per chunk of the rows, which are shuffled by the seed."""
        train, test = parted(examples, seed)
        shuffled = np.random.default_rng(seed).permutation(len(train))
        parts = np.array_split(shuffled, min(self.count, len(train)))
        return numbered(
            [
                Experience(name=f"chunk {place + 1}", task=0, train=train.take(part), test=test, seen=())
                for place, part in enumerate(parts)
            ]
        )
