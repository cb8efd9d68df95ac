"""kill -9 of a runner, a front worker, a model's process, at any moment: afterwards what was committed answers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import toys
from keepfit.store.streams import Query
from runners import Served, inference, served, wait

INFER = "/v2/models/toy/infer"
BODY = json.dumps(inference(np.zeros((1, toys.WIDTH), dtype=np.float32))).encode()
ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().split()[2]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_front_worker_is_replaced(tmp_path: Path, workers: str) -> None:
    """Callers who connect while no worker is there wait and are answered, by the committed Version."""
    with served(tmp_path / "s", "--workers", workers) as runner:
        for version in (1, 2):
            runner.put(version, bias=version / 10)
            assert runner.swap(version)["ok"]
        before = runner.fronts()
        for process in before:
            os.kill(process, signal.SIGKILL)
        replies = [runner.call("POST", INFER, BODY) for _ in range(4)]
        assert {(reply.status, reply.headers["keepfit-version"]) for reply in replies} == {(200, "2")}
        wait(lambda: len(runner.fronts()) == int(workers))
        assert not set(before) & set(runner.fronts())
        wait(lambda: runner.call("POST", "/v2/models/toy/versions/1/infer", BODY).status == 200)


def test_front_workers_end_with_their_runner(tmp_path: Path) -> None:
    """After a kill of the runner nothing of it is left; started again on the same port it answers as before."""
    with served(tmp_path / "s") as runner:
        runner.put(1, bias=0.1)
        assert runner.swap(1)["ok"]
        assert runner.call("POST", INFER, BODY).status == 200
        port, fronts = runner.port, runner.fronts()
        runner.kill()
        runner.start(port=port)
        assert runner.port == port
        assert runner.call("POST", INFER, BODY).json["model_version"] == "1"
        wait(lambda: not any(alive(process) for process in fronts))


def test_what_was_captured_before_a_kill_is_kept(tmp_path: Path) -> None:
    """Records written and labels acknowledged before a kill are there after it, and the next runner adds to them."""
    with served(tmp_path / "s") as runner:
        runner.put(1, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        runner.call("POST", "/predict", [ROW | {"_id": "a"}])
        assert runner.call("POST", "/labels", {"id": "a", "label": 1}).status == 200
        os.kill(runner.fronts()[0], signal.SIGKILL)
        runner.kill()
        runner.start()
        assert runner.call("POST", "/labels", {"id": "a", "label": 0}).status == 200
        runner.call("POST", "/predict", [ROW | {"_id": "b"}])
        wait(lambda: all(runner.stream.known(["a", "b"])))
        (row,) = runner.stream.read(Query(labelled=True)).to_pylist()
        assert (row["_id"], row["_label"]) == ("a", 0)


@pytest.mark.parametrize("victim", ["runner", "front"])
def test_killed_in_the_middle_of_swaps(tmp_path: Path, victim: str) -> None:
    """Whenever the kill falls, `committed.json` is whole, and after a restart exactly its Version answers."""
    dice = random.Random(victim)
    with served(tmp_path / "s") as runner:
        for version in (1, 2):
            runner.put(version, bias=version / 10)
        assert runner.swap(1)["ok"]
        for turn in range(5):
            swapping = threading.Thread(target=_swap_on, args=(runner,))
            swapping.start()
            time.sleep(dice.uniform(0.0, 0.15))
            if victim == "runner":
                runner.kill()
                swapping.join()
                committed = json.loads((runner.deployment / "committed.json").read_bytes())["1"]["live"]
                runner.start()
            else:
                os.kill(runner.fronts()[0], signal.SIGKILL)
                swapping.join()
                wait(lambda: bool(runner.fronts()))
                committed = json.loads((runner.deployment / "committed.json").read_bytes())["1"]["live"]
            reply = runner.call("POST", INFER, BODY)
            assert reply.json["model_version"] == str(committed["version"]), turn
            assert reply.headers["keepfit-bundle"] == runner.digests[committed["version"]]
            assert runner.status()["live"]["version"] == committed["version"]


def _swap_on(runner: Served) -> None:
    """Swap to and fro until the runner is gone, or a few times."""
    try:
        for turn in range(12):
            runner.swap(1 + turn % 2)
    except (ConnectionError, FileNotFoundError):
        return  # it was killed, which is what this is about


def test_a_killed_model_process_costs_one_answer(tmp_path: Path) -> None:
    """The request it dies under, if there is one, is a 500; the next one is answered."""
    with served(tmp_path / "s") as runner:
        runner.put(1, signature=toys.COLUMNS, runtime="python")
        assert runner.swap(1)["ok"]
        assert runner.call("POST", "/predict", [ROW]).status == 200
        (front,) = runner.fronts()
        children = Path(f"/proc/{front}/task/{front}/children").read_text().split()
        threads = [Path(task, "children").read_text().split() for task in Path(f"/proc/{front}/task").iterdir()]
        for child in {*children, *(child for found in threads for child in found)}:
            os.kill(int(child), signal.SIGKILL)
        statuses = [runner.call("POST", "/predict", [ROW]).status for _ in range(2)]
        assert statuses in ([500, 200], [200, 200])


def test_a_damaged_committed_version_is_told_and_can_be_replaced(tmp_path: Path) -> None:
    """When the committed Bundle is damaged on disk the runner starts, is not ready, says why, and takes another."""
    with served(tmp_path / "s") as runner:
        for version in (1, 2):
            runner.put(version, bias=version / 10)
        assert runner.swap(1)["ok"]
        runner.stop()
        model = next(p for p in runner.places.trees.rglob("model.onnx") if runner.digests[1] in str(p))
        model.chmod(0o644)
        model.write_bytes(b"damaged")
        runner.start()
        assert runner.call("GET", "/v2/health/ready").status == 503
        assert "v1" in runner.status()["workers"][0]["fault"]
        assert runner.swap(2)["ok"]
        assert runner.call("POST", INFER, BODY).json["model_version"] == "2"


def test_two_runners_never_share_a_deployment_or_a_port(tmp_path: Path) -> None:
    """The second one ends with a sentence."""
    with served(tmp_path / "s") as runner:
        port = str(runner.port)
        for store, asked, words in (("s", "0", "another runner"), ("t", port, "cannot be had")):
            command = [sys.executable, "-m", "keepfit.edge.runner", "--store", str(tmp_path / store)]
            found = subprocess.run(
                [*command, "--service", "toy", "--port", asked],
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert found.returncode == 1
            assert words in found.stderr
            assert "Traceback" not in found.stderr
        assert runner.status()["ok"]
