"""Auto: let learners compete on the newest labels, beside models of the past, and hear those that predict best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused, SpecInvalid
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.core.protocols import Learner
from keepfit.learn import shelf as shelves
from keepfit.learn.committee import classes_in, committee
from keepfit.learn.learners.refit import Refit
from keepfit.learn.learners.warm_start import WarmStart
from keepfit.learn.lessons import SEEN, newest, part, seen, unseen
from keepfit.learn.losses import interval, losses, surely_less
from keepfit.learn.pickled import packed, unpacked
from keepfit.learn.within import inner, outer

FEW = 30
"""Fewer new rows than this say too little of a model to store it."""

WORTH = 100
"""A lesson says at most what so many rows would say: errors of one time go together, and the next month is another."""

SCORED = 5_000
"""New rows beyond these many newest ones are not scored, only learnt."""


@dataclass(frozen=True)
class Auto:
    """Let `competitors` learn every lesson, and return what has predicted best, by the rows it had not learnt yet.

    Every model that was there before the lesson is first scored on its new rows: those of the competitors, and at most
    `most` models of the past, which are kept because nothing else there was as good in its time. Trust goes from row to
    row by the fixed-share rule: it falls by exp(-`rate` times the loss), and `share` of it is dealt out anew, so that
    what is right today can lead after a few dozen rows however long it was wrong. Herbster & Warmuth (1998),
    "Tracking the best expert". While that is open, all that have at least `heard` of the leader's trust answer
    together, weighed by it, which loses less than guessing who is best (Vovk 1990, "Aggregating strategies"); with
    `heard` 1 the leader answers alone. A competitor that refuses a lesson keeps its model; one that has grown too large
    begins anew. Costs as much as all competitors together.

    Memory: `names` and `trust` of all that compete, `chosen` the name of the leader (`stored 2` is the second oldest
    model of the past).
    """

    competitors: tuple[Learner, ...] = (Refit(), Refit(newest=1000), WarmStart())
    most: int = 10
    rate: float = 0.25
    share: float = 0.0001
    heard: float = 0.1

    def __post_init__(self) -> None:
        bounded = 0 < self.share < 1 and 0 < self.heard <= 1
        if not self.competitors or self.most < 0 or not self.rate > 0 or not bounded:
            raise SpecInvalid(
                "Auto: expected at least one competitor, most >= 0, rate > 0, share and heard between 0 and 1, found "
                f"{len(self.competitors)}, {self.most}, {self.rate}, {self.share} and {self.heard}"
            )

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """The models that are trusted most after the new rows, as one, once their learners have learnt them too."""
        race = _opened(self, lesson)
        new = newest(part(lesson, unseen(lesson)), SCORED)
        if len(new.y) and any(one is not None for one in race.models):
            race = self._scored(race, new)
        return self._trained(race, estimator, lesson)

    def _scored(self, race: _Race, new: Lesson) -> _Race:
        lost = [losses(model, new) if model is not None else None for model in race.candidates]
        rate = self.rate * min(1.0, WORTH / len(new.y))
        trust = tracked(race.trust, _bounded(lost, numbers=not new.classes), rate=rate, share=self.share)
        leader = int(np.argmax(trust[: len(race.models)]))
        found, model = lost[leader], race.models[leader]
        shelf = [one for one in lost[len(race.models) :] if one is not None]
        if self.most and model is not None and found is not None and len(new.y) >= FEW:
            return self._kept(replace(race, trust=trust), model, found, shelf)
        return replace(race, trust=trust)

    def _kept(self, race: _Race, model: Any, lost: NDArray[np.float64], shelf: list[NDArray[np.float64]]) -> _Race:
        """Store the leader's model where it is surely better than all stored; freshen the one it merely equals.

        One is freshened only by a model that does as well as it did in its own time: so a model of two mixed worlds
        never takes the place of one of a pure world.
        """
        mean = float(lost.mean())
        best = int(np.argmin([one.mean() for one in shelf])) if shelf else -1
        if best < 0 or surely_less(lost, shelf[best]):
            return self._stored(race, shelves.stored(model, mean), [*shelf, lost])
        level = race.shelf[best].level
        if mean <= float(shelf[best].mean()) and mean <= level + interval(lost):
            fresh = shelves.stored(model, 0.9 * level + 0.1 * mean)
            return replace(race, shelf=(*race.shelf[:best], fresh, *race.shelf[best + 1 :]))
        return race

    def _stored(self, race: _Race, stored: shelves.Stored, lost: list[NDArray[np.float64]]) -> _Race:
        shelf, trust = (*race.shelf, stored), np.append(race.trust, self.share / len(race.trust))
        if len(shelf) > self.most:
            gone = shelves.surplus(lost) if self.most > 1 else 0
            shelf, trust = (*shelf[:gone], *shelf[gone + 1 :]), np.delete(trust, len(race.models) + gone)
        return replace(race, shelf=shelf, trust=trust / trust.sum())

    def _trained(self, race: _Race, estimator: Any, lesson: Lesson) -> Learnt:
        models, arrays, refusal = list(race.models), dict[str, NDArray[Any]](), None
        for place, learner in enumerate(self.competitors):
            under = f"{place}/"
            given = replace(inner(learner, lesson, under), parent=race.models[place])
            try:
                learnt = _begun_anew(learner, estimator, given)
            except Refused as error:
                refusal, learnt = error, Learnt(race.models[place], given.memory)
            models[place] = learnt.model
            arrays |= outer(learner, learnt, under)
        trained = replace(race, models=tuple(models))
        if not any(model is not None for model in trained.candidates):
            raise refusal or Refused("no competitor made a model")
        return self._heard(trained, lesson, arrays)

    def _heard(self, race: _Race, lesson: Lesson, arrays: dict[str, NDArray[Any]]) -> Learnt:
        """The leader, with those beside it that are trusted nearly as much."""
        there = [model is not None for model in race.candidates]
        trust = np.where(there, race.trust, 0.0)
        heard = np.flatnonzero(trust >= self.heard * trust.max())
        models = [race.candidates[place] for place in heard]
        model = models[0] if len(models) == 1 else committee(models, trust[heard].tolist(), classes_in(lesson, models))
        return Learnt(model, _memory(self, race, lesson, int(np.argmax(trust)), arrays))


@dataclass(frozen=True)
class _Race:
    """The competitors' models (None before the first lesson), the stored ones, and the trust in each of both."""

    models: tuple[Any, ...]
    shelf: shelves.Shelf
    trust: NDArray[np.float64]

    @property
    def candidates(self) -> tuple[Any, ...]:
        return (*self.models, *(one.model for one in self.shelf))


