"""Experiences without clear borders, and experiences that return."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keepfit.core.errors import SpecInvalid
from keepfit.learn.scenarios.classes import ClassIncremental, named
from keepfit.learn.scenarios.parts import Examples, Experience, Scenario, groups, numbered, parted


@dataclass(frozen=True)
class Blurry:
    """Every experience is mostly of its own classes, and to `share` of the others'.

    As the blurry borders of Aljundi et al., "Gradient based sample selection for online continual learning" (2019): of
    every class, `share` of the rows is spread evenly over the experiences that are not its own.
    """

    count: int = 5
    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise SpecInvalid(f"Blurry.share: expected a share between 0 and 1, found {self.share}")

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per group of classes, in an order of rows drawn by the seed; tested on its own classes."""
        train, test = parted(examples, seed)
        random = np.random.default_rng(seed)
        chosen = groups(examples.classes, self.count, seed=None)
        home = {one: place for place, group in enumerate(chosen) for one in group}
        place = np.array([home[one] for one in train.y.tolist()])
        if self.count > 1:
            strays = np.flatnonzero(random.random(len(place)) < self.share)
            place[strays] = (place[strays] + random.integers(1, self.count, len(strays))) % self.count
        found = []
        for number, group in enumerate(chosen):
            mine = random.permutation(np.flatnonzero(place == number))
            found.append(Experience(name=named(group), task=0, train=train.take(mine), test=test.of(group), seen=()))
        return numbered(found)


@dataclass(frozen=True)
class Recurring:
    """Every experience of another scenario comes `times` times, each time with other rows of it."""

    of: Scenario = ClassIncremental()
    times: int = 2

    def __post_init__(self) -> None:
        if self.times < 1:
            raise SpecInvalid(f"Recurring.times: expected 1 or more, found {self.times}")

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """The experiences of the other scenario, round after round; all rounds are tested on the same rows."""
        once = self.of.experiences(examples, seed)
        random = np.random.default_rng(seed)
        parts = [np.array_split(random.permutation(len(one.train)), self.times) for one in once]
        found = [
            replace(one, name=f"{one.name} ({turn + 1})" if turn else one.name, train=one.train.take(part[turn]))
            for turn in range(self.times)
            for one, part in zip(once, parts, strict=True)
        ]
        return numbered(found)
