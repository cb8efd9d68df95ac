"""Clocks: the machine's, one that a replay turns by hand, and one that processes share through a file."""

from __future__ import annotations

import mmap
import os
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is set; it never goes back.

    >>> clock = ManualClock(datetime(2013, 1, 1, tzinfo=UTC))
    >>> clock.set(datetime(2012, 1, 1, tzinfo=UTC)); clock.now().year
    2013
    """

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The moment it was last set to."""
        return self._now

    def set(self, moment: datetime) -> None:
        """Move forward to `moment`."""
        self._now = max(self._now, moment)


class SharedClock:
    """A clock in a file of eight bytes (microseconds since 1970): one process sets it, all read it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(self._file, 8)

    @classmethod
    def create(cls, path: Path, start: datetime) -> SharedClock:
        """Make the file, standing at `start`."""
        path.write_bytes(struct.pack("<q", _micros(start)))
        return cls(path)

    def now(self) -> datetime:
        """The moment it was last set to, in UTC."""
        return _EPOCH + timedelta(microseconds=struct.unpack("<q", self._map[:8])[0])

    def set(self, moment: datetime) -> None:
        """Move forward to `moment`; going back is ignored."""
        if moment > self.now():
            self._map[:8] = struct.pack("<q", _micros(moment))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def clock_from(path: str | None) -> SystemClock | SharedClock:
    """The shared clock at `path`, or the machine's when there is none."""
    return SharedClock(Path(path)) if path else SystemClock()
