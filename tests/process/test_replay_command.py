"""`keepfit replay` as a process: what it prints and draws, that it is the same twice, and what it says to bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

FILE = """
from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers
from keepfit.data.read import read
from pathlib import Path
from sklearn.tree import DecisionTreeClassifier

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 300)

Service_ = Service(
    name="turned", estimator=DecisionTreeClassifier(max_depth=3), data=first, label="y", metric="accuracy",
    recipe=Recipe(window=Window(rows=300), holdout=100),
    triggers=(triggers.Labels(300),), gates=(gates.Contract(), gates.Golden(), gates.Harmless()),
)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    x = random.normal(size=(1000, 2))
    y = (x[:, 0] > 0) ^ (np.arange(1000) >= 600)
    pyarrow.csv.write_csv(pa.table({"a": x[:, 0], "b": x[:, 1], "y": y.astype(int)}), tmp_path / "rows.csv")
    (tmp_path / "turned.py").write_text(FILE)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepfit.edge.cli", "replay", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


def test_same_seed_same_bytes(folder: Path) -> None:
    """Two runs print, draw and write the same bytes; the cost, which differs, goes to standard error."""
    seen = []
    for name in ("one", "two"):
        files = ("--html", f"{name}.html", "--json", f"{name}.json")
        ended = run(folder, "turned.py", "rows.csv", "--chunk", "100", "--every", "1,3", "--seed", "5", *files)
        assert ended.returncode == 0, ended.stderr
        assert re.search(r"CPU seconds.*keepfit \d", ended.stderr)
        seen.append((ended.stdout, *((folder / f"{name}.{end}").read_bytes() for end in ("html", "json"))))
    assert seen[0] == seen[1]
    printed, drawn, written = seen[0]
    assert all(name in printed for name in ("keepfit", "never", "every 1", "every 3", "last label", "accuracy"))
    assert b"<svg" in drawn
    assert b"http" not in drawn.replace(b"http-equiv", b"")
    found = json.loads(written)
    assert [course["name"] for course in found["courses"]] == ["keepfit", "never", "every 1", "every 3", "last label"]
    assert found["rows"] == 700
    assert "cpu_seconds" not in found["courses"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("turned.py", "absent.csv"), "absent.csv"),
        (("absent.py", "rows.csv"), "absent.py"),
        (("turned.py", "rows.csv", "--chunk", "fortnight"), "fortnight"),
        (("turned.py", "rows.csv", "--every", "0"), "--every"),
        (("turned.py", "rows.csv", "--service", "other"), "turned"),
        (("turned.py", "rows.csv", "--frobnicate"), "frobnicate"),
    ],
)
def test_bad_input_is_one_line(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    """Wrong input ends with an exit code and a sentence that names it, without a traceback, and draws nothing."""
    ended = run(folder, *arguments)
    assert ended.returncode in (1, 2)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(folder.glob("*.html"))


def test_data_without_a_column_is_refused(folder: Path) -> None:
    """History which lacks a feature is refused by name."""
    (folder / "less.csv").write_text("a,y\n1.0,1\n2.0,0\n")
    ended = run(folder, "turned.py", "less.csv")
    assert ended.returncode == 2
    assert "'b'" in ended.stderr


def test_services_of_a_file_are_compared(folder: Path) -> None:
    """With --compare every service has its row, the simple policies theirs; two runs print and draw the same bytes."""
    (folder / "turned.py").write_text(
        FILE
        + "from dataclasses import replace\nother = replace(Service_, name='costly', triggers=(triggers.Cost(20),))\n"
    )
    seen = []
    for name in ("one", "two"):
        files = ("--html", f"{name}.html", "--json", f"{name}.json")
        asked = ("--compare", "--seeds", "2", "--chunk", "100", "--every", "2")
        ended = run(folder, "turned.py", "rows.csv", *asked, *files)
        assert ended.returncode == 0, ended.stderr
        assert re.search(r"CPU seconds per seed.*costly \d", ended.stderr)
        seen.append((ended.stdout, *((folder / f"{name}.{end}").read_bytes() for end in ("html", "json"))))
    assert seen[0] == seen[1]
    found = json.loads(seen[0][2])
    assert [entry["name"] for entry in found["entries"]] == ["turned", "costly", "never", "every 2", "last label"]
    assert found["seeds"] == [0, 1]
    assert found["ideal"]["losses"][0] >= found["ideal"]["losses"][-1]
    assert all(entry["name"] in seen[0][0] for entry in found["entries"])
