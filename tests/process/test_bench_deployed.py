"""From `keepfit bench --then deploy` to a Version, with the control process running all the while."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from keepfit.core.places import Places
from keepfit.edge.client import Client

pytest.importorskip("sklearn")

SERVICE = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from keepfit import Recipe, Service, gates

def rows():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(size=300), "b": random.normal(size=300)})
    return X.assign(up=(X["a"] + X["b"] > 0))

line = Service(name="line", estimator=LogisticRegression(), data=rows, label="up", recipe=Recipe(holdout=0.3),
               gates=(gates.Contract(), gates.Golden()))
"""

MINE = """
from dataclasses import dataclass
from keepfit.learn.learners import Refit

@dataclass(frozen=True)
class Mine:
    twist: int = 1
    def learn(self, estimator, lesson):
        print("taught by Mine", self.twist)
        return Refit().learn(estimator, lesson)
"""

_PATIENCE = 600.0  # seconds: the machine may be busy with other things


def _line(*words: str) -> list[str]:
    return [sys.executable, "-m", "keepfit", *words]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder with a service that is up, its first Version live, and a learner beside it that it knows nothing of."""
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "mine.py").write_text(MINE)
    with (tmp_path / "up.log").open("wb") as log:
        control = subprocess.Popen(_line("up", "service.py"), cwd=tmp_path, stdout=log, stderr=log)
    try:
        with Client.wait_for(Places(tmp_path / ".keepfit"), _PATIENCE) as client:
            deadline = time.monotonic() + _PATIENCE
            while client.status("line").live != 1:
                assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
                time.sleep(0.2)
        yield tmp_path
    finally:
        subprocess.run(_line("down"), cwd=tmp_path, capture_output=True, check=False, timeout=600)
        with suppress(subprocess.TimeoutExpired):
            control.wait(timeout=600)
        control.kill()
        control.wait()


def test_the_next_update_is_by_the_winner(project: Path) -> None:
    """Experiments are recorded beside the running loop, the control process takes the winner, its worker makes it."""
    asked = _line("bench", "mine.py:Mine(twist=3)", "--on", "data(count=2)-digits", "--seeds", "1", "--then", "deploy")
    done = subprocess.run([*asked, "line"], cwd=project, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    with Client.wait_for(Places(project / ".keepfit")) as client:
        ended = client.update("line", "test", actor="test", wait=int(_PATIENCE))
        assert ended.done, ended.reason
        second = client.status("line").versions[-1]
        train = next(run for run in reversed(client.runs("line")) if run.step == "train")
    log = (project / ".keepfit" / "runs" / train.run / "log").read_text()
    assert "taught by Mine 3" in log
    assert second.number == 2
    bundle = json.loads((project / ".keepfit" / "trees" / second.digest / "bundle.json").read_text())
    assert json.loads(bundle["recipe"])["learner"] == {"kind": "keepfit.learners/mine:Mine", "twist": 3}
