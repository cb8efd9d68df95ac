"""Laws of learners, and of what they remember."""

# ruff: noqa: S101 - these are assertions about somebody else's code, for use in tests

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepfit.core.nouns import Learnt, Lesson, Memory
    from keepfit.core.protocols import Learner

NAMES = ("down", "level", "up")
SIZE = 200
LESSONS = 12
"""After so many lessons a memory has reached its bound; after twice as many it may not have grown by a half."""


def check_learner(learner: Learner, estimator: Any = None) -> None:
    """A learner leaves its arguments alone, repeats itself, learns, remembers within bounds, and can be stored.

    It changes neither the estimator nor the lesson nor the parent. The same lesson with the same seed gives the same
    model. A class that was away comes back without harm. Its memory is the same after it was written and read, can be
    gone on from, and stays bounded. `estimator` is what it is tried with, by default a linear classifier of
    scikit-learn's; it must learn which way two numbers point. One made of `FineTune` is held to the laws of `deep`.
    """
    from keepfit.core.protocols import Learner as Protocol
    from keepfit.core.registry import from_plain, to_plain
    from keepfit.learn.learners.fine_tune import FineTune

    if isinstance(learner, FineTune):
        from keepfit.testing.deep import check_deep_learner

        check_deep_learner(learner)
        return
    if estimator is None:
        from sklearn.linear_model import SGDClassifier

        estimator = SGDClassifier(loss="log_loss")
    first = _learnt_untouched(learner, estimator, _lesson(0))
    second = replace(_lesson(1), parent=first.model, memory=first.memory)
    _check_repeats(learner, estimator, second)
    _check_class_returns(learner, estimator, second)
    _check_remembers(learner, estimator, second)
    stored = from_plain(tuple[Protocol, ...], to_plain((learner,)))
    assert to_plain(stored) == to_plain((learner,)), f"{learner!r} does not come back from plain data: {stored!r}"


def _lesson(turn: int, *, seed: int = 1, without: str = "") -> Lesson:
    """New rows: a point's first number says down, level or up; without one of the classes."""
    import numpy as np
    import pandas as pd

    from keepfit.core.nouns import Lesson

    random = np.random.default_rng(turn)
    X = pd.DataFrame({"a": random.normal(size=SIZE * 2), "b": random.normal(size=SIZE * 2)})
    angle = np.arctan2(X["b"], X["a"])
    y = np.select([angle < -np.pi / 3, angle < np.pi / 3], [NAMES[0], NAMES[1]], NAMES[2]).astype(object)
    chosen = np.flatnonzero(y != without)[:SIZE]
    ids = tuple(f"{turn:03d}-{place:04d}" for place in range(len(chosen)))
    return Lesson(X=X.iloc[chosen].reset_index(drop=True), y=y[chosen], ids=ids, classes=NAMES, seed=seed)


def _learnt_untouched(learner: Learner, estimator: Any, lesson: Lesson) -> Learnt:
    """Learn, and see that nothing given has changed."""
    before = pickle.dumps(estimator), _bytes_of(lesson)
    parent = pickle.dumps(lesson.parent)
    learnt = learner.learn(estimator, lesson)
    assert pickle.dumps(estimator) == before[0], f"{learner!r} changes the estimator it is given"
    assert pickle.dumps(lesson.parent) == parent, f"{learner!r} changes the parent it goes on from"
    assert _bytes_of(lesson) == before[1], f"{learner!r} changes the rows, the labels or the memory it is given"
    return learnt


def _bytes_of(lesson: Lesson) -> tuple[bytes, ...]:
    kept = lesson.memory.arrays if lesson.memory else {}
    rows = lesson.memory.rows.to_pydict() if lesson.memory and lesson.memory.rows is not None else None
    given = (pickle.dumps(part) for part in (lesson.X, lesson.y, rows))
    return (*given, *(kept[name].tobytes() for name in sorted(kept)))


