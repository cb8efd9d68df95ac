"""aside: how a worker makes itself the least important process of the machine, and what came of it.

Everything that is asked is read back from the operating system afterwards: what it did not grant is said in words and
goes into the Run's facts. A worker stays in the session of the control process, because with the kernel's autogroup on
scheduling classes only act within one (sched(7)): started with `setsid` it would get half of every contested processor.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from keepfit.core.nouns import Conditions, Gpu, Resources
from keepfit.loop.executors import leave_group

_IOPRIO = {"x86_64": (251, 252), "aarch64": (30, 31)}  # system calls: ioprio_set, ioprio_get
_IO_CLASSES = ("none", "realtime", "best-effort", "idle")  # linux/ioprio.h
_IDLE = 3
_PDEATHSIG = 1  # linux/prctl.h
_CONTROLLERS = ("cpu", "memory")


def step_aside(
    resources: Resources, runners: Iterable[int] = (), mounts: Path = Path("/proc/self/mounts")
) -> Conditions:
    """Ask for the last place in every queue, off the processors that `runners` (process ids) are held to.

    Before anything expensive is imported: threads inherit what the process has when they are started.
    """
    missing: list[str] = []
    _outlive_control()
    _first_to_go(missing)
    scheduling = last_in_line(missing)
    io = _idle_io(missing)
    cores = _off(runners, missing)
    if resources.threads > len(cores):
        missing.append(f"{resources.threads} threads: it may use {len(cores)} core(s)")
    memory = _limit(resources.memory, missing)
    group = _own_group(resources, mounts, missing)
    return Conditions(
        scheduling=scheduling,
        io=io,
        threads=min(resources.threads, len(cores)),
        cores=tuple(sorted(cores)),
        memory=memory,
        cgroup=str(group) if group else "",
        weight=int((group / "cpu.weight").read_text()) if group else None,
        gpu=_gpu(resources.gpu, missing),
        session=os.getsid(0),
        missing=tuple(missing),
    )


def _outlive_control() -> None:
    """A worker that stands still when its control process is killed goes on: nobody else would tell it to.

    The kernel wakes a stopped group that has lost its parent with SIGHUP and SIGCONT (setpgid(2)), and any other child
    by the signal it chose for that moment.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, *map(ctypes.c_ulong, (signal.SIGCONT, 0, 0, 0)))


def _first_to_go(missing: list[str]) -> None:
    """When memory runs out, this process ends and nobody else."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError as error:
        missing.append(f"first to go when memory runs out: {error.strerror}")


def last_in_line(missing: list[str]) -> str:
    """SCHED_IDLE, which gives way within microseconds; nice 19, which does not, where it is refused."""
    refused = "the system did not grant it"
    if hasattr(os, "SCHED_IDLE"):
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except OSError as error:
            refused = error.strerror or refused
        if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_IDLE:
            return "SCHED_IDLE"
    missing.append(f"SCHED_IDLE: {refused}")
    return f"nice {os.nice(19 - os.nice(0))}"


def _idle_io(missing: list[str]) -> str:
    calls = _IOPRIO.get(platform.machine()) if sys.platform == "linux" else None
    if calls is None:
        missing.append(f"idle input and output: unknown on {sys.platform} {platform.machine()}")
        return ""
    system = ctypes.CDLL(None, use_errno=True).syscall
    if system(calls[0], 1, 0, _IDLE << 13):  # the calling thread, and those it starts
        missing.append(f"idle input and output: {os.strerror(ctypes.get_errno())}")
    found = int(system(calls[1], 1, 0))
    return _IO_CLASSES[found >> 13 & 3] if found >= 0 else ""


def _mine() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _off(runners: Iterable[int], missing: list[str]) -> set[int]:
    """Leave the processors that serving is held to; where it is held to none, the first one."""
    mine = _mine()
    if not hasattr(os, "sched_setaffinity"):
        missing.append("cores of its own: only Linux can hold a process to some")
        return mine
    if len(mine) == 1:
        missing.append("a core without serving: there is one core only")
        return mine
    taken: set[int] = set()
    for process in runners:
        try:
            taken |= os.sched_getaffinity(process)
        except OSError:
            continue  # it has ended
    free = mine - taken if taken else set()
    os.sched_setaffinity(0, free or mine - {min(mine)})
    return set(os.sched_getaffinity(0))


def _limit(memory: int | None, missing: list[str]) -> int | None:
    """Limit what the process may allocate; libraries and mapped files are not counted."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if memory is not None:
        wanted = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        try:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, wanted))
        except (OSError, ValueError) as error:
            missing.append(f"at most {memory:,} bytes of memory: {error}")
    found = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return None if found == resource.RLIM_INFINITY else found


def _own_group(resources: Resources, mounts: Path, missing: list[str]) -> Path | None:
    """A control group for this process alone, beside or below the one it is in, where the system lets us make one.

    https://docs.kernel.org/admin-guide/cgroup-v2.html; a group that has processes of its own gives its controllers to
    none below it, which is why the one above is tried as well.
    """
    here = _group(mounts)
    if here is None:
        missing.append("a cgroup of its own: the system has no cgroup v2")
        return None
    refused = ""
    for parent in (here, here.parent):
        own = parent / f"keepfit-{os.getpid()}"
        try:
            known = (parent / "cgroup.controllers").read_text().split()
            lacking = [name for name in _CONTROLLERS if name not in known]
            if lacking:
                refused = refused or f"{parent} has no controller {', '.join(lacking)}"
                continue
            (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _CONTROLLERS))
            own.mkdir()
            (own / "cpu.weight").write_text("1")
            (own / "memory.max").write_text("max" if resources.memory is None else str(resources.memory))
            (own / "cgroup.procs").write_text(str(os.getpid()))
        except OSError as error:
            refused = refused or f"{parent}: {error.strerror}"
            leave_group(str(own))
        else:
            return own
    missing.append(f"a cgroup of its own: {refused}")
    return None


def _group(mounts: Path) -> Path | None:
    """The directory of the cgroup v2 this process is in."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
        path = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    root = next((Path(words[1]) for words in lines if words[2] == "cgroup2"), None)
    return root / path.lstrip("/") if root else None


def _gpu(gpu: Gpu | None, missing: list[str]) -> str:
    """What of a GPU there is: libraries find it by the environment the process was started with."""
    if gpu is None:
        return ""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        missing.append(f"GPU {gpu.device}: the machine has none")
        return ""
    share = f"{gpu.share} %"
    pipes = os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")  # noqa: S108  # NVIDIA's own default
    if gpu.share < 100 and not Path(pipes).exists():
        missing.append(f"{gpu.share} % of GPU {gpu.device}: no Multi-Process Service runs (nvidia-cuda-mps-control -d)")
        share = "100 %"
    return f"{gpu.device}, {share}, {gpu.time:.0%} of the time"
