"""Lessons: which of a Lesson's rows are new since the one before, and parts of a Lesson."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Lesson

LAST = 10_000
"""How many of the newest Records are known again; a label that comes later than that is not noticed as new."""

SEEN = "seen"
"""The array of a Memory in which they are kept."""


def seen(ids: tuple[str, ...]) -> NDArray[np.uint64]:
    """What is kept of the ids of a Lesson's rows so that they are known again: 8 bytes of each of the last ones."""
    return np.array([_brief(one) for one in ids[-LAST:]], dtype=np.uint64)


def unseen(lesson: Lesson) -> NDArray[np.int64]:
    """Places of the rows that were not in the Lesson whose memory this one has; all of them where nobody can know.

    A row older than all that are remembered has been seen: a Lesson goes on where the one before it ended, but labels
    may arrive out of order.
    """
    places = np.arange(len(lesson.y), dtype=np.int64)
    before = lesson.memory.arrays.get(SEEN) if lesson.memory is not None else None
    if before is None or not len(before) or not lesson.ids:
        return places
    known = np.isin(np.array([_brief(one) for one in lesson.ids], dtype=np.uint64), before)
    return places[(~known) & (places > np.argmax(known))] if known.any() else places


def part(lesson: Lesson, places: NDArray[np.int64]) -> Lesson:
    """The Lesson with some of its rows only."""
    ids = tuple(lesson.ids[place] for place in places) if lesson.ids else ()
    return replace(lesson, X=_rows(lesson.X, places), y=lesson.y[places], ids=ids)


def newest(lesson: Lesson, rows: int) -> Lesson:
    """The Lesson with its newest rows only."""
    return part(lesson, np.arange(max(0, len(lesson.y) - rows), len(lesson.y), dtype=np.int64))


def _rows(X: Any, places: NDArray[np.int64]) -> Any:
    return X.iloc[places] if hasattr(X, "iloc") else X[places]


def _brief(one: str) -> int:
    return int.from_bytes(blake2b(one.encode(), digest_size=8).digest(), "little")
