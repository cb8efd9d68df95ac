"""`keepfit drift` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def write(path: Path, mean: float, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    lines = [f"2018-0{1 + i // 300}-02,{rng.normal(mean + 3 * (i >= 300) * (seed == 2)):.3f}" for i in range(600)]
    path.write_text("day,fare\n" + "\n".join(lines) + "\n")
    return path


def keepfit(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "keepfit", *map(str, arguments)], capture_output=True, text=True)


def test_drift_command(tmp_path: Path) -> None:
    """The column that moved is named, by month the month as well; --fail is exit 1; JSON and page hold the same."""
    a, same, moved = (write(tmp_path / f"{i}.csv", 10.0, i) for i in range(3))
    calm = keepfit("drift", a, same, "--column", "fare", "--fail")
    assert calm.returncode == 0, calm.stderr
    assert "0 of 1 columns drifted" in calm.stdout
    found = keepfit("drift", a, moved, "--by", "month", "--fail", "--html", tmp_path / "page.html")
    assert found.returncode == 1, found.stderr
    january, february, sentence = found.stdout.splitlines()[:3]
    assert january.startswith("2018-01-01")
    assert "0 of 1" in january
    assert "1 of 1" in february
    assert "fare: median" in sentence
    assert "fare: median" in (tmp_path / "page.html").read_text()
    plain = json.loads(keepfit("drift", a, moved, "--column", "fare", "--json", "--detector", "PSI").stdout)
    assert plain[0]["findings"][0]["subject"] == "fare"
    wrong = keepfit("drift", a, moved, "--detector", "Oracle")
    assert wrong.returncode in (1, 2)
    assert "no plug-in 'Oracle'" in wrong.stderr
