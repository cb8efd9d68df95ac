"""Starting and ending the process of one Version."""

from __future__ import annotations

import contextlib
import logging
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
from keepfit.serve.frames import Frame, Incoming, Kind, Packed, framed, send, told

_log = logging.getLogger(__name__)
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_SENT = 2**20  # bytes that a socket may hold, as far as the system allows


class Child:
    """A process, and the socket to it; `granted` when its Bundle is loaded."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.process = process
        self.connection = connection
        self.began = time.monotonic()
        self.granted: Granted | None = None
        self._back = False

    def await_ready(self, patience: float) -> None:
        """Block until the Bundle is loaded; Refused with what went wrong, and the process has ended then."""
        self.connection.settimeout(patience)
        try:
            granted = self._heard(Kind.GRANTED)  # before any code of the user's could have a say in it
            send(self.connection, [told(Kind.GRANTED, 0, b"")])
            self._heard(Kind.READY)
            self.granted = msgspec.json.decode(granted, type=Granted)
        except Refused:
            self.end()
            raise
        except TimeoutError as error:
            self.end()
            raise Refused(f"the model was not loaded within {patience:g} s", code="load_timeout") from error
        except (EOFError, OSError, ValueError) as error:
            raise Refused(
                f"the model's process ended ({_ending(self.end())}) before its model was loaded", code="corrupt"
            ) from error

    def _heard(self, kind: Kind) -> memoryview:
        frame = Incoming().read(self.connection)
        if frame is None or frame.kind not in (kind, Kind.FAULT):
            raise ValueError(f"expected {kind.name}, found {frame and frame.kind.name}")
        if frame.kind is Kind.FAULT:
            code, _, text = bytes(frame.body).decode(errors="replace").partition("\n")
            raise Refused(text, code=code or "corrupt")
        return frame.body

    def exchange(self, number: int, packed: Packed, patience: float) -> Frame:
        """Ask one question and block for its answer; EOFError, OSError (TimeoutError) and ValueError as `Incoming`."""
        self.connection.settimeout(patience)
        send(self.connection, framed(Kind.ARRAYS, number, [packed]))
        frame = Incoming().read(self.connection)
        if frame is None or frame.number != number:
            raise ValueError("an answer that nobody asked for")
        self.bring_back()
        return frame

    def bring_back(self) -> None:
        """Once it has been rehearsed: threads that it started while it was loaded need give way no more."""
        granted = self.granted
        if self._back or granted is None or granted.loaded == granted.pace:
            return
        self._back = True
        if left := bring_back(self.process.pid):
            sentence = f"{left} threads which the model started while it was loaded give way to all others still"
            self.granted = replace(granted, missing=(*granted.missing, sentence))

    def end(self) -> int:
        """Kill the process with all that it started, and wait until it is gone; its exit status."""
        self.connection.close()
        if self.process.returncode is not None:
            return self.process.returncode
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        status = self.process.wait()
        if not os.geteuid():
            _sweep(FIRST_UID + self.process.pid)
        return status


def _sweep(uid: int) -> None:
    """Kill all that has the uid which a process was given: what it started and what left its group."""
    try:
        subprocess.run(["/bin/sh", "-c", "kill -9 -1"], user=uid, group=uid, extra_groups=[], check=False)
    except OSError as error:
        _log.warning("child.not_swept uid=%d error=%s", uid, error)


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
