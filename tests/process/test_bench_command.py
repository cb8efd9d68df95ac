"""keepfit bench, as a process: the leaderboard, what is recorded, and the winner in a service's recipe."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from keepfit.core.facts import Applied, Experimented
from keepfit.core.places import Places
from keepfit.edge.apply import specification_at
from keepfit.store.ledger import Ledger

pytest.importorskip("sklearn")

SERVICE = """
import numpy as np
import pandas as pd
from sklearn.linear_model import SGDClassifier
from keepfit import Recipe, Service

def rows():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(size=300), "b": random.normal(size=300)})
    return X.assign(up=(X["a"] + X["b"] > 0))

line = Service(name="line", estimator=SGDClassifier(loss="log_loss"), data=rows, label="up", recipe=Recipe(holdout=0.3))
"""

MINE = """
from dataclasses import dataclass
from keepfit.learn.learners import Refit

@dataclass(frozen=True)
class Mine:
    twist: int = 1
    def learn(self, estimator, lesson):
        return Refit().learn(estimator, lesson)

@dataclass(frozen=True)
class Stubborn:
    def learn(self, estimator, lesson):
        raise ValueError("never")
"""


def _keepfit(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepfit", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a service file and a learner, the service applied."""
    folder = tmp_path_factory.mktemp("applied")
    (folder / "service.py").write_text(SERVICE)
    (folder / "mine.py").write_text(MINE)
    done = _keepfit("apply", "service.py", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(applied, tmp_path / "project")


def _experiments(folder: Path) -> list[Experimented]:
    with closing(Ledger(Places(folder / ".keepfit").ledger, readonly=True)) as ledger:
        return [row.fact for row in ledger.facts("", Experimented)]


def test_learners_are_ranked_beside_the_baselines(project: Path) -> None:
    """Named learners, the naive and the joint one stand in one table; JSON and page agree; all is recorded."""
    asked = ["bench", "warm-start", "mine.py:Mine", "--on", "rotated(angles=(0, 60))-digits", "--seeds", "2"]
    done = _keepfit(*asked, "--json", "--html", "page.html", folder=project)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ranked = {one["name"]: one["measures"]["ACC"] for one in found["standings"]}
    assert set(ranked) == {"warm-start", "mine.py:Mine", "joint"}  # the naive one was asked for by its name
    means = [one["mean"] for one in ranked.values()]
    assert means == sorted(means, reverse=True)
    assert all(one["low"] < one["mean"] < one["high"] for one in ranked.values())
    assert found["experiences"] == ["0°", "60°"]
    page = (project / "page.html").read_text(encoding="utf-8")
    assert page.count('<table class="map">') == 3
    assert not re.search(r'(src|href)="', page)
    assert len(_experiments(project)) == 3 * 2
    again = _keepfit(*asked, folder=project)
    assert len(_experiments(project)) == 3 * 2
    assert re.search(r"mine\.py:Mine +\d\d\.\d ± ", again.stdout)
    listed = _keepfit("experiments", folder=project)
    assert "rotated(angles=(0, 60))-digits" in listed.stdout
    assert "joint" in listed.stdout
    absent = _keepfit("experiments", "nothing", folder=project)
    assert absent.returncode == 1
    assert "no experiment 'nothing'" in absent.stderr


def test_without_a_store_nothing_is_recorded(tmp_path: Path) -> None:
    """A bench in an empty folder leaves nothing behind."""
    done = _keepfit("bench", "refit", "--on", "data(count=2)-digits", "--seeds", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "refit" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_learner_that_fails_does_not_stop_the_others(project: Path) -> None:
    """Its reason is told, the others are ranked, and the exit code says that something failed."""
    done = _keepfit("bench", "mine.py:Stubborn", "refit", "--on", "data(count=2)-digits", "--seeds", "1",
                    folder=project)  # fmt: skip
    assert done.returncode == 1
    assert "mine.py:Stubborn: 1 of 1 runs failed" in done.stdout
    assert "ValueError: never" in done.stdout
    assert re.search(r"refit +\d\d\.\d", done.stdout)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--on", "sideways-digits"], "there is no 'sideways'; there are: split, task,"),
        (["--on", "split-mnist"], "--data FOLDER"),
        (["--on", "time", "--data", "service.py"], "--label"),
        (["nobody", "--on", "split-digits"], "there is no learner 'nobody'"),
        (["refit", "--seeds", "0"], "seeds: expected 1 or more"),
    ],
)
def test_wrong_wishes_are_one_line(project: Path, asked: list[str], told: str) -> None:
    """What cannot be done is said in one line, and nothing is run."""
    done = _keepfit("bench", *asked, folder=project)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert _experiments(project) == []


