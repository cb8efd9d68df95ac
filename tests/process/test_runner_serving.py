"""Settings of a running runner change without a lost request, and without effect where they cannot be served."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path

import numpy as np
import pytest

import toys
from keepfit.store.blobs import Trees
from runners import PATIENCE, Served, inference, served

INFER = "/v2/models/toy/infer"
BODY = json.dumps(inference(np.ones((1, toys.WIDTH), np.float32))).encode()


class Caller(threading.Thread):
    """One kept-alive connection that asks on and on."""

    def __init__(self, port: int, stop: threading.Event) -> None:
        super().__init__()
        self._port, self._halt = port, stop
        self.wrong: list[str] = []
        self.answered = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self._halt.wait(0.002):
            try:
                connection.request("POST", INFER, BODY)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200:
                    self.wrong.append(f"{answer.status} {said!r}")
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                connection.close()
            self.answered += 1
        connection.close()


@pytest.mark.parametrize(("workers", "preserve"), [("1", "availability"), ("2", "availability"), ("1", "resources")])
def test_settings_change_under_load_and_no_request_is_lost(tmp_path: Path, workers: str, preserve: str) -> None:
    """Every front worker is started anew while callers are answered; what is committed stays so."""
    with served(tmp_path / "s", "--workers", workers) as runner:
        _two_versions(runner)
        before = set(runner.fronts())
        stop = threading.Event()
        callers = [Caller(runner.port, stop) for _ in range(3)]
        for caller in callers:
            caller.start()
        settings: dict[str, object] = {"preserve": preserve}
        assert runner.ask(do="serving", serving=settings | {"body": len(BODY)})["ok"]
        done = runner.ask(do="serving", serving=settings | {"body": len(BODY) + 10})
        stop.set()
        for caller in callers:
            caller.join()
        assert done["ok"], done
        assert done["serving"]["body"] == len(BODY) + 10
        assert [wrong for caller in callers for wrong in caller.wrong] == []
        assert all(caller.answered for caller in callers)
        assert not before & set(runner.fronts())
        assert runner.call("POST", INFER, BODY + b" " * 11).status == 413
        assert runner.status()["live"]["version"] == 2
        assert runner.ask(do="rollback")["live"]["version"] == 1
        assert json.loads((runner.deployment / "runner.json").read_bytes())["serving"]["body"] == len(BODY) + 10


def test_settings_that_are_none_are_refused(tmp_path: Path) -> None:
    """The answer names the setting, and the runner goes on as before."""
    with served(tmp_path / "s") as runner:
        _two_versions(runner)
        fronts = runner.fronts()
        refused = runner.ask(do="serving", serving={"sample": 2.0})
        assert (refused["ok"], refused["code"]) == (False, "spec_invalid")
        assert "Serving.sample" in refused["error"]
        assert runner.ask(do="serving", serving={})["ok"], "the settings it has are no change"
        assert runner.fronts() == fronts
        assert runner.call("POST", INFER, BODY).status == 200


def test_settings_under_which_no_worker_can_answer_are_refused(tmp_path: Path) -> None:
    """A worker that cannot load what is committed does not take the place of one that has it."""
    with served(tmp_path / "s", "--workers", "2") as runner:
        _two_versions(runner)
        fronts = runner.fronts()
        model = Trees(runner.places.trees).path(runner.digests[2]) / "model.onnx"
        whole = model.read_bytes()
        model.chmod(0o644)
        model.write_bytes(whole[:-1])
        refused = runner.ask(do="serving", serving={"body": 10})
        assert (refused["ok"], refused["code"]) == (False, "serving")
        assert "v2 cannot be loaded" in refused["error"]
        assert runner.fronts() == fronts
        assert {runner.call("POST", INFER, BODY).headers["keepfit-version"] for _ in range(8)} == {"2"}
        model.write_bytes(whole)
        assert runner.ask(do="serving", serving={"body": 10})["ok"]
        assert runner.call("POST", INFER, BODY).status == 413


def _two_versions(runner: Served) -> None:
    for version in (1, 2):
        runner.put(version, bias=version / 10)
        assert runner.swap(version)["ok"]
