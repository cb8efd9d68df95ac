"""worker: one process per Run, which makes itself the least important process on the machine."""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import msgspec

from keepfit.core.errors import KeepfitError
from keepfit.core.imports import do_without
from keepfit.core.places import Places
from keepfit.core.registry import canonical, from_plain
from keepfit.loop.executors import Ended
from keepfit.loop.pipeline import Work


def step_aside(memory: int | None, threads: int) -> str:
    """Ask for the lowest scheduling class and the memory limit; what was really granted, in words."""
    if hasattr(os, "SCHED_IDLE"):
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except OSError:
            os.nice(19)
    else:
        os.nice(19)
    if memory:
        import resource  # not on every platform

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    return granted(threads)


def granted(threads: int) -> str:
    """Read back what the operating system gave."""
    idle = hasattr(os, "SCHED_IDLE") and os.sched_getscheduler(0) == os.SCHED_IDLE
    policy = "SCHED_IDLE" if idle else f"nice {os.nice(0)}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{policy}, {threads} thread(s), {cores} core(s), session {os.getsid(0)}"


def main(argv: list[str]) -> int:
    """Run one step: `worker RUN_DIR STORE`."""
    folder, places = Path(argv[0]), Places(Path(argv[1]))
    work = from_plain(Work, msgspec.json.decode((folder / "request.json").read_bytes()))
    given = step_aside(work.resources.memory, work.resources.threads)
    print(f"step {work.step} of {work.service}: {given}", flush=True)
    began = time.monotonic()
    if work.step != "train":  # only estimators see data frames
        do_without("pandas")
    try:
        from keepfit.loop.steps import perform_step  # after the priority was lowered: imports cost the most

        made = perform_step(work, places, folder)
        ended = Ended(outputs=made.outputs, result=made.result, granted=given)
    except KeepfitError as error:
        print(f"{error.code}: {error}", flush=True)
        ended = Ended(code=error.code, reason=str(error), granted=given)
    except Exception as error:  # noqa: BLE001  # user code may raise anything; it becomes the Run's failure
        traceback.print_exc()
        ended = Ended(code="raised", reason=f"{type(error).__name__}: {error}", granted=given)
    spent = sum(os.times()[:4])
    _write(folder, replace(ended, cpu_seconds=spent, wall_seconds=time.monotonic() - began))
    return 1 if ended.code else 0


def _write(folder: Path, ended: Ended) -> None:
    print(f"ended after {ended.wall_seconds:.2f} s ({ended.cpu_seconds:.2f} s of CPU) {ended.code}", flush=True)
    partial = folder / "result.json.partial"
    with partial.open("wb") as file:
        file.write(canonical(ended))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / "result.json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
