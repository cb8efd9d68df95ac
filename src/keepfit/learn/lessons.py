"""Lessons: which of a Lesson's rows are new since the one before, and parts of a Lesson."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
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
    return _briefs(ids)[-LAST:]


def unseen(lesson: Lesson) -> NDArray[np.int64]:
    """Places of the rows that were not in the Lesson whose memory this one has; all of them where nobody can know.

    A row older than all that are remembered has been seen: a Lesson goes on where the one before it ended, but labels
    may arrive out of order.
    """
    places = np.arange(len(lesson.y), dtype=np.int64)
    before = lesson.memory.arrays.get(SEEN) if lesson.memory is not None else None
    if before is None or not len(before) or not lesson.ids:
        return places
    known = np.isin(_briefs(lesson.ids), before)
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


@lru_cache(maxsize=1)  # a learner made of others asks for those of one lesson again and again
def _briefs(ids: tuple[str, ...]) -> NDArray[np.uint64]:
    made = b"".join([blake2b(one.encode(), digest_size=8).digest() for one in ids])
    return np.frombuffer(made, dtype="<u8").astype(np.uint64)
