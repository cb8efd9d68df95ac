"""A learner of the service's own code, through the whole loop: no package, no entry point, no rewrite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

pytest.importorskip("sklearn")

SERVICE = """
from pathlib import Path
from sklearn.tree import DecisionTreeClassifier
from counting import Counting
from keepfit import Recipe, Service, Window, gates, triggers
from keepfit.data.read import read

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 300)

counted = Service(
    name="counted", estimator=DecisionTreeClassifier(max_depth=3), data=first, label="y", metric="accuracy",
    recipe=Recipe(window=Window(rows=300), holdout=100, learner=Counting(most=2)),
    triggers=(triggers.Labels(200),), gates=(gates.Contract(), gates.Golden()),
)
"""

COUNTING = """
from dataclasses import dataclass
import numpy as np
from keepfit.core.nouns import Learnt, Memory
from keepfit.learn.learners import Refit

@dataclass(frozen=True)
class Counting:
    most: int = 9
    def learn(self, estimator, lesson):
        before = 0 if lesson.memory is None else int(lesson.memory.arrays["lessons"][0])
        if before == self.most:
            raise ValueError(f"lesson {before + 1} of {self.most}")
        return Learnt(Refit().learn(estimator, lesson).model,
                      Memory("Counting", arrays={"lessons": np.array([before + 1])}))
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepfit", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service whose learner stands in a file beside it, and its rows."""
    random = np.random.default_rng(1)
    x = random.normal(size=(1000, 2))
    rows = pa.table({"a": x[:, 0], "b": x[:, 1], "y": (x[:, 0] > 0).astype(int)})
    pyarrow.csv.write_csv(rows, tmp_path / "rows.csv")
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "counting.py").write_text(COUNTING)
    return tmp_path


def test_updates_learn_by_it_and_carry_its_memory(folder: Path) -> None:
    """The learner counts its lessons in its memory: the third one ends refused, as it is told to."""
    ended = _run(folder, "replay", "service.py", "rows.csv", "--chunk", "100", "--every", "5")
    assert ended.returncode == 0, ended.stderr
    assert "v1 to v2" in ended.stdout
    assert "lesson 3 of 2" in ended.stdout


def test_a_learner_that_cannot_be_stored_is_told_with_its_line(folder: Path) -> None:
    """A class without fields to be stored by is no recipe's learner: the message says what it has to be."""
    (folder / "counting.py").write_text(COUNTING.replace("@dataclass(frozen=True)\n", "").replace("most: int = 9", "")
                                        .replace("    def learn", "    def __init__(self, most=9):\n"
                                                 "        self.most = most\n    def learn"))  # fmt: skip
    ended = _run(folder, "apply", "service.py")
    assert ended.returncode == 2
    assert "service.py:" in ended.stderr
    assert "Counting is no registered plug-in" in ended.stderr
    assert "frozen dataclass" in ended.stderr
