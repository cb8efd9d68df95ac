"""Runs on a Ray cluster: the same worker, so the same Run, the same key and the same bytes as in a process here.

Every node has to see the store under the same path, and to have the same keepfit.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.data.spread import joining, require_token
from keepfit.loop.executors import Ended, read_result
from keepfit.loop.pipeline import Work


class RayExecutor:
    """An Executor on the cluster at `address`, or without one on a local cluster that lives as long as this object.

    Conflict (`no_token`) where the cluster would be joined without a token and that is not `forced`.
    """

    def __init__(self, places: Places, address: str = "", *, forced: bool = False) -> None:
        require_token(address, forced=forced)
        self._places = places
        self._stack = contextlib.ExitStack()
        self._ray = self._stack.enter_context(joining(address))
        self._tasks: dict[str, Any] = {}

    def start(self, run: str, work: Work) -> int:
        """Write the request, and have the cluster start the worker; no process here is its."""
        folder = self._places.run(run)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "request.json").write_bytes(canonical(work))
        task = self._ray.remote(_worked).options(num_cpus=work.resources.threads, max_retries=0)
        self._tasks[run] = task.remote(str(folder), str(self._places.root))
        return 0

    def poll(self, run: str, process: int) -> Ended | None:
        """Read the result when the task has ended, or was another control process's."""
        task = self._tasks.get(run)
        if task is None:
            return read_result(self._places.run(run)) or Ended(code="lost", reason="the task that ran it is gone")
        ended, _ = self._ray.wait([task], timeout=0)
        if not ended:
            return None
        del self._tasks[run]
        reason = "the worker ended without a result"
        try:
            self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            reason = f"the cluster lost it: {error}"
        return read_result(self._places.run(run)) or Ended(code="lost", reason=reason)

    def stop(self, run: str, process: int) -> None:
        """End the worker where it runs."""
        task = self._tasks.pop(run, None)
        if task is not None:
            self._ray.cancel(task)

    def close(self) -> None:
        """End what is under way, and leave the cluster."""
        for run in list(self._tasks):
            self.stop(run, 0)
        self._stack.close()


def _worked(folder: str, store: str) -> int:
    """On some node: the worker in a process of its own, which ends with the task."""
    command = [sys.executable, "-m", "keepfit.edge.worker", folder, store]
    with (Path(folder) / "log").open("ab") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        return child.wait()
    except BaseException:  # the task is cancelled: so is its work
        child.kill()
        child.wait()
        raise