def test_a_stream_of_a_file_with_late_labels(project: Path) -> None:
    """Rows of a file, in order of time, words among them: the classic learners run on them as they are."""
    rows = ["a,word,y"] + [
        f"{number % 7},{'xyz'[number % 3]},{'yes' if number % 7 > 3 else 'no'}" for number in range(400)
    ]
    (project / "stream.csv").write_text("\n".join(rows))
    done = _keepfit("bench", "warmstart", "--on", "time(count=4, delay=1)", "--data", "stream.csv", "--label", "y",
                    "--seeds", "2", "--json", folder=project)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["name"] == "time(count=4, delay=1)-stream"
    assert {one["name"] for one in found["standings"]} == {"warmstart", "joint"}
    assert all(one["measures"]["ACC"]["mean"] > 0.9 for one in found["standings"])


def test_the_winner_becomes_the_recipe(project: Path) -> None:
    """After `--then deploy` the specification in force has the same learner with its parameters, its code beside the
    service's; applying a file that names no learner leaves it, one that names another takes its place."""
    asked = ["bench", "mine.py:Mine(twist=3)", "--on", "data(count=2)-digits", "--seeds", "1"]
    done = _keepfit(*asked, "--then", "deploy", "line", folder=project)
    assert done.returncode == 0, done.stderr
    assert "line: changed, next update by mine.py:Mine(twist=3)" in done.stdout
    places = Places(project / ".keepfit")

    def recipe() -> tuple[object, str, str]:
        with closing(Ledger(places.ledger, readonly=True)) as ledger:
            applied = ledger.last(Applied, "line")
        assert applied is not None
        found = specification_at(applied.specification, places)
        return found.service.recipe.learner, found.experiment, found.code

    learner, experiment, code = recipe()
    assert (getattr(learner, "name", ""), getattr(learner, "parameters", {})) == ("mine:Mine", {"twist": 3})
    assert experiment == "data(count=2)-digits"
    assert (places.trees / code).exists() or any(places.trees.rglob("mine.py"))
    assert _keepfit("apply", "service.py", folder=project).returncode == 0
    assert recipe()[:2] == (learner, experiment)
    named = SERVICE.replace("Recipe(holdout=0.3)", "Recipe(holdout=0.3, learner=learners.WarmStart())")
    (project / "service.py").write_text(named.replace("import Recipe", "import learners, Recipe"))
    assert _keepfit("apply", "service.py", folder=project).returncode == 0
    assert type(recipe()[0]).__name__ == "WarmStart"
    assert recipe()[1] == ""


def test_what_cannot_train_the_service_is_not_deployed(project: Path) -> None:
    """A learner that cannot train the service's own estimator is refused with the reason, and nothing changes."""
    (project / "mine.py").write_text(MINE + "\n\n@dataclass(frozen=True)\nclass Images:\n"
        "    def learn(self, estimator, lesson):\n"
        "        if lesson.X.shape[1] != 64:\n            raise ValueError('only images')\n"
        "        return Refit().learn(estimator, lesson)\n")  # fmt: skip
    asked = ["bench", "mine.py:Images", "--on", "data(count=2)-digits", "--seeds", "1", "--then", "deploy"]
    done = _keepfit(*asked, "line", folder=project)
    assert done.returncode == 1
    assert "cannot train the estimator of 'line': ValueError: only images" in done.stderr
    unknown = _keepfit(*asked, "nobody", folder=project)
    assert unknown.returncode == 1
    assert "'nobody' was never applied here" in unknown.stderr
    with closing(Ledger(Places(project / ".keepfit").ledger, readonly=True)) as ledger:
        assert len(ledger.facts("line", Applied)) == 1
