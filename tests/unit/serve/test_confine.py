"""What holds a process of user code is what was said to hold it, by what the system tells that process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import models
from keepfit.core.service import Serving
from keepfit.serve.confine import FIRST_UID
from keepfit.serve.loading import load
from keepfit.serve.remote import Remote

MEMORY = 4 * 2**30


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """What was granted, and what the model finds."""
    root = tmp_path_factory.mktemp("held")
    _, predictor = load(models.coded(root / "bundle"), serving=Serving(memory=MEMORY))
    assert isinstance(predictor, Remote)
    try:
        predictor.predict(models.x(1))  # the thread that loads answers the first question
        return predictor.granted, json.loads(predictor.predict(models.x(1008))["says"][0])
    finally:
        predictor.close()


def test_what_was_granted_is_so(held: tuple[Any, dict[str, Any]]) -> None:
    """Each number and each promise, read by the model itself."""
    granted, found = held
    assert granted.uid == found["uid"]
    assert (granted.memory, granted.files) == (found["limits"]["DATA"], found["limits"]["NOFILE"]) == (MEMORY, 1024)
    assert found["limits"]["CORE"] == 0
    assert granted.privileges is False
    assert found["no_new_privileges"] == 1
    assert granted.outlives is False
    assert found["dies_by"] == 9
    assert found["oom"] == 1000
    assert granted.processes is None or granted.processes == found["limits"]["NPROC"]


def test_nothing_of_the_server_is_inherited(held: tuple[Any, dict[str, Any]]) -> None:
    """Its own socket, nothing to read from, the log to write to; whatever else it has it opened itself."""
    inherited = [name for name in held[1]["files"] if not name.startswith("/proc/")]
    assert sum(name.startswith("socket:") for name in inherited) == 1
    assert inherited[0] == "/dev/null"
    assert inherited[1] == inherited[2]
    assert len(inherited) <= 4


def test_what_is_not_granted_is_said(held: tuple[Any, dict[str, Any]]) -> None:
    """One sentence for each; a model that is root, or reads every file, is never passed over in silence."""
    granted, found = held
    told = " ".join(granted.missing)
    assert ("uid" in told or "root" in told or "every file" in told) == (
        found["uid"] < FIRST_UID or found["capabilities"] != 0
    )
    assert found["groups"] == [] or found["uid"] < FIRST_UID
    assert found["reaches_server"] == (found["uid"] < FIRST_UID)


SCRIPT = """
import json, sys
from pathlib import Path
import models
from keepfit.serve.loading import load

_, predictor = load(Path(sys.argv[1]))
granted, says = predictor.granted, predictor.predict(models.x(1008))["says"][0]
print(json.dumps([granted.missing, granted.directory, says, predictor.predict(models.x(1))["y"].tolist()]))
predictor.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process another uid")
def test_a_private_store_is_read_by_a_process_that_is_nobody(tmp_path: Path) -> None:
    """With a Python that all may read, nothing of root is left to the model, and it finds its Bundle nevertheless."""
    libraries = [entry for entry in sys.path if entry.endswith(("src", "site-packages"))]
    python = _public(libraries)
    if python is None:
        pytest.skip("no Python of this version that everybody may read")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    directory = models.coded(private / "bundle")
    path = os.pathsep.join([str(Path(models.__file__).parent), *libraries])
    command = [python, "-c", SCRIPT, str(directory)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    missing, where, says, y = json.loads(done.stdout)
    found = json.loads(says)
    assert missing == []
    assert where == "/proc/self/cwd"
    assert found["uid"] >= FIRST_UID
    assert (found["capabilities"], found["groups"], found["reaches_server"]) == (0, [], False)
    assert y == [2.0]


def _public(libraries: list[str]) -> str | None:
    """A Python of this version that a stranger can start, with the libraries it needs."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        if all(_can(command) for command in ([python, "-c", ""], *(["/bin/ls", root] for root in libraries))):
            return python
    return None


def _can(command: list[str]) -> bool:
    """Whether a stranger can do that."""
    try:
        done = subprocess.run(command, user=65534, group=65534, extra_groups=[], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
