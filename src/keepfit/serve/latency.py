"""Latency: the p99 of each front worker, told once a second in a few bytes that other processes map.

One word of eight bytes per front worker: when (40 bits of milliseconds of the system's monotonic clock) and how long
(24 bits, steps of 10 microseconds, 0 for none). A word is stored whole, so that nobody reads half of one, and whoever
reads asks nothing of the process that answers.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

_WORDS = 64  # front workers of one runner; those beyond it tell nothing
_STEP = 1e-5
_MOST = 2**24 - 1
_CLOCK = 2**40 - 1
_FRESH = 3.0  # seconds after which a word is of a worker that is gone


class Latency:
    """The words of one Deployment; OSError where there is no room for them."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.posix_fallocate(file, 0, 8 * _WORDS)  # a hole that a full disk cannot fill would end the writer
            self._bytes = mmap.mmap(file, 8 * _WORDS)
        finally:
            os.close(file)
        self._words = memoryview(self._bytes).cast("Q")

    def tell(self, worker: int, seconds: float | None) -> None:
        """Tell what the slowest hundredth of a worker's answers takes now; None where it answers nothing."""
        if worker < _WORDS:
            steps = 0 if seconds is None else min(_MOST, max(1, round(seconds / _STEP)))
            self._words[worker] = (self._now() << 24) | steps

    def slowest(self) -> float | None:
        """The seconds of the slowest worker that told lately; None where nothing is answered.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     told, read = Latency(Path(folder) / "latency"), Latency(Path(folder) / "latency")
        ...     told.tell(0, 0.002), told.tell(1, 0.25), told.tell(2, None)
        ...     read.slowest()
        (None, None, None)
        0.25
        """
        now = self._now()
        fresh = [word & _MOST for word in self._words if 0 <= now - (word >> 24) <= _FRESH * 1000]
        steps = max(fresh, default=0)
        return steps * _STEP if steps else None

    def _now(self) -> int:
        return int(self._clock() * 1000) & _CLOCK

    def close(self) -> None:
        """Let go of the bytes; the file stays."""
        self._words.release()
        self._bytes.close()
