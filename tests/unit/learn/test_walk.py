"""A walk: a learner through a scenario. The naive one forgets, all rows together do not, and what it cost is true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.errors import Refused
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.scenarios import ClassIncremental, Examples, Rotated, Rows, TaskIncremental
from keepfit.learn.walk import walk

linear = pytest.importorskip("sklearn.linear_model")


def _examples() -> Examples:
    """Four classes, each a blob at its own corner of a square image of 2 × 2."""
    random = np.random.default_rng(0)
    y = np.arange(400) % 4
    X = (np.eye(4)[y] + random.normal(0, 0.1, (400, 4))).astype(np.float32)
    return Examples(name="corners", train=Rows(X, y.astype(np.int64)), classes=(0, 1, 2, 3))


def _estimator() -> Any:
    return linear.SGDClassifier(loss="log_loss", random_state=0)


def test_the_naive_forgets(tmp_path: Path) -> None:
    """Corners that are turned contradict what was learnt of them: whoever goes on with the new rows forgets."""
    found = walk(WarmStart(passes=20), _estimator(), Rotated((0, 90)).experiences(_examples(), 0), seed=0,
                 scratch=tmp_path)  # fmt: skip
    first, second = found.accuracies.rows
    assert first[0] > 0.95
    assert second[1] > 0.95
    assert second[0] < 0.5
    assert found.accuracies.forgetting > 0.5


def test_together_has_every_row_so_far(tmp_path: Path) -> None:
    """With `together` classes that came before are still known at the end; without, a refit knows only the last."""
    experiences = ClassIncremental(2).experiences(_examples(), 0)
    joint = walk(Refit(), _estimator(), experiences, seed=0, scratch=tmp_path, together=True)
    naive = walk(Refit(), _estimator(), experiences, seed=0, scratch=tmp_path)
    assert joint.accuracies.acc > 0.95
    assert naive.accuracies.rows[1] == pytest.approx((0.0, 1.0), abs=0.05)


def test_a_task_chooses_among_its_own_classes(tmp_path: Path) -> None:
    """Told the task, a model that knows all classes never answers one of another; without any, it is always wrong."""
    experiences = TaskIncremental(2).experiences(_examples(), 0)
    found = walk(Refit(), _estimator(), experiences, seed=0, scratch=tmp_path)
    assert found.accuracies.rows[0][0] > 0.95
    assert found.accuracies.rows[1][0] == 0.0
    assert found.accuracies.chance == (0.5, 0.5)


def test_a_network_with_heads_is_told_the_task(tmp_path: Path) -> None:
    """With a head per task the first task is still known at the end; with one head for all, not told, it is not."""
    pytest.importorskip("torch")
    from keepfit.learn.deep import MLP, Network
    from keepfit.learn.learners.fine_tune import FineTune

    shared = {"module": MLP((16,)), "lr": 0.01, "batch": 16, "epochs": 30, "standardise": False}
    tasks = TaskIncremental(2).experiences(_examples(), 0)
    told = walk(FineTune(), Network(**shared, heads="task"), tasks, seed=0, scratch=tmp_path)
    assert told.accuracies.rows[1][0] > 0.9
    split = ClassIncremental(2).experiences(_examples(), 0)
    alone = walk(FineTune(), Network(**shared), split, seed=0, scratch=tmp_path)
    assert alone.accuracies.rows[1][0] < 0.5


@dataclass(frozen=True)
class Hoarder:
    """Remembers every row, to see what is carried from lesson to lesson."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        kept = {"X": lesson.X, "y": lesson.y}
        if lesson.memory is not None:
            kept = {name: np.concatenate([lesson.memory.arrays[name], value]) for name, value in kept.items()}
        model = Refit().learn(estimator, replace(lesson, X=kept["X"], y=kept["y"])).model
        rows = pa.table({"_id": list(lesson.ids)})
        return Learnt(model, Memory(type(self).__name__, rows, kept))


def test_memory_is_carried_through_the_disk_and_weighed(tmp_path: Path) -> None:
    """What a learner remembers comes back in the next lesson, and its bytes on disk are those of the last one."""
    found = walk(Hoarder(), _estimator(), ClassIncremental(2).experiences(_examples(), 0), seed=0, scratch=tmp_path)
    assert found.accuracies.acc > 0.95
    last = tmp_path / "memory-1"
    assert found.cost.memory == sum(file.stat().st_size for file in last.iterdir()) > 300 * 4 * 4
    assert found.cost.model > 100


@dataclass(frozen=True)
class Glutton:
    """Takes memory for a moment."""

    megabytes: int = 0

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        taken = np.ones(self.megabytes * 2**17)
        return Learnt(Refit().learn(estimator, lesson).model if taken.size >= 0 else None)


def test_peak_memory_is_seen_though_it_was_given_back(tmp_path: Path) -> None:
    """What a learner took for a moment counts, and what the one before took does not."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not say how much memory a process held")
    experiences = Rotated((0, 90)).experiences(_examples(), 0)
    much, little = (walk(Glutton(size), _estimator(), experiences, seed=0, scratch=tmp_path) for size in (200, 0))
    assert 190 * 2**20 <= much.cost.ram < 400 * 2**20  # of what is there already, a little is given back meanwhile
    assert little.cost.ram < 100 * 2**20


@dataclass(frozen=True)
class Broken:
    """Raises in its second lesson."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        if lesson.parent is not None:
            raise ZeroDivisionError("no more")
        return Refit().learn(estimator, lesson)


def test_a_learner_that_raises_is_refused_by_name(tmp_path: Path) -> None:
    """The error says in which experience it happened, and what was raised."""
    with pytest.raises(Refused, match=r"experience '90°': ZeroDivisionError: no more") as told:
        walk(Broken(), _estimator(), Rotated((0, 90)).experiences(_examples(), 0), seed=0, scratch=tmp_path)
    assert told.value.code == "raised"
