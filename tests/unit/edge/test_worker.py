"""What a worker asks of the operating system, what it gets, and what is said of the difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Conditions, Gpu, Resources
from keepfit.core.registry import canonical, from_plain
from keepfit.core.service import Recipe, Serving
from keepfit.loop.executors import threads_for

SCRIPT = """
import json, os, resource, signal, sys
from pathlib import Path
import msgspec
from keepfit.core.nouns import Resources
from keepfit.core.registry import from_plain, to_plain
from keepfit.edge.aside import step_aside

resources = from_plain(Resources, msgspec.json.decode(sys.argv[1]))
granted = step_aside(resources, [int(one) for one in sys.argv[3:]], Path(sys.argv[2]))
seen = {
    "idle": os.sched_getscheduler(0) == os.SCHED_IDLE,
    "nice": os.nice(0),
    "cores": sorted(os.sched_getaffinity(0)),
    "memory": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "oom": int(Path("/proc/self/oom_score_adj").read_text()),
    "hangup": signal.getsignal(signal.SIGHUP) == signal.SIG_IGN,
    "session": os.getsid(0),
}
print(json.dumps([to_plain(granted), seen]))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux grants these")


def aside(resources: Resources, *runners: int, mounts: str = "/proc/self/mounts") -> tuple[Conditions, dict[str, Any]]:
    """What a process that steps aside says it was granted, and what it then sees of itself."""
    command = [sys.executable, "-c", SCRIPT, canonical(resources).decode(), mounts, *map(str, runners)]
    granted, seen = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return from_plain(Conditions, granted), seen


@linux
def test_what_is_said_to_be_granted_is_so() -> None:
    """Scheduling class, processors, memory and session are those that the process itself finds."""
    granted, seen = aside(Resources(memory=2**31))
    assert (granted.scheduling == "SCHED_IDLE") == seen["idle"]
    assert seen["idle"] or granted.scheduling == f"nice {seen['nice']}"
    assert seen["idle"] or any(one.startswith("SCHED_IDLE") for one in granted.missing)
    assert list(granted.cores) == seen["cores"]
    assert granted.memory == seen["memory"] == 2**31
    assert granted.session == seen["session"] == os.getsid(0)
    assert granted.io == "idle" or any("input and output" in one for one in granted.missing)
    assert (seen["oom"], seen["hangup"]) == (1000, True)


@linux
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has to be shared")
def test_a_core_is_left_to_serving() -> None:
    """The first one where runners go anywhere; all that they are held to where they are held."""
    mine = sorted(os.sched_getaffinity(0))
    granted, _ = aside(Resources(threads=64))
    assert granted.cores == tuple(mine[1:])
    assert granted.threads == len(mine) - 1
    assert any(one.startswith("64 threads") for one in granted.missing)
    with subprocess.Popen(["sleep", "60"]) as runner:
        os.sched_setaffinity(runner.pid, {mine[-1]})
        granted, _ = aside(Resources(), runner.pid)
        runner.kill()
    assert granted.cores == tuple(mine[:-1])


@linux
def test_less_than_asked_is_said(tmp_path: Path) -> None:
    """No control groups, no GPU: one sentence each, and in the one line that people read."""
    empty = tmp_path / "mounts"
    empty.write_text("")
    granted, _ = aside(Resources(gpu=Gpu("9", share=30)), mounts=str(empty))
    assert granted.cgroup == ""
    assert any(one.startswith("a cgroup of its own") for one in granted.missing)
    if not list(Path("/dev").glob("nvidia[0-9]*")):
        assert "GPU 9: the machine has none" in str(granted)


@linux
def test_a_control_group_is_made_where_the_system_lets_us(tmp_path: Path) -> None:
    """Its weight is the least and its memory what the Run may have; one without controllers is passed by."""
    path = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    here = tmp_path / "cgroup" / path.lstrip("/")
    here.mkdir(parents=True)
    (tmp_path / "mounts").write_text(f"cgroup2 {tmp_path / 'cgroup'} cgroup2 rw 0 0\n")
    (here / "cgroup.controllers").write_text("hugetlb\n")
    granted, _ = aside(Resources(), mounts=str(tmp_path / "mounts"))
    assert any("has no controller cpu, memory" in one for one in granted.missing)
    (here / "cgroup.controllers").write_text("cpu io memory pids\n")
    granted, _ = aside(Resources(memory=2**31), mounts=str(tmp_path / "mounts"))
    own = Path(granted.cgroup)
    assert own.parent == here
    assert granted.weight == 1
    assert (own / "memory.max").read_text() == str(2**31)
    assert (here / "cgroup.subtree_control").read_text() == "+cpu +memory"
    assert own.name == f"keepfit-{(own / 'cgroup.procs').read_text()}"


def test_one_core_is_always_left() -> None:
    """Threads are capped below the processors there are, and never below one."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert threads_for(Resources(threads=1000)) == max(1, there - 1)
    assert threads_for(Resources(threads=1)) == 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (Resources(threads=0), "Resources.threads"),
        (Resources(memory=1), "Resources.memory"),
        (Resources(gpu=Gpu("")), "Resources.gpu.device"),
        (Resources(gpu=Gpu(share=0)), "Resources.gpu.share"),
        (Resources(gpu=Gpu(time=0.0)), "Resources.gpu.time"),
    ],
)
def test_resources_nobody_can_have_are_refused(wrong: Resources, named: str) -> None:
    """When the service file is read, not when the update begins."""
    with pytest.raises(SpecInvalid, match=named):
        Recipe(resources=wrong)


@pytest.mark.parametrize("wrong", [0.0, -1.0, 61.0, float("nan")])
def test_budgets_that_cannot_be_kept_are_refused(wrong: float) -> None:
    """A budget is a time above nothing, at most a minute."""
    with pytest.raises(SpecInvalid, match=r"Serving\.p99"):
        Serving(p99=wrong)
