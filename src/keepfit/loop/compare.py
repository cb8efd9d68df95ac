"""Comparison: several Services over one history, each with several seeds, beside simple policies and the oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keepfit.loop.courses import Course
from keepfit.loop.history import Chunk
from keepfit.loop.oracle import Floats, fewest
from keepfit.loop.replay import Replayed

_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""Student's t at 97.5 % for 1, 2, 3, … degrees of freedom; beyond them 2.0 is near enough."""


@dataclass(frozen=True)
class Spread:
    """A quantity over seeds: its mean, and its 95 % interval by Student's t; both ends are the mean for one seed."""

    mean: float
    low: float
    high: float


def spread(found: Sequence[float]) -> Spread:
    """The mean and interval of what several seeds gave.

    >>> spread([1.0, 2.0, 3.0])
    Spread(mean=2.0, low=-0.484..., high=4.484...)
    """
    values = np.asarray(found, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return Spread(mean, mean, mean)
    t = _T[len(values) - 2] if len(values) - 2 < len(_T) else 2.0
    half = t * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Spread(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Entry:
    """One policy over all seeds: how good its answers were, and what that cost.

    `regret` is its loss per Record above that of the best schedule with as many updates, chosen in hindsight; it may be
    negative, since the oracle's models are fitted as the simple policies' are, by nobody's learner. NaN where no oracle
    was asked. `chunks` are the means of the metric per chunk, `simple` says that it is a baseline.
    """

    name: str
    metric: Spread
    updates: Spread
    rows: Spread
    cpu_seconds: Spread
    regret: Spread
    chunks: tuple[float, ...]
    simple: bool = False


@dataclass(frozen=True)
class Ideal:
    """The oracle's own schedules: the least loss per Record for each number of updates, means over seeds."""

    losses: tuple[float, ...]

    def best(self, price: float = 0.0) -> tuple[int, float]:
        """The number of updates, and the loss per Record, at a price per update in loss per Record."""
        totals = [loss + price * count for count, loss in enumerate(self.losses)]
        count = int(np.argmin(totals))
        return count, self.losses[count]


@dataclass(frozen=True)
class Comparison:
    """Policies side by side over one history: those of the file first, the simple ones after them."""

    metric: str
    higher: bool
    rows: int
    skipped: int
    chunks: tuple[Chunk, ...]
    seeds: tuple[int, ...]
    entries: tuple[Entry, ...]
    ideal: Ideal | None = None

    def entry(self, name: str) -> Entry:
        """The policy of that name."""
        return next(entry for entry in self.entries if entry.name == name)


def compared(
    runs: Mapping[str, Sequence[Replayed]], *, seeds: Sequence[int], matrices: Mapping[str, Sequence[Floats]]
) -> Comparison:
    """What came of replays by Service, one for each seed, with the oracle's matrix of losses for each; none for some.

    Simple policies that came out the same for several Services are shown once.
    """
    first = next(iter(runs.values()))[0]
    entries = [
        _entry(name, [one.courses[0] for one in found], matrices.get(name, ()), rows=first.rows)
        for name, found in runs.items()
    ]
    seen: set[tuple[float, ...]] = set()
    for service, found in runs.items():
        for place, course in enumerate(found[0].courses[1:], 1):
            values = tuple(value for one in found for value in one.courses[place].chunks[first.metric])
            if values in seen or any(math.isnan(value) for value in values):
                continue
            seen.add(values)
            name = course.name if found[0] is first else f"{course.name} ({service})"
            entries.append(
                _entry(
                    name, [one.courses[place] for one in found], matrices.get(service, ()), rows=first.rows, simple=True
                )
            )
    return Comparison(
        first.metric,
        first.higher,
        first.rows,
        first.skipped,
        first.chunks,
        tuple(seeds),
        tuple(entries),
        _ideal(next(iter(matrices.values()), ()), first.rows),
    )


def _entry(
    name: str, courses: Sequence[Course], matrices: Sequence[Floats], *, rows: int, simple: bool = False
) -> Entry:
    metric = next(iter(courses[0].total))
    regrets = [_regret(*one, rows) for one in zip(courses, matrices, strict=True)] if matrices else [math.nan]
    by_chunk = np.array([one.chunks[metric] for one in courses])
    return Entry(
        name,
        spread([one.total[metric] for one in courses]),
        spread([one.updates for one in courses]),
        spread([one.rows for one in courses]),
        spread([one.cpu_seconds for one in courses]),
        spread(regrets),
        tuple(float(value) for value in by_chunk.mean(axis=0)),
        simple,
    )


def _regret(course: Course, losses: Floats, rows: int) -> float:
    """The loss per Record above that of the best schedule with as many updates."""
    return course.loss - float(fewest(losses, course.updates)[-1]) / rows


def _ideal(matrices: Sequence[Floats], rows: int) -> Ideal | None:
    if not matrices:
        return None
    curves = np.array([fewest(one) for one in matrices])
    return Ideal(tuple(float(value) for value in curves.mean(axis=0) / rows))
