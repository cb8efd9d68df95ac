"""Whatever a model's own process does, it costs one batch of answers, and nothing else on the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import models
from keepfit.core.errors import ModelFault
from keepfit.core.service import Serving
from keepfit.serve.confine import FIRST_UID
from keepfit.serve.loading import load
from keepfit.serve.manifest import manifest
from keepfit.serve.remote import Remote
from keepfit.store.blobs import Trees
from runners import Reply, Served, served, wait

PROCESSES = 300  # which a fork bomb may have, at most
SERVING = json.dumps({"deadline": 10.0, "memory": 2**30})


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serves MODEL as version 1."""
    with served(tmp_path_factory.mktemp("store"), "--serving", SERVING) as found:
        found.digests[1] = Trees(found.places.trees).put(models.coded(found.root / "made" / "bundle"))
        said = found.swap(1)
        assert said["ok"], said
        yield found


def _asked(runner: Served, x: float) -> Reply:
    return runner.call("POST", "/predict", {"x": x})


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (1001, "RuntimeError: on purpose"),
        (1002, "died"),
        (1003, "died"),
        (1005, "MemoryError"),
        (1009, "SystemExit"),
        (1011, "MemoryError"),
        (1012, "broke the protocol"),
    ],
    ids=["raises", "exits", "segfaults", "asks for a petabyte", "sys.exit", "takes ever more", "writes to the socket"],
)
def test_what_a_model_does_is_answered_by_500(runner: Served, command: int, words: str) -> None:
    """The caller is told, and the next one is answered, by the same front worker."""
    fronts = runner.fronts()
    reply = _asked(runner, command)
    assert (reply.status, reply.json["code"]) == (500, "model_fault"), reply.body
    assert words in reply.json["error"]
    after = _asked(runner, 21)
    assert after.status == 200, after.body
    assert after.json["y"] == 42.0
    assert runner.fronts() == fronts


def test_a_model_that_never_answers_is_ended(runner: Served) -> None:
    """At the deadline, and the next request finds a new process."""
    reply = _asked(runner, 1004)
    assert (reply.status, reply.json["code"]) == (500, "model_fault")
    assert "did not answer within 10 s and was ended" in reply.json["error"]
    assert _asked(runner, 1).json["y"] == 2.0


def test_what_a_model_prints_is_in_the_log(runner: Served) -> None:
    """From Python and from C alike, and never in an answer."""
    assert _asked(runner, 1006).json["says"] == "printed"
    log = (runner.deployment / "test.log").read_text()
    assert "printed by the model" in log
    assert "written by the model" in log


def test_a_fork_bomb_ends_with_the_process_that_lit_it(tmp_path: Path) -> None:
    """It has so many processes and no more, and none of them is left, whatever groups they made."""
    directory = models.coded(tmp_path / "bundle")
    remote = Remote(directory, manifest(directory), serving=Serving(deadline=3.0))
    remote.start()
    try:
        granted = remote.granted
        if granted.processes is None:
            pytest.skip("this system cannot limit the processes of a model")
        with pytest.raises(ModelFault, match="did not answer"):
            remote.predict(models.x(1007))
        forks = [int(path.name) for path in (tmp_path / "place" / "forks").iterdir()]
        assert (tmp_path / "place" / "refused").exists()
        assert 10 < len(forks) < PROCESSES
        if granted.uid >= FIRST_UID:
            wait(lambda: not [fork for fork in forks if _alive(fork)])
        assert remote.predict(models.x(1))["y"].tolist() == [2.0]
    finally:
        remote.close()
        for fork in (int(path.name) for path in (tmp_path / "place" / "forks").iterdir()):
            if _alive(fork):  # without a uid of its own, what leaves its group cannot be found
                os.kill(fork, signal.SIGKILL)


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


SERVER = """
import sys
from pathlib import Path
import models
from keepfit.serve.loading import load

_, predictor = load(Path(sys.argv[1]))
print(predictor.process, flush=True)
predictor.predict(models.x(1004))
"""


def test_no_child_outlives_its_server(tmp_path: Path) -> None:
    """Not even one that computes for ever, when its server is killed outright."""
    directory = models.coded(tmp_path / "bundle")
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", SERVER, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}) as server:
        assert server.stdout is not None
        child = int(server.stdout.readline())
        busy = _ticks(child)
        wait(lambda: _ticks(child) > busy + 20)  # it computes
        server.kill()
    wait(lambda: not _alive(child))


def _ticks(process: int) -> int:
    """Processor time, in hundredths of a second."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_memory_comes_back(tmp_path: Path) -> None:
    """Loading and unloading over and over leaves neither processes nor files nor memory behind."""
    directory = models.coded(tmp_path / "bundle")

    def state() -> tuple[int, int]:
        tasks = [(task / "children").read_text().split() for task in Path("/proc/self/task").iterdir()]
        return len(os.listdir("/proc/self/fd")), sum(map(len, tasks))  # noqa: PTH208

    load(directory)[1].close()
    before = state()
    for _ in range(3):
        _, predictor = load(directory)
        predictor.predict(models.x(1))
        predictor.close()
    assert state() == before
