"""Members: what ensembles over time are made of. Each has learnt one window of the stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import Lesson
from keepfit.learn.estimators import cloned, seeded, threaded
from keepfit.learn.lessons import newest, part, unseen
from keepfit.learn.pickled import packed, unpacked


def windows(lesson: Lesson, rows: int, most: int) -> Iterator[Lesson]:
    """The new rows as successive windows of at least `rows` rows, the last `most` of them; one that overlaps where
    there are too few new rows. Windows of one class only are left out, for no classifier learns from them.
    """
    new = unseen(lesson)
    if len(new) < rows:
        found = [newest(lesson, rows)]
    else:
        found = [part(lesson, places) for places in np.array_split(new, len(new) // rows)[-most:]]
    yield from (one for one in found if not lesson.classes or len(np.unique(one.y)) > 1)


@dataclass(frozen=True)
class Member:
    """A fitted estimator, and its bytes."""

    model: Any
    bytes: NDArray[np.uint8]


def member(estimator: Any, window: Lesson, turn: int) -> Member:
    """A copy of the estimator that has learnt a window, seeded by its turn; it answers on one thread."""
    fresh = seeded(cloned(estimator), window.seed + turn)
    fresh.fit(window.X, window.y)
    threaded(fresh, 1)
    return Member(fresh, packed(fresh))


def opened(arrays: Mapping[str, NDArray[Any]]) -> list[Member]:
    """The members that a memory keeps, oldest first."""
    kept = [arrays[name] for name in sorted(name for name in arrays if name.startswith("member/"))]
    return [Member(unpacked(one), one) for one in kept]


def closed(members: list[Member]) -> dict[str, NDArray[Any]]:
    """The arrays that a memory keeps of members."""
    return {f"member/{place:03d}": one.bytes for place, one in enumerate(members)}


def require_some(members: list[Member], lesson: Lesson) -> None:
    """Refused where no window could be learnt from."""
    if not members:
        raise Refused(f"none of the windows of these {len(lesson.y)} rows has two classes to tell apart")
