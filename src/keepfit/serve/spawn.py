"""Starting and ending the process of one Version."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec

from keepfit.core.errors import Refused
from keepfit.serve.confine import FIRST_UID, Granted
from keepfit.serve.courtesy import Pace, bring_back
from keepfit.serve.frames import Incoming, Kind

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_SENT = 2**20  # bytes that a socket may hold, as far as the system allows


class Child:
    """A process, and the socket to it; `granted` when its Bundle is loaded."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.process = process
        self.connection = connection
        self.began = time.monotonic()
        self.granted: Granted | None = None

    def await_ready(self, patience: float) -> None:
        """Block until the Bundle is loaded; Refused with what went wrong, and the process has ended then."""
        self.connection.settimeout(patience)
        try:
            frame = Incoming().read(self.connection)
        except TimeoutError as error:
            self.end()
            raise Refused(f"the model was not loaded within {patience:g} s", code="load_timeout") from error
        except (EOFError, OSError, ValueError) as error:
            code = self.end()
            raise Refused(
                f"the model's process ended ({_ending(code)}) before its model was loaded", code="corrupt"
            ) from error
        if frame is None or frame.kind is not Kind.READY:
            self.end()
            code_, _, text = bytes(frame.body if frame else b"").decode(errors="replace").partition("\n")
            raise Refused(text, code=code_ or "corrupt")
        granted = msgspec.json.decode(frame.body, type=Granted)
        if granted.loaded != granted.pace and (left := bring_back(self.process.pid)):
            sentence = f"{left} threads which the model started while it was loaded give way to all others still"
            granted = replace(granted, missing=(*granted.missing, sentence))
        self.granted = granted

    def end(self) -> int:
        """Kill the process with all that it started, and wait until it is gone; its exit status."""
        self.connection.close()
        if self.process.returncode is not None:
            return self.process.returncode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        status = self.process.wait()
        uid = self.granted.uid if self.granted else FIRST_UID + self.process.pid
        if uid >= FIRST_UID and not os.geteuid():  # what left its group still has its uid
            subprocess.run(["/bin/sh", "-c", "kill -9 -1"], user=uid, group=uid, extra_groups=[], check=False)
        return status


def spawn(directory: Path, *, memory: int | None, pace: Pace) -> Child:
    """Start the process of a Bundle; `Child.await_ready` says when it can answer.

    It ends with the thread that starts it (Linux counts a parent's death by threads), so that is one which stays. How
    fast it may go it inherits from the thread that was the first to call this: never call it from a nice one.
    """
    return _starter().submit(_spawned, directory, memory, pace).result()


def reap(child: Child) -> None:
    """End a process without waiting for that."""
    _starter().submit(child.end)


@cache
def _starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "keepfit-start")


def _spawned(directory: Path, memory: int | None, pace: Pace) -> Child:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT)
    with theirs:
        said = [str(directory), str(theirs.fileno()), str(os.getpid()), str(memory or 0), pace]
        process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "keepfit.serve.child", *said],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD},
            process_group=0,
        )
    return Child(process, ours)


def _ending(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
