"""The laws of learners that teach a Network: what holds for every method, lesson after lesson."""

# ruff: noqa: S101 - these are assertions about somebody else's code, for use in tests

from __future__ import annotations

import pickle
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from keepfit.core.errors import Refused
from keepfit.core.nouns import RECORD_ID, Learnt, Lesson, Memory
from keepfit.core.protocols import Learner
from keepfit.core.registry import from_plain, to_plain
from keepfit.learn import memory as memories
from keepfit.learn.deep import MLP, Network, checkpoints

CLASSES = ("ant", "bee", "cat", "dog")
_CENTRES = np.array([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0], [-3.0, -3.0, 0.0]])


class Fragile(nn.Sequential):
    """A module that breaks off the process's work after some calls, as a kill would."""

    left: int | None = None

    def forward(self, rows: Tensor) -> Tensor:
        """What the layers answer, while there are calls left."""
        if Fragile.left is not None and self.training:
            Fragile.left -= 1
            if Fragile.left < 0:
                raise KeyboardInterrupt
        found: Tensor = super().forward(rows)  # type: ignore[no-untyped-call]  # torch's own has no types
        return found


def fragile(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Such a module, with dropout, so that random numbers are spent on the way."""
    return Fragile(*MLP((16,), dropout=0.1)(shape, outputs).children())


def network(**changed: Any) -> Network:
    """A small Network for four classes of three numbers."""
    return Network(**{"module": fragile, "lr": 0.01, "epochs": 12, "batch": 32, **changed})


def lessons(seed: int = 0) -> tuple[Lesson, ...]:
    """Two classes, two others, and one of the first again beside one of the second."""
    random = np.random.default_rng(seed)
    made = []
    for number, present in enumerate(((0, 1), (2, 3), (0, 3))):
        codes = random.choice(present, 90)
        rows = _CENTRES[codes] + random.normal(size=(90, 3))
        X = pd.DataFrame(rows, columns=list("abc"))
        ids = tuple(f"{number}-{place}" for place in range(90))
        y = np.array(CLASSES, dtype=object)[codes]
        made.append(Lesson(X=X, y=y, ids=ids, classes=CLASSES, seed=7))
    return tuple(made)


def check_deep_learner(learner: Learner) -> None:
    """A deep learner repeats itself, leaves alone what it is given, keeps its bounds, and goes on where it was stopped.

    Over three lessons, with its memory going through a file each time, as an update does it.
    """
    global_state = _global_state()
    parent, memory, sizes = None, None, []
    for lesson in lessons():
        given = replace(lesson, parent=parent, memory=memory)
        learnt = _check_lesson(learner, given)
        parent, memory = learnt.model, learnt.memory
        sizes.append(_check_memory(learner, memory))
    assert sizes[2] <= max(sizes[1], *_declared(learner)), f"{learner!r}: its memory grows without end: {sizes} bytes"
    assert _global_state() == global_state, f"{learner!r} changes random numbers or threads of the whole process"
    _check_forgetting(learner, parent, memory)
    _check_divergence(learner)
    _check_tasks(learner)
    _check_numbers(learner)
    stored = from_plain(tuple[Learner, ...], to_plain((learner,)))
    assert to_plain(stored) == to_plain((learner,)), f"{learner!r} does not come back from plain data: {stored!r}"


def _check_lesson(learner: Learner, lesson: Lesson) -> Learnt:
    before = _bytes_of(lesson)
    estimator = network()
    learnt = learner.learn(estimator, lesson)
    assert _bytes_of(lesson) == before, f"{learner!r} changes the lesson, its parent or its memory"
    assert vars(estimator) == vars(network()), f"{learner!r} changes the estimator it is given"
    again = learner.learn(network(), _through_a_file(learner, lesson))
    assert _outcome(again) == _outcome(learnt), (
        f"{learner!r} does not repeat itself for a seed and a memory from a file"
    )
    other = learner.learn(network(), replace(lesson, seed=lesson.seed + 1))
    assert pickle.dumps(other.model) != pickle.dumps(learnt.model), f"{learner!r} does not look at the seed"
    _check_interrupted(learner, lesson, learnt)
    right = (learnt.model.predict(lesson.X) == lesson.y).mean()
    assert lesson.parent is not None or right > 0.8, f"{learner!r} has only {right:.0%} of its first lesson right"
    return learnt


def _check_interrupted(learner: Learner, lesson: Lesson, whole: Learnt) -> None:
    every, checkpoints.EVERY = checkpoints.EVERY, 0.0
    try:
        for steps in (1, 17):
            with tempfile.TemporaryDirectory() as folder:
                tried = replace(lesson, checkpoint=Path(folder))
                Fragile.left = steps
                try:
                    learner.learn(network(), tried)
                except KeyboardInterrupt:
                    Fragile.left = None
                resumed = learner.learn(network(), tried)
                same = _outcome(resumed) == _outcome(whole)
                assert same, f"{learner!r}, stopped after {steps} batches and continued, learns something else"
    finally:
        checkpoints.EVERY, Fragile.left = every, None


def _check_memory(learner: Learner, memory: Memory | None) -> int:
    """Its rows have ids and are no more than declared; how many bytes it has."""
    if memory is None:
        return 0
    assert memory.kind == type(learner).__name__, f"{learner!r} signs its memory as {memory.kind}"
    most = getattr(learner, "rows", None)
    if memory.rows is None:
        return sum(values.nbytes for values in memory.arrays.values())
    assert most is not None, f"{learner!r} remembers rows without a bound named `rows`"
    assert memory.rows.num_rows <= most, f"{learner!r} remembers {memory.rows.num_rows} rows, more than its {most}"
    ids = memory.rows[RECORD_ID].to_pylist()
    assert len(set(ids)) == len(ids), f"{learner!r} remembers a row twice"
    known = {one: lesson for lesson in lessons() for one in lesson.ids}
    assert set(ids) <= set(known), f"{learner!r} remembers ids that were not given"
    return int(memory.rows.nbytes) + sum(values.nbytes for values in memory.arrays.values())


def _check_forgetting(learner: Learner, parent: Any, memory: Memory | None) -> None:
    """Records taken out of its memory do not come back, and it goes on without them."""
    if memory is None or memory.rows is None:
        return
    ids = memory.rows[RECORD_ID].to_pylist()
    left = replace(memory, rows=memory.rows.take(list(range(0, len(ids), 2))))
    after = learner.learn(network(), replace(lessons()[0], parent=parent, memory=left)).memory
    known = set() if after is None or after.rows is None else set(after.rows[RECORD_ID].to_pylist())
    back = known & set(ids[1::2]) - set(lessons()[0].ids)
    assert not back, f"{learner!r} remembers Records that were taken out: {sorted(back)[:5]}"


def _declared(learner: Learner) -> tuple[int]:
    """Bytes of as many rows as the learner may keep: three numbers, a label, an id, a key, four scores, a lesson."""
    return (int(getattr(learner, "rows", 0)) * 120,)


def _check_divergence(learner: Learner) -> None:
    code = "none, it goes on"
    try:
        learner.learn(network(optimiser="sgd", lr=1e30), lessons()[0])
    except Refused as refused:
        code = refused.code
    assert code == "diverged", f"{learner!r}: where the loss is no number, expected the code diverged, found {code}"


def _check_tasks(learner: Learner) -> None:
    """With heads, only the classes of a row's task are answered, of tasks that came before as well."""
    parent, memory, seen = None, None, []
    for number, lesson in enumerate(lessons()[:2]):
        X = lesson.X.assign(task=number)
        learnt = learner.learn(network(heads="task"), replace(lesson, X=X, parent=parent, memory=memory))
        parent, memory = learnt.model, learnt.memory
        seen.append((X, set(lesson.y)))
    for X, classes in seen:
        answered = set(parent.predict(X)) if parent is not None else set()
        assert answered <= classes, f"{learner!r}: rows of a task with the classes {classes} are answered {answered}"


def _check_numbers(learner: Learner) -> None:
    """Numbers are learnt as well, or refused for what they are."""
    parent, memory = None, None
    for lesson in lessons()[:2]:
        y = lesson.X["a"].to_numpy() * 50 + 1000
        refusal = ""
        try:
            learnt = learner.learn(network(), replace(lesson, y=y, classes=(), parent=parent, memory=memory))
        except Refused as refused:
            refusal = refused.code
        if refusal:
            assert refusal == "not_a_classifier", f"{learner!r} refuses numbers with the code {refusal}"
            return
        parent, memory = learnt.model, learnt.memory
        found = parent.predict(lesson.X)
        assert found.shape == y.shape, f"{learner!r} answers numbers of shape {found.shape}"
        assert np.isfinite(found).all(), f"{learner!r} answers something else than numbers"


def _through_a_file(learner: Learner, lesson: Lesson) -> Lesson:
    if lesson.memory is None:
        return lesson
    with tempfile.TemporaryDirectory() as folder:
        memories.save(lesson.memory, Path(folder) / "memory")
        loaded = memories.load(Path(folder) / "memory", type(learner).__name__)
        return replace(lesson, memory=loaded, parent=pickle.loads(pickle.dumps(lesson.parent)))  # noqa: S301  # our own


def _outcome(learnt: Learnt) -> tuple[bytes, dict[str, bytes]]:
    """The bytes a Bundle and a memory would have."""
    files = {}
    if learnt.memory is not None:
        with tempfile.TemporaryDirectory() as folder:
            memories.save(learnt.memory, Path(folder))
            files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return pickle.dumps(learnt.model), files


def _bytes_of(lesson: Lesson) -> tuple[Any, ...]:
    memory = _outcome(Learnt(None, lesson.memory))[1]
    return lesson.X.to_numpy().tobytes(), lesson.y.tolist(), pickle.dumps(lesson.parent), memory


def _global_state() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), torch.get_num_threads()  # type: ignore[index]  # the legacy state is what is looked at