def _check_repeats(learner: Learner, estimator: Any, lesson: Lesson) -> None:
    """Seeds decide everything; and what was learnt is known."""
    import numpy as np

    held = _lesson(99)
    first = _learnt_untouched(learner, estimator, lesson).model
    again = learner.learn(estimator, lesson).model
    same = np.array_equal(first.predict_proba(held.X), again.predict_proba(held.X))
    assert same, f"{learner!r} learns something else from the same rows, parent and seed"
    for model in (lesson.parent, first):
        right = float((np.asarray(model.predict(held.X)) == held.y).mean())
        assert right > 0.7, f"{learner!r} tells {right:.0%} of three directions of two numbers, expected over 70%"


def _check_class_returns(learner: Learner, estimator: Any, lesson: Lesson) -> None:
    """A lesson without one of the classes, then one with it again."""
    import numpy as np

    from keepfit.core.errors import Refused

    away = replace(_lesson(2, without=NAMES[2]), parent=lesson.parent, memory=lesson.memory)
    try:
        learnt = learner.learn(estimator, away)
    except Refused:  # as whoever cannot do without a class may, for a reason
        return
    back = replace(_lesson(3), parent=learnt.model, memory=learnt.memory)
    model = learner.learn(estimator, back).model
    held = _lesson(99)
    said = np.asarray(model.predict(held.X))
    hit = float((said[held.y == NAMES[2]] == NAMES[2]).mean())
    assert hit > 0.2, f"{learner!r} knows only {hit:.0%} of a class that was away for one lesson and came back"


def _check_remembers(learner: Learner, estimator: Any, lesson: Lesson) -> None:
    """The memory is the same after a journey over the disk, is used the same, and does not grow for ever."""
    import numpy as np

    learnt = learner.learn(estimator, lesson)
    if learnt.memory is None:
        return
    assert learnt.memory.kind == type(learner).__name__, f"{learner!r} signs its memory {learnt.memory.kind!r}"
    read = _travelled(learner, learnt.memory)
    third, held = _lesson(3), _lesson(99)
    models = [
        learner.learn(estimator, replace(third, parent=learnt.model, memory=memory)).model
        for memory in (learnt.memory, read)
    ]
    same = np.array_equal(models[0].predict_proba(held.X), models[1].predict_proba(held.X))
    assert same, f"{learner!r} goes on differently from a memory that was written and read"
    sizes = []
    for turn in range(4, 4 + 2 * LESSONS):
        learnt = learner.learn(estimator, replace(_lesson(turn), parent=learnt.model, memory=learnt.memory))
        assert learnt.memory is not None, f"{learner!r} forgets its memory"
        sizes.append(_size(learnt.memory))
    grown = sizes[-1] / max(1, sizes[LESSONS - 1])
    assert grown < 1.5, f"{learner!r}: its memory grew by {grown:.2f} times from {LESSONS} lessons to {2 * LESSONS}"


def _travelled(learner: Learner, memory: Memory) -> Memory:
    """The memory after it was written, read, and written again to the same bytes."""
    from keepfit.learn import memory as memories

    with TemporaryDirectory() as scratch:
        one, two = Path(scratch, "one"), Path(scratch, "two")
        memories.save(memory, one)
        read = memories.load(one, memory.kind)
        memories.save(read, two)
        files = {path.name: path.read_bytes() for path in one.iterdir()}
        assert files == {path.name: path.read_bytes() for path in two.iterdir()}, f"{learner!r}: memory changes on disk"
        kept = {name: values.copy() for name, values in read.arrays.items()}
        rows = read.rows.take(list(range(read.rows.num_rows))) if read.rows is not None else None
    form = {name: (values.shape, values.dtype) for name, values in memory.arrays.items()}
    assert {name: (kept[name].shape, kept[name].dtype) for name in kept} == form, f"{learner!r}: arrays change on disk"
    return replace(read, arrays=kept, rows=rows)


def _size(memory: Memory) -> int:
    """Bytes of a memory."""
    rows = memory.rows.nbytes if memory.rows is not None else 0
    return sum(values.nbytes for values in memory.arrays.values()) + rows
