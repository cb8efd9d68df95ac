"""Courtesy: threads that work beside those who answer let them go first."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from enum import StrEnum
from pathlib import Path
from struct import Struct

_SETATTR = {"x86_64": 314, "aarch64": 274}  # the number of sched_setattr(2), which the C library has no name for
_attributes = Struct("=IIQiIQQQ")  # struct sched_attr, <linux/sched/types.h>
_RESET_ON_FORK = 1
_TURN = 100_000  # nanoseconds, the least there is


class Pace(StrEnum):
    """How fast a model's own process may go: as any other, behind all others while it loads, or behind them always."""

    EVEN = "even"
    LOADING = "loading"
    ASIDE = "aside"


def step_back() -> None:
    """Make the calling thread nice, which on Linux a thread can be by itself; processes it starts inherit that.

    A tenth of a contested processor and no less: it holds the interpreter's lock now and then, and whoever waits for
    the lock waits for this thread. Capture without it makes the slowest hundredth of answers three times as slow.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def come_first() -> bool:
    """Have the calling thread, and none that it starts, run as soon as it wakes; whether that could be asked.

    It asks for a short turn: Linux (6.12 and later) then lets it in before the turn of another is over, which takes
    milliseconds, however nice that other is. Its share of a contested processor stays what it was.
    """
    call = _SETATTR.get(platform.machine()) if sys.platform == "linux" else None
    if call is None:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    wish = _attributes.pack(_attributes.size, os.SCHED_OTHER, _RESET_ON_FORK, nice, 0, _TURN, 0, 0)
    return bool(ctypes.CDLL(None).syscall(call, 0, wish, 0) == 0)


def step_aside() -> str:
    """Let the calling thread, and those it starts, have only what nobody else wants; what was granted, read back.

    Linux schedules threads singly, so the other threads of the process stay what they are.
    """
    if sys.platform != "linux":
        return "normal: only Linux schedules threads singly"
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    return pace_of()


def pace_of() -> str:
    """How the calling thread is scheduled: `idle`, `normal`, or `nice` and how much."""
    if sys.platform != "linux":
        return "normal"
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_IDLE:
        return "idle"
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    return f"nice {nice}" if nice else "normal"


def bring_back(process: int) -> int:
    """Have every thread of another process go as fast as the calling one; how many could not.

    Those are the threads that a model started while it was loaded by one that stepped aside. Only root may do that.
    """
    left = 0
    threads = Path(f"/proc/{process}/task").iterdir() if sys.platform == "linux" else ()
    for thread in (int(entry.name) for entry in threads):
        try:
            if os.sched_getscheduler(thread) == os.SCHED_IDLE:
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
        except ProcessLookupError:
            continue  # it has ended
        except PermissionError:
            left += 1
    return left
