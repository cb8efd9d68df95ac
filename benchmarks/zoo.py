"""How long does the whole zoo of learners take on rotated and on split digits, and does replay earn what it should?

Every registered learner that trains a network trains the same small one (100 hidden units, batches of 32, 10 epochs),
all others a linear classifier, on rotated digits; five experiences, on both cores. Replay remembers 500
rows. Nothing here is a peer's: the limits are the naive learner and the one that has all rows.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any

from benchmarks.harness import SHORT, Line, Sample, either
from keepfit.core.clock import SystemClock
from keepfit.core.registry import load, names
from keepfit.edge.bench.asked import baselines, default_estimator
from keepfit.learn.learners.fine_tune import FineTune
from keepfit.learn.learners.replay import Replay
from keepfit.learn.scenarios import ClassIncremental, Rotated, Scenario
from keepfit.learn.scenarios.sources import digits
from keepfit.loop.bench import Contender, Experiment, bench
from keepfit.loop.standings import Benched

SEEDS = either(2, 1)
POINTS = 0.10
LIMIT = 120.0
IMPORTED = ("keepfit.learn.walk", "keepfit.learn.deep.study", "sklearn.pipeline", "sklearn.linear_model")
FEW = ("FineTune", "Replay", "Joint", "Refit", "WarmStart")


@dataclass(frozen=True)
class Ring:
    """A scenario and who contends in it."""

    name: str
    scenario: Scenario
    deep: bool


RINGS = (
    Ring("rotated-digits", Rotated(), deep=True),
    Ring("split-digits", ClassIncremental(), deep=True),
    Ring("rotated-digits, linear", Rotated(), deep=False),
)


def _learners(deep: bool) -> list[tuple[str, Any]]:
    """Every registered learner of a kind, with its own defaults; replay with 500 rows."""
    there = [name for name in names("keepfit.learners") if name != "Avalanche"]  # others' methods, of another package
    wanted = FEW if SHORT else tuple(there)
    found = [(name, load("keepfit.learners", name)) for name in wanted]
    chosen = [(name, kind()) for name, kind in found if issubclass(kind, FineTune) is deep]
    return [("Replay", Replay(rows=500)) if name == "Replay" else (name, made) for name, made in chosen]


def _forked_from() -> float:
    """Start the process that all runs are forked from, with what every ring imports; how long that took, in seconds."""
    began = time.perf_counter()
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(IMPORTED))
    forkserver.ensure_running()
    return time.perf_counter() - began


def _ring(ring: Ring) -> Benched:
    examples = digits()
    learners = _learners(ring.deep)
    estimator = default_estimator(ring.scenario, examples, [one for _, one in learners])
    asked = tuple(Contender(name=name, learner=one) for name, one in learners)
    there = () if ring.deep else baselines(estimator, examples)[1:]  # the naive one is in the zoo
    experiment = Experiment(
        name=ring.name,
        contenders=(*asked, *there),
        scenario=ring.scenario,
        examples=examples,
        estimator=estimator,
        seeds=SEEDS,
    )
    return bench(experiment, clock=SystemClock(), workers=2)


def run() -> list[Line]:
    """The zoo once, and replay beside the naive and the joint learner on each ring of networks."""
    lines: list[Line] = []
    spent = _forked_from()
    for ring in RINGS:
        began = time.perf_counter()
        found = _ring(ring)
        spent += time.perf_counter() - began
        for one in found.standings:
            print(f"  {ring.name:>24}  {one.name:<20} {100 * one.accuracy:5.1f} %  {one.reason}", flush=True)
        if ring.deep:
            lines += _replay(ring.name, found)
    count = sum(len(_learners(ring.deep)) for ring in RINGS)
    whole = Line(
        what=f"the whole zoo: {count} learners in {len(RINGS)} rings, {SEEDS} seeds each",
        ours=Sample((spent,)),
        unit="s",
        reach=f"at most {LIMIT:g} s on 2 cores",
        reached=spent <= LIMIT,
    )
    return [whole, *lines]


def _replay(ring: str, found: Benched) -> list[Line]:
    """Replay between what forgets and what has everything; the bounds are checked on means over seeds."""
    naive, replay, joint = (100 * found.standing(name).accuracy for name in ("FineTune", "Replay", "Joint"))
    return [
        Line(
            what=f"{ring}: replay (500 rows), final accuracy, beside fine-tuning",
            ours=Sample((replay,)),
            peer=Sample((naive,)),
            peer_is="fine-tuning",
            unit="%",
            reach="at least 10 points more",
            reached=replay >= naive + 100 * POINTS,
        ),
        Line(
            what=f"{ring}: replay (500 rows), final accuracy, beside all rows together",
            ours=Sample((replay,)),
            peer=Sample((joint,)),
            peer_is="joint",
            unit="%",
            reach="at most as much",
            reached=replay <= joint,
        ),
    ]
