"""Courtesy: threads that work beside those who answer let them go first."""

from __future__ import annotations

import os
import sys
import threading


def step_back() -> None:
    """Make the calling thread nice, which on Linux a thread can be by itself; processes it starts inherit that.

    A tenth of a contested processor and no less: it holds the interpreter's lock now and then, and whoever waits for
    the lock waits for this thread. Capture without it makes the slowest hundredth of answers three times as slow.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
