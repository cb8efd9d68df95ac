"""Standings: what an Experiment found, learner by learner, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from statistics import fmean

from keepfit.learn.accuracies import MEASURES, Interval
from keepfit.learn.walk import WATTS, Walk


@dataclass(frozen=True)
class Tried:
    """One learner with one seed: its walk, or why there is none; `reused` where the ledger knew it."""

    name: str
    seed: int
    walk: Walk | None = None
    code: str = ""
    reason: str = ""
    reused: bool = False


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One learner over its seeds: measures and costs with their intervals, and the mean accuracy matrix.

    Costs are `seconds` and `cpu_seconds` of learning, `ram`, `model` and `memory` in bytes, and `joules`, a proxy.
    """

    name: str
    measures: dict[str, Interval] = field(default_factory=dict)
    costs: dict[str, Interval] = field(default_factory=dict)
    matrix: tuple[tuple[float, ...], ...] = ()
    runs: int = 0
    reused: int = 0
    failed: int = 0
    reason: str = ""

    @property
    def accuracy(self) -> float:
        """The mean final accuracy, NaN where no run ended well."""
        found = self.measures.get("ACC")
        return found.mean if found else nan


@dataclass(frozen=True, kw_only=True)
class Benched:
    """An Experiment, `done` of its `runs`: its experiences by name, and the standings, the best first."""

    name: str
    experiences: tuple[str, ...]
    standings: tuple[Standing, ...]
    seeds: int
    runs: int
    done: int

    def standing(self, name: str) -> Standing:
        """The standing of that name."""
        return next(one for one in self.standings if one.name == name)


def standings(name: str, experiences: Sequence[str], found: Sequence[Tried], *, seeds: int, runs: int) -> Benched:
    """Rank what was tried of so many `runs` by final accuracy."""
    by_name: dict[str, list[Tried]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    ranked = [_standing(one, tried) for one, tried in by_name.items()]
    ranked.sort(key=lambda one: (isnan(one.accuracy), -one.accuracy, one.name))
    length = max((len(one.matrix) for one in ranked), default=0)
    called = tuple(experiences) or tuple(f"experience {place + 1}" for place in range(length))
    return Benched(name=name, experiences=called, standings=tuple(ranked), seeds=seeds, runs=runs, done=len(found))


def _standing(name: str, tried: Sequence[Tried]) -> Standing:
    walks = [one.walk for one in tried if one.walk is not None]
    failed = [one for one in tried if one.walk is None]
    reason = f"seed {failed[0].seed}: {failed[0].reason}" if failed else ""
    if not walks:
        return Standing(name=name, failed=len(failed), reason=reason)
    measured = [one.accuracies.measures() for one in walks]
    matrices = [one.accuracies.rows for one in walks]
    size = range(len(matrices[0]))
    return Standing(
        name=name,
        measures={key: Interval.of([one[key] for one in measured]) for key in MEASURES},
        costs={key: Interval.of([float(getattr(one.cost, key)) for one in walks]) for key in COSTS},
        matrix=tuple(tuple(fmean(one[i][j] for one in matrices) for j in size) for i in size),
        runs=len(walks),
        reused=sum(one.reused for one in tried),
        failed=len(failed),
        reason=reason,
    )


COSTS: dict[str, str] = {
    "seconds": "seconds of learning",
    "cpu_seconds": "CPU-seconds of learning",
    "ram": "most memory beyond what the process held before",
    "memory": "what the learner carries, on disk",
    "model": "the model, pickled",
    "joules": f"energy proxy: CPU-seconds × {WATTS:g} W, not measured",
}
"""What a run costs, by the name of the Cost's field."""
