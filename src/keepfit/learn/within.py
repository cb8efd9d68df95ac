"""Within: learners that are made of other learners, and carry those learners' memories inside their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.core.protocols import Learner


def inner(learner: Learner, lesson: Lesson, under: str = "inner/") -> Lesson:
    """The Lesson with the memory that this learner left under a name; Refused where another one left it."""
    arrays = lesson.memory.arrays if lesson.memory else {}
    if f"{under}kind" not in arrays:
        return replace(lesson, memory=None)
    wrote, kind = str(arrays[f"{under}kind"]), type(learner).__name__
    if wrote != kind:
        raise Refused(
            f"a part of the memory was written by {wrote}, this recipe has {kind} in its place; keep the learners and "
            "their order, or begin again without memory (one update by Refit() forgets it)",
            code="memory_of_another_learner",
        )
    own = {name.removeprefix(under): values for name, values in arrays.items() if name.startswith(under)}
    return replace(lesson, memory=Memory(kind, arrays={name: own[name] for name in own if name != "kind"}))


def outer(learner: Learner, learnt: Learnt, under: str = "inner/") -> dict[str, NDArray[Any]]:
    """What a learner remembers, under a name; Refused where it remembers rows, which must stay to be found there."""
    if learnt.memory is None:
        return {}
    if learnt.memory.rows is not None:
        raise Refused(f"{type(learner).__name__} remembers Records and cannot be part of another learner; use it alone")
    arrays: Mapping[str, NDArray[Any]] = learnt.memory.arrays
    kind = {f"{under}kind": np.array(type(learner).__name__)}
    return {**{f"{under}{name}": values for name, values in arrays.items()}, **kind}
