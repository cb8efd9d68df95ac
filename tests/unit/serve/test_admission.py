"""Admission: what does not fit is refused with the numbers, whoever sets the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepfit.core.errors import Refused
from keepfit.serve.admission import expect_room, room

MIB = 2**20


def machine(root: Path, available: int, *groups: tuple[str, str, int]) -> Path:
    """A file system that says what is available, and what each control group may have and has."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available // 1024} kB\n")
    path = root / "sys/fs/cgroup"
    for name, most, used in groups:
        path = path / name
        path.mkdir(parents=True)
        (path / "memory.max").write_text(most)
        (path / "memory.current").write_text(str(used))
    (root / "proc/self/cgroup").write_text("0::/" + "/".join(name for name, _, _ in groups) + "\n")
    return root


def test_the_least_of_all_limits_counts(tmp_path: Path) -> None:
    """The machine, the groups around us and the Service's own limit each refuse in their own words."""
    system = machine(tmp_path, 1000 * MIB, ("outer", str(700 * MIB), 100 * MIB), ("inner", "max", 5 * MIB))
    found = room(None, 0, system=system)
    assert found.bytes == 600 * MIB
    assert "outer" in found.limit
    assert room(500 * MIB, 200 * MIB, system=system).bytes == 300 * MIB
    assert room(None, 0, system=machine(tmp_path / "b", 300 * MIB)).bytes == 236 * MIB


def test_what_is_given_back_first_is_room(tmp_path: Path) -> None:
    """A model that takes the place of another one may have what that one had."""
    system = machine(tmp_path, 100 * MIB)
    assert room(None, 0, 50 * MIB, system=system).bytes == 86 * MIB


def test_a_refusal_says_needed_found_and_what_to_do(tmp_path: Path) -> None:
    """The numbers and the way out are in the sentence; what fits passes."""
    system = machine(tmp_path, 100 * MIB)
    expect_room("v3", 30 * MIB, room(None, 0, system=system))
    with pytest.raises(Refused) as caught:
        expect_room("v3", 40 * MIB, room(None, 0, system=system))
    assert caught.value.code == "insufficient_memory"
    assert "v3 needs 40 MiB" in str(caught.value)
    assert "36 MiB" in str(caught.value)
    assert "preserve" in str(caught.value)


def test_a_system_that_says_nothing_refuses_nothing(tmp_path: Path) -> None:
    """Where neither the kernel nor the Service names a limit, there is none to enforce."""
    expect_room("v1", 2**40, room(None, 0, system=tmp_path))
