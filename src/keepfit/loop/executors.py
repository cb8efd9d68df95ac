"""Executors: where Runs run. A process of its own at the lowest priority, or in line for replay."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from keepfit.core.errors import KeepfitError
from keepfit.core.nouns import Conditions, Digest, Interference, Resources
from keepfit.core.places import Places
from keepfit.core.registry import canonical, from_plain
from keepfit.loop.pipeline import Made, Work


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a Run ended. `code` and `reason` are empty when it ended well; `lost` is the code of a vanished worker.

    `yields`, `held` and `interference` are what `RunFinished` has by these names.
    """

    outputs: dict[str, Digest] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    granted: Conditions | str = ""
    yields: int = 0
    held: float = 0.0
    interference: tuple[Interference, ...] = ()
    code: str = ""
    reason: str = ""


class Executor(Protocol):
    """Where Runs run."""

    def start(self, run: str, work: Work) -> int:
        """Begin a Run; the id of its process."""
        ...

    def poll(self, run: str, process: int) -> Ended | None:
        """How the Run ended, or None while it is under way; also for Runs an earlier control process began."""
        ...

    def stop(self, run: str, process: int) -> None:
        """End a Run that leads nowhere any more."""
        ...

    def close(self) -> None:
        """End what is under way."""
        ...


class ProcessExecutor:
    """Each Run in its own process, which lowers its own priority (see `keepfit.edge.worker`).

    Workers stay in this process session: with the kernel's autogroup on, priorities only act within one. Each has a
    process group of its own, so that a signal reaches the processes it started, too.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._spent: dict[str, float] = {}

    def start(self, run: str, work: Work) -> int:
        """Write the request, start the worker with its output in the Run's log."""
        folder = self._places.run(run)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "request.json").write_bytes(canonical(work))
        own = {**os.environ, **environment(work.resources), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "keepfit.edge.worker", str(folder), str(self._places.root)]
        with (folder / "log").open("ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=own, process_group=0
            )
        self._children[run] = child
        return child.pid

    def poll(self, run: str, process: int) -> Ended | None:
        """Read the result, or find out that the worker is gone without one."""
        if self.is_alive(run, process):
            return None
        folder = self._places.run(run)
        _leave_group(folder)
        reason = f"the worker (process {process}) ended without a result"
        spent = self._spent.pop(run, 0.0)
        lost = Ended(code="lost", reason=reason, granted=read_granted(folder) or "", cpu_seconds=spent)
        return read_result(folder) or lost

    def is_alive(self, run: str, process: int) -> bool:
        """Whether the worker of a Run, whoever started it, is still there."""
        child = self._children.get(run)
        if child is not None:
            if not _has_ended(child.pid):
                return True
            self._spent[run] = _cpu_seconds(child.pid)  # before it is waited for: then nobody knows any more
            child.wait()
            del self._children[run]
            return False
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            return False
        return os.fsencode(str(self._places.run(run))) in command

    def stop(self, run: str, process: int) -> None:
        """Terminate the worker, whoever started it."""
        if self.is_alive(run, process):
            signalled(process, signal.SIGTERM, signal.SIGCONT)
        child = self._children.pop(run, None)
        if child is not None:
            _reap(child)

    def close(self) -> None:
        """Terminate the workers this process started."""
        for child in self._children.values():
            signalled(child.pid, signal.SIGTERM, signal.SIGCONT)
        for child in self._children.values():
            _reap(child)
        self._children.clear()


def _has_ended(child: int) -> bool:
    """Whether a child has ended; it is left to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _cpu_seconds(process: int) -> float:
    """What a process and those it waited for have had of processors, as long as nobody waited for it; else 0."""
    try:
        counted = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:15]
    except OSError:
        return 0.0
    return sum(map(int, counted)) / os.sysconf("SC_CLK_TCK")


def signalled(process: int, *numbers: signal.Signals) -> None:
    """Send signals to a worker and the processes it started; one that stands still takes SIGTERM with the SIGCONT."""
    with contextlib.suppress(ProcessLookupError):
        for number in numbers:
            if os.getpgid(process) == process:
                os.killpg(process, number)
            else:
                os.kill(process, number)


def threads_for(resources: Resources) -> int:
    """The threads a Run may have: below the processors there are, so that one is always left to those who answer."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(resources.threads, there - 1))


def environment(resources: Resources) -> dict[str, str]:
    """What numerical libraries read when they are loaded: how many threads, which part of which GPU."""
    capped = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    gpu = resources.gpu
    seen = {"CUDA_VISIBLE_DEVICES": gpu.device if gpu else ""}
    share = {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": str(gpu.share)} if gpu else {}
    return {**dict.fromkeys(capped, str(threads_for(resources))), **seen, **share}


def read_granted(folder: Path) -> Conditions | None:
    """What the worker of a Run was granted, as soon as it has asked; None before that."""
    try:
        return from_plain(Conditions, msgspec.json.decode((folder / "granted.json").read_bytes()))
    except (FileNotFoundError, ValueError):
        return None


def leave_group(path: str) -> None:
    """Take away the control group of a worker that is gone."""
    if path:
        with contextlib.suppress(OSError):  # it was never made, or somebody else took it away
            Path(path).rmdir()


def _leave_group(folder: Path) -> None:
    granted = read_granted(folder)
    if granted:
        leave_group(granted.cgroup)


def _reap(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        signalled(child.pid, signal.SIGKILL)
        child.wait()


class Inline:
    """Runs in line, within `start`: what replay uses. `perform` turns Work into what it made."""

    def __init__(self, perform: Callable[[Work], Made], cpu_clock: Callable[[], float]) -> None:
        self._perform = perform
        self._cpu_clock = cpu_clock
        self._ended: dict[str, Ended] = {}

    def start(self, run: str, work: Work) -> int:
        """Do the work now."""
        began = self._cpu_clock()
        try:
            made = self._perform(work)
            spent = self._cpu_clock() - began
            self._ended[run] = Ended(outputs=made.outputs, result=made.result, cpu_seconds=spent, wall_seconds=spent)
        except KeepfitError as error:
            spent = self._cpu_clock() - began
            self._ended[run] = Ended(code=error.code, reason=str(error), cpu_seconds=spent, wall_seconds=spent)
        return os.getpid()

    def poll(self, run: str, process: int) -> Ended | None:
        """How it ended."""
        return self._ended.pop(run, Ended(code="lost", reason="the replay that ran it is over"))

    def stop(self, run: str, process: int) -> None:
        """It has ended already."""

    def close(self) -> None:
        """Nothing is under way."""


def read_result(folder: Path) -> Ended | None:
    """The result a worker wrote, None while there is none."""
    try:
        return from_plain(Ended, msgspec.json.decode((folder / "result.json").read_bytes()))
    except FileNotFoundError:
        return None
