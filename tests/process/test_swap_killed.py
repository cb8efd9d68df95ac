"""kill -9 at named points of a swap, in whatever process: exactly one committed Version answers, before and after."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

import toys
from runners import PATIENCE, Served, served, wait

INFER = "/v2/models/toy/infer"
ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}
ONE = {name: np.array([value], dtype=object if name == "city" else None) for name, value in ROW.items()}
MORTAL = Path(__file__).parent / "mortal"

POINTS = {
    "supervisor: a Version is to be proved": "keepfit.edge.proofs:Proofs.admit:before",
    "supervisor: a Version was proved": "keepfit.edge.proofs:Proofs.admit:after",
    "supervisor: workers are to prepare": "keepfit.edge.fronts:Fronts.ask:before:1",
    "supervisor: workers are prepared": "keepfit.edge.fronts:Fronts.ask:after:1",
    "supervisor: the swap is to be written down": "keepfit.edge.committed:write_committed:before",
    "supervisor: the swap is written down": "keepfit.edge.committed:write_committed:after",
    "supervisor: workers are to commit": "keepfit.edge.fronts:Fronts.ask:before:2",
    "supervisor: workers have committed": "keepfit.edge.fronts:Fronts.ask:after:2",
    "prover: a Version is to be loaded": "keepfit.serve.admission:expect_room:before",
    "front worker: it is to prepare": "keepfit.serve.slot:Slots.prepare:before",
    "front worker: a Version is loaded": "keepfit.serve.routing:open_routing:after",
    "front worker: it is prepared": "keepfit.serve.slot:Slots.prepare:after",
    "front worker: it is to commit": "keepfit.serve.slot:Slots.commit:before",
    "front worker: it has committed": "keepfit.serve.slot:Slots.commit:after",
}
"""Where to die in the swap from v1 to v2."""


@dataclass(frozen=True)
class Answered:
    """One answer: when it was asked for, when it came, by which Version."""

    asked: float
    came: float
    version: int


class Observer(threading.Thread):
    """Asks on and on over connections of its own, through refusals of a runner that is gone."""

    def __init__(self, runner: Served, port: int) -> None:
        super().__init__()
        self._runner = runner
        self._port = port
        self.stop = threading.Event()
        self.answers: list[Answered] = []
        self.torn: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self.stop.is_set():
            asked = time.monotonic()
            try:
                connection.request("POST", "/predict", json.dumps(ROW))
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                time.sleep(0.01)  # nobody listens for a moment
                continue
            if reply.status == 200:
                version = int(reply.headers["keepfit-version"])
                self.answers.append(Answered(asked, time.monotonic(), version))
                expected = float(toys.probability(toys.COLUMNS, ONE, version / 10)[0])
                if abs(json.loads(body)["probability"] - expected) > 1e-6:
                    self.torn.append(f"{version}: {body!r}")
        connection.close()


def committed(runner: Served) -> int:
    return int(json.loads((runner.deployment / "committed.json").read_bytes())["1"]["live"]["version"])


@pytest.mark.parametrize("point", POINTS)
def test_exactly_one_committed_version_answers(tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever dies when, no answer is torn or of a Version that is not committed, and the swap can be asked again."""
    monkeypatch.setenv("PYTHONPATH", f"{MORTAL}")
    monkeypatch.setenv("MORTAL", POINTS[point])
    monkeypatch.setenv("MORTAL_ARMED", str(tmp_path / "armed"))
    monkeypatch.setenv("MORTAL_DONE", str(tmp_path / "died"))
    with served(tmp_path / "s", "--workers", "2") as runner:
        for version in (1, 2):
            runner.put(version, bias=version / 10, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        port = runner.port
        observers = [Observer(runner, port) for _ in range(3)]
        for observer in observers:
            observer.start()
        (tmp_path / "armed").touch()
        acknowledged = _swap(runner)
        assert (tmp_path / "died").exists(), "the point was never reached"
        if runner.process is not None and runner.process.poll() is not None:
            runner.start(port=port)
        wait(lambda: len(runner.fronts()) == 2 and runner.call("GET", "/v2/health/ready").status == 200)
        settled, now = time.monotonic(), committed(runner)
        assert acknowledged is None or now == 2
        seen = {int(runner.call("POST", "/predict", ROW).headers["keepfit-version"]) for _ in range(8)}
        assert seen == {now}
        again = runner.swap(2)
        assert again["ok"], again
        assert {int(runner.call("POST", "/predict", ROW).headers["keepfit-version"]) for _ in range(8)} == {2}
        _judge(observers, now, settled, acknowledged)


def _swap(runner: Served) -> float | None:
    """Ask for v2; when it was acknowledged, None where it was not."""
    try:
        done = runner.swap(2)
    except OSError:
        wait(lambda: runner.process is None or runner.process.poll() is not None)
        return None
    return time.monotonic() if done["ok"] else None


def _judge(observers: list[Observer], now: int, settled: float, acknowledged: float | None) -> None:
    for observer in observers:
        observer.stop.set()
        observer.join()
    assert [torn for observer in observers for torn in observer.torn] == []
    answers = [answer for observer in observers for answer in observer.answers]
    assert answers
    for answer in answers:
        if now == 1 and answer.came < settled:
            assert answer.version == 1, "an answer of a Version that was never committed"
        if acknowledged is not None and answer.asked > acknowledged:
            assert answer.version == 2, "an answer of the old Version after the swap was acknowledged"


def children(runner: Served) -> set[int]:
    """The model processes of all front workers."""
    assert runner.process is not None
    found = set()
    for member in psutil.Process(runner.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # one that has just ended
            if "keepfit.serve.child" in member.cmdline():
                found.add(member.pid)
    return found


@pytest.mark.parametrize("point", ["loads", "has loaded"])
def test_a_model_process_that_dies_in_a_swap(tmp_path: Path, point: str) -> None:
    """Killed while it loads, the swap is refused and the old Version answers on; killed after it, a fresh one does."""
    with served(tmp_path / "s", "--workers", "2") as runner:
        for version in (1, 2):
            runner.put(version, bias=version / 10, signature=toys.COLUMNS, runtime="python")
        assert runner.swap(1)["ok"]
        old = children(runner)
        observer = Observer(runner, runner.port)
        observer.start()
        replies: list[dict[str, object]] = []
        swapping = threading.Thread(target=lambda: replies.append(runner.swap(2)))
        swapping.start()
        if point == "loads":
            wait(lambda: children(runner) - old)
            os.kill((children(runner) - old).pop(), signal.SIGKILL)
            swapping.join()
            assert not replies[0]["ok"]
        else:
            swapping.join()
            assert replies[0]["ok"]
            for child in children(runner) - old:
                os.kill(child, signal.SIGKILL)
        now = committed(runner)
        assert now == (1 if point == "loads" else 2)
        wait(lambda: runner.call("POST", "/predict", ROW).status == 200)
        assert {int(runner.call("POST", "/predict", ROW).headers["keepfit-version"]) for _ in range(8)} == {now}
        observer.stop.set()
        observer.join()
        assert observer.torn == []
        assert {answer.version for answer in observer.answers} <= {1, now}
