"""Walk: one learner, from nothing, through all experiences of a scenario; what it knew on the way, and what it cost."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, Refused
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.core.protocols import Learner
from keepfit.learn import memory as memories
from keepfit.learn.accuracies import Accuracies
from keepfit.learn.native import threads
from keepfit.learn.scenarios.parts import Class, Experience, Rows

WATTS = 10.0
"""Watts taken for one busy core. Energy is a proxy: CPU-seconds times this, not a measurement."""

_STATUS = Path("/proc/self/status")
_PEAK = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """What a walk took: seconds of learning by the clock and of the processor, bytes of memory and on disk.

    `ram` is the most this process held beyond what it held before (0 where the system does not say), `model` the
    model's pickle, `memory` what the learner carried on disk at the end.
    """

    seconds: float
    cpu_seconds: float
    ram: int
    model: int
    memory: int

    @property
    def joules(self) -> float:
        """The energy proxy: CPU-seconds × WATTS."""
        return self.cpu_seconds * WATTS


@dataclass(frozen=True)
class Walk:
    """The accuracies of one learner with one seed, and what they cost."""

    accuracies: Accuracies
    cost: Cost

    def delayed(self, delay: int) -> Walk:
        """The same, as it is told where labels come so many experiences late."""
        return replace(self, accuracies=replace(self.accuracies, delay=delay))


def walk(
    learner: Learner,
    estimator: Any,
    experiences: Sequence[Experience],
    *,
    seed: int,
    scratch: Path,
    together: bool = False,
) -> Walk:
    """Learn the experiences one after the other, and ask about all of them after each.

    The memory goes through `scratch`, as it does between updates. With `together` every lesson has all rows so far:
    what a learner could do if nothing had to be thrown away. Raises Refused where the learner raises.
    """
    classes = tuple(sorted(set().union(*(one.seen for one in experiences))))
    experiences = [_told(one, getattr(estimator, "heads", None)) for one in experiences]
    ids = [tuple(f"{place}:{row}" for row in range(len(one.train))) for place, one in enumerate(experiences)]
    state, rows, spent, cpu = Learnt(None), list[tuple[float, ...]](), 0.0, 0.0
    before, kept = _peak(anew=True), 0
    with threads(1):
        for place, one in enumerate(experiences):
            given = joined([past.train for past in experiences[: place + 1]]) if together else one.train
            lesson = Lesson(
                X=given.X,
                y=given.y,
                ids=tuple(chain(*ids[: place + 1])) if together else ids[place],
                classes=classes,
                parent=None if together else state.model,
                memory=state.memory,
                seed=seed,
            )
            began, busy = time.perf_counter(), time.process_time()
            state = _learnt(learner, estimator, lesson, one)
            spent, cpu = spent + time.perf_counter() - began, cpu + time.process_time() - busy
            memory, kept = _carried(state.memory, scratch / f"memory-{place}", type(learner).__name__)
            state = Learnt(state.model, memory)
            rows.append(tuple(accuracy(state.model, asked) for asked in experiences))
    ram = max(0, _peak() - before)
    chance = tuple(1 / len(one.within or classes) for one in experiences)
    cost = Cost(spent, cpu, ram, len(pickle.dumps(state.model, protocol=5)), kept)
    return Walk(Accuracies(tuple(rows), chance), cost)


def _told(one: Experience, heads: str | None) -> Experience:
    """A task-incremental experience for an estimator with a head per task: with the column that names the task."""
    if not one.within or heads is None:
        return one
    import pandas as pd

    def told(rows: Rows) -> Rows:
        X = pd.DataFrame(rows.X).rename(columns=str)
        return Rows(X.assign(**{heads: float(one.task)}), rows.y)

    return replace(one, train=told(one.train), test=told(one.test))


def accuracy(model: Any, asked: Experience) -> float:
    """The share of an experience's test rows that a model answers rightly, within its classes where it is told them."""
    return float(np.mean(answers(model, asked.test.X, asked.within) == asked.test.y))


def answers(model: Any, X: Any, within: Sequence[Class] = ()) -> NDArray[Any]:
    """A model's predictions; the likeliest of `within` where that is not empty."""
    if not within:
        return np.asarray(model.predict(X))
    known = np.asarray(model.classes_)
    columns = np.flatnonzero(np.isin(known, np.array(within, dtype=known.dtype)))
    if not len(columns):
        return np.full(len(X), None, dtype=object)  # it knows none of them, so nothing it says is right
    chosen: NDArray[Any] = known[columns][np.asarray(model.predict_proba(X))[:, columns].argmax(axis=1)]
    return chosen


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows of some parts, in order."""
    y = np.concatenate([part.y for part in parts])
    if hasattr(parts[0].X, "iloc"):
        import pandas as pd

        return Rows(pd.concat([part.X for part in parts], ignore_index=True), y)
    return Rows(np.concatenate([part.X for part in parts]), y)


def _learnt(learner: Learner, estimator: Any, lesson: Lesson, one: Experience) -> Learnt:
    try:
        return learner.learn(estimator, lesson)
    except KeepfitError as error:
        raise Refused(f"experience '{one.name}': {error}", code=error.code) from error
    except Exception as error:
        raise Refused(f"experience '{one.name}': {type(error).__name__}: {error}", code="raised") from error


def _carried(memory: Memory | None, folder: Path, kind: str) -> tuple[Memory | None, int]:
    """The memory as the next update finds it, and its bytes on disk."""
    if memory is None:
        return None, 0
    memories.save(memory, folder)
    return memories.load(folder, kind), sum(file.stat().st_size for file in folder.iterdir())


def _peak(*, anew: bool = False) -> int:
    """The most memory this process has held (with `anew`: count from now on, and what it holds now), in bytes."""
    if anew and os.access(_PEAK, os.W_OK):
        _PEAK.write_text("5", encoding="ascii")  # proc(5): resets VmHWM
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    wanted = "VmRSS:" if anew else "VmHWM:"
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted)), 0)
