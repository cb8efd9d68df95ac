"""The command line without a control process: it starts quickly, and every error is one line and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SERVICE = """\
from keepfit import Service

class Majority:
    _estimator_type = "classifier"
    def fit(self, X, y):
        self.classes_ = sorted(set(y))
        return self
    def predict(self, X): return self.classes_[:1] * len(X)
    def predict_proba(self, X): return [[0.0, 1.0]] * len(X)

flights = Service(name="flights", estimator=Majority(), data="flights.csv", label="late")
"""


def keepfit(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepfit.edge.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


def made(folder: Path) -> Path:
    """A service file and its data."""
    folder.mkdir()
    (folder / "flights_service.py").write_text(SERVICE)
    (folder / "flights.csv").write_text("distance,late\n1400,true\n762,false\n")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of the test's own, in a folder with a space in its name."""
    return made(tmp_path / "my project")


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was applied, for tests that change nothing."""
    folder = made(tmp_path_factory.mktemp("applied") / "my project")
    assert keepfit("apply", "flights_service.py", folder=folder).returncode == 0
    return folder


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    """A start that loads a database driver, numpy or a model library is a start people wait for."""
    code = "import sys, keepfit.edge.cli as c; c.main(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = ended.stdout.splitlines()[-1]
    for module in ("numpy", "pyarrow", "sqlalchemy", "httpx", "sklearn", "pandas", "onnxruntime", "starlette", "rich"):
        assert f"'{module}'" not in loaded


def test_apply_prints_what_it_did_and_status_shows_it(project: Path) -> None:
    """Without a control process both work on the store itself."""
    applied = keepfit("apply", "flights_service.py", folder=project)
    assert (applied.returncode, applied.stderr) == (0, "")
    assert applied.stdout.startswith("flights: applied (specification ")
    again = keepfit("apply", "flights_service.py", folder=project)
    assert again.stdout.startswith("flights: nothing changed")
    shown = json.loads(keepfit("status", "--json", folder=project).stdout)
    assert shown["control"] == ""
    assert [one["service"] for one in shown["services"]] == ["flights"]
    assert "not running" in keepfit("status", folder=project).stdout


def test_mistakes_are_a_line_each_and_exit_code_2(project: Path) -> None:
    """File, line and sentence; no traceback."""
    wrong = SERVICE.replace('label="late"', 'label="lat", features=("far",)')
    (project / "flights_service.py").write_text(wrong)
    ended = keepfit("apply", "flights_service.py", folder=project)
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert all("flights_service.py:11: flights: " in line for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("apply", "nothing.py"), 2, "there is no such file"),
        (("update", "flights"), 1, "no control process runs for"),
        (("swap", "flights", "1"), 1, "start one with: keepfit up"),
        (("swap", "flights", "one"), 2, "'one' is not a valid integer"),
        (("status", "trains"), 1, "there is no service 'trains'; there are: flights"),
        (("versions", "trains"), 1, "there is no service 'trains'"),
        (("fly",), 2, "No such command 'fly'"),
    ],
)
def test_errors_are_told_with_an_exit_code(applied: Path, words: tuple[str, ...], code: int, sentence: str) -> None:
    """1 for what was refused or failed, 2 for wrong input; never a traceback."""
    ended = keepfit(*words, folder=applied)
    assert ended.returncode == code
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_down_says_that_nothing_runs(applied: Path, tmp_path: Path) -> None:
    """Nothing to stop is no error."""
    assert "nothing was ever started" in keepfit("down", folder=tmp_path).stdout
    ended = keepfit("down", folder=applied)
    assert (ended.returncode, ended.stdout) == (0, "no control process is running\n")
