"""Executors: where Runs run. A process of its own at the lowest priority, or in line for replay."""

from __future__ import annotations

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
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.registry import canonical, from_plain
from keepfit.loop.pipeline import Made, Work


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a Run ended. `code` and `reason` are empty when it ended well; `lost` is the code of a vanished worker."""

    outputs: dict[str, Digest] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    granted: str = ""
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

    Workers stay in this process session: with the kernel's autogroup on, priorities only act within one.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, run: str, work: Work) -> int:
        """Write the request, start the worker with its output in the Run's log."""
        folder = self._places.run(run)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "request.json").write_bytes(canonical(work))
        threads = str(max(1, work.resources.threads))
        capped = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
        environment = {**os.environ, **dict.fromkeys(capped, threads), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "keepfit.edge.worker", str(folder), str(self._places.root)]
        with (folder / "log").open("ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self._children[run] = child
        return child.pid

    def poll(self, run: str, process: int) -> Ended | None:
        """Read the result, or find out that the worker is gone without one."""
        if self._is_alive(run, process):
            return None
        lost = Ended(code="lost", reason=f"the worker (process {process}) ended without a result")
        return read_result(self._places.run(run)) or lost

    def _is_alive(self, run: str, process: int) -> bool:
        child = self._children.get(run)
        if child is not None:
            if child.poll() is None:
                return True
            del self._children[run]
            return False
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            return False
        return os.fsencode(str(self._places.run(run))) in command

    def stop(self, run: str, process: int) -> None:
        """Terminate the worker, whoever started it."""
        if self._is_alive(run, process):
            os.kill(process, signal.SIGTERM)
        child = self._children.pop(run, None)
        if child is not None:
            _reap(child)

    def close(self) -> None:
        """Terminate the workers this process started."""
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            _reap(child)
        self._children.clear()


def _reap(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
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
            self._ended[run] = Ended(code=error.code, reason=str(error))
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
