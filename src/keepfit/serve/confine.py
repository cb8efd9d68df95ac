"""What a process of user code may do, where the system allows it to be held; what was really granted is read back.

Called by the process itself before it opens anything of the user's. A server that is root gives every such process a
uid of its own; any other server's have its own uid, and only the limits hold them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

FIRST_UID = 0x70000000  # above all that systems give out; the process id is added, so no two living ones share one
_FILES = 1024
_PROCESSES = 256  # and threads, of one uid
_PDEATHSIG, _GET_PDEATHSIG, _KEEPCAPS, _NO_NEW_PRIVS, _GET_NO_NEW_PRIVS = 1, 2, 8, 38, 39  # linux/prctl.h
_READ_ALL = 1 << 2  # CAP_DAC_READ_SEARCH of linux/capability.h
_CAPABILITIES = 0x20080522  # the version of the structure there


@dataclass(frozen=True)
class Granted:
    """What holds a process of user code; `missing` has one sentence for each thing that does not.

    `memory` in bytes, None where nothing limits it; `processes` (threads included) likewise. `directory` is where it
    finds its Bundle; `pace` is how it is scheduled when it answers, `loaded` how it was while it was loaded.
    """

    uid: int
    directory: str
    memory: int | None = None
    files: int | None = None
    processes: int | None = None
    privileges: bool = True
    outlives: bool = True
    pace: str = "normal"
    loaded: str = "normal"
    missing: tuple[str, ...] = ()


def confine(directory: Path, *, server: int, memory: int | None) -> Granted:
    """Hold the calling process; `server` is the process id that it must not outlive, `memory` its bytes.

    It stands in the Bundle's directory afterwards, which it can read even where the path to it is private. SystemExit
    where the server is gone already.
    """
    os.chdir(directory)
    missing: list[str] = []
    _first_to_go(missing)
    where = _own_uid(directory, missing)
    _limit(memory or _machine(), missing)
    return Granted(
        uid=os.getuid(),
        directory=where,
        memory=_soft(resource.RLIMIT_DATA),
        files=_soft(resource.RLIMIT_NOFILE),
        processes=_soft(resource.RLIMIT_NPROC) if os.getuid() else None,
        privileges=_may_gain(missing),
        outlives=_may_outlive(server, missing),
        missing=tuple(missing),
    )


def _first_to_go(missing: list[str]) -> None:
    """When memory runs out, this process ends and not the server."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError as error:
        missing.append(f"when memory runs out it is not the first to go: {error.strerror}")


def _own_uid(directory: Path, missing: list[str]) -> str:
    """Take a uid of its own; the path under which the Bundle is then found."""
    if os.geteuid():
        missing.append(
            f"it has no uid of its own, because the server (uid {os.getuid()}) is not root; "
            "processes it starts which leave its group may outlive it"
        )
        return str(directory)
    uid, where = FIRST_UID + os.getpid(), str(directory)
    try:
        closed = _closed(uid)
        if closed and not _can_read_all():
            missing.append(f"it is still root, because {closed} can be read by root only, and it needs that")
            return where
        _become(uid, reading_all=bool(closed))
    except OSError as error:
        missing.append(f"it is still root: {error.strerror}")
        return where
    if closed:
        missing.append(f"it can read every file, because {closed} can be read by root only, and it needs that")
    os.environ |= {"HOME": "/nonexistent", "USER": "keepfit", "LOGNAME": "keepfit"}
    return where if os.access(directory / "bundle.json", os.R_OK, effective_ids=True) else "/proc/self/cwd"


def _closed(uid: int) -> str:
    """The first thing which Python or the Bundle needs that `uid` cannot read; empty where there is none."""
    needed = [sys.executable, *(entry for entry in sys.path if entry and os.path.exists(entry))]  # noqa: PTH110
    needed += ["bundle.json", *(f"{folder}/{name}" for folder, _, names in os.walk(".") for name in names)]
    groups = os.getgroups()
    try:
        os.setgroups([])
        os.setegid(uid)
        os.seteuid(uid)
        return next((path for path in needed if not os.access(path, os.R_OK, effective_ids=True)), "")
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _become(uid: int, *, reading_all: bool) -> None:
    """Change the uid for good; of root's capabilities, at most the one to read every file stays."""
    if reading_all:
        _prctl(_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if reading_all:
        header = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
        sets = (ctypes.c_uint32 * 6)(_READ_ALL, _READ_ALL, 0, 0, 0, 0)  # effective, permitted, inheritable: low, high
        if ctypes.CDLL(None, use_errno=True).capset(header, sets):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _can_read_all() -> bool:
    return sys.platform == "linux" and bool(int(_status("CapPrm"), 16) & _READ_ALL)


def _status(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name + ":"))


def _limit(memory: int, missing: list[str]) -> None:
    """Set the limits, each no wider than it is already."""
    wanted = {
        "core dumps": (resource.RLIMIT_CORE, 0),
        "memory": (resource.RLIMIT_DATA, memory),
        "open files": (resource.RLIMIT_NOFILE, _FILES),
        "processes": (resource.RLIMIT_NPROC, _PROCESSES + _tasks()),
    }
    for name, (kind, most) in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError) as error:
            missing.append(f"its {name} are not limited: {error}")
    if not os.getuid():
        missing.append("its processes are not limited, because root's never are")


def _tasks() -> int:
    """Processes and threads that the system counts against this uid: all of a user's, or just this one's."""
    own, tasks = os.getuid(), 0
    if own >= FIRST_UID:
        return 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == own:
                tasks += sum(1 for _ in (entry / "task").iterdir())
    return tasks


def _may_gain(missing: list[str]) -> bool:
    """Whether it may still gain privileges, by starting a program that has some."""
    if sys.platform != "linux":
        missing.append("it may gain privileges: only Linux can forbid that")
        return True
    _prctl(_NO_NEW_PRIVS, 1)
    if _prctl(_GET_NO_NEW_PRIVS, 0) != 1:
        missing.append("it may gain privileges: the system did not forbid it")
        return True
    return False


def _may_outlive(server: int, missing: list[str]) -> bool:
    """Whether it may live on without its server: never for long, as it ends when the socket closes and it looks."""
    if sys.platform != "linux":
        missing.append("it may live on while it computes without its server: only Linux can forbid that")
        return True
    number = ctypes.c_int(0)
    _prctl(_PDEATHSIG, signal.SIGKILL)  # taken back by a change of uid, so it comes after that
    ctypes.CDLL(None).prctl(_GET_PDEATHSIG, ctypes.byref(number), 0, 0, 0)
    if os.getppid() != server:
        raise SystemExit(1)
    if number.value != signal.SIGKILL:
        missing.append("it may live on while it computes without its server: the system did not forbid it")
        return True
    return False


def _prctl(option: int, value: int) -> int:
    return int(ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))


def _machine() -> int:
    """The bytes of memory there are."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _soft(kind: int) -> int | None:
    value = resource.getrlimit(kind)[0]
    return None if value == resource.RLIM_INFINITY else value
