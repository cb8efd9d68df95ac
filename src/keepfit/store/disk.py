"""Disk: what it takes for bytes and names to survive a crash, and to tell the living from the dead."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from keepfit.core.errors import StorageFault

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the operating system says when there is no more room."""


def sync(file: IO[bytes]) -> None:
    """Make the bytes of an open file durable."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: Any) -> None:
    """Write under a temporary name, fsync, rename: afterwards the file is there whole; raises OSError."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            sync(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_at(descriptor: int, pieces: Sequence[Any], at: int) -> int:
    """Write pieces of memory one after the other at a place of an open file; where they end. Raises OSError."""
    for piece in pieces:
        view = memoryview(piece).cast("B")
        while view:
            done = os.pwrite(descriptor, view, at)
            at, view = at + done, view[done:]
    return at


def lock(descriptor: int) -> bool:
    """Take the lock of an open file without waiting."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def still(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to the open file: a recovery may have been quicker."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_ino, there.st_dev) == (mine.st_ino, mine.st_dev)


def fault(path: Path, error: OSError) -> StorageFault:
    """The StorageFault of a write that failed, `disk_full` where that is why."""
    code = "disk_full" if error.errno in FULL else "storage_fault"
    return StorageFault(f"{path}: could not be written: {error.strerror or error}", code=code)