def tracked(trust: NDArray[np.float64], lost: NDArray[np.float64], *, rate: float, share: float) -> NDArray[np.float64]:
    """Trust after some rows: `lost` has a row per candidate, losses in [0, 1] in order of time.

    >>> lost = np.repeat([[0.0], [1.0]], 50, axis=1)
    >>> right, wrong = tracked(np.array([0.001, 0.999]), lost, rate=1.0, share=0.001)
    >>> bool(right > 0.99), bool(wrong > 0.0001)
    (True, True)
    """
    for row in lost.T:
        trust = trust * np.exp(-rate * row)
        trust = (1 - share) * trust / trust.sum() + share / len(trust)
    return trust


def _bounded(lost: list[NDArray[np.float64] | None], *, numbers: bool) -> NDArray[np.float64]:
    """Losses in [0, 1]: errors of numbers as shares of four times their mean; what has no model loses 1."""
    rows = next(len(one) for one in lost if one is not None)
    scale = 4 * float(np.mean([one for one in lost if one is not None])) if numbers else 1.0
    found = [np.ones(rows) if one is None else np.minimum(1.0, one / (scale or 1.0)) for one in lost]
    return np.stack(found)


def _begun_anew(learner: Learner, estimator: Any, lesson: Lesson) -> Learnt:
    try:
        return learner.learn(estimator, lesson)
    except Refused as error:
        if error.code != "grown_too_large":
            raise
        return learner.learn(estimator, replace(lesson, parent=None, memory=None))


def _opened(auto: Auto, lesson: Lesson) -> _Race:
    arrays = lesson.memory.arrays if lesson.memory else {}
    count = len(auto.competitors)
    names = [str(one) for one in arrays.get("names", ())]
    expected = [type(one).__name__ for one in auto.competitors]
    if names and names[: len(names) - len(arrays["levels"])] != expected:
        raise Refused(
            f"in the memory {', '.join(names)} compete, in this recipe {', '.join(expected)}; keep the competitors and "
            "their order, or begin again without memory (one update by Refit() forgets it)",
            code="memory_of_another_learner",
        )
    models = tuple(unpacked(arrays[key]) if (key := f"model/{place}") in arrays else None for place in range(count))
    shelf = shelves.opened(arrays)
    return _Race(models, shelf, arrays.get("trust", np.full(count, 1.0 / count)))


def _memory(auto: Auto, race: _Race, lesson: Lesson, chosen: int, arrays: dict[str, NDArray[Any]]) -> Memory:
    names = [type(one).__name__ for one in auto.competitors]
    names += [f"stored {place + 1}" for place in range(len(race.shelf))]
    models = {f"model/{place}": packed(one) for place, one in enumerate(race.models) if one is not None}
    told = {"names": np.array(names), "chosen": np.array(names[chosen]), "trust": race.trust, SEEN: seen(lesson.ids)}
    return Memory(type(auto).__name__, arrays={**arrays, **models, **shelves.closed(race.shelf), **told})
