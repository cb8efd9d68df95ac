"""Two-phase swaps of a running runner: no request lost, no answer torn, nothing bad let in."""

from __future__ import annotations

import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toys
from keepfit.core.signature import Field, Signature
from keepfit.store.blobs import Trees
from runners import PATIENCE, Served, inference, served, wait

INFER = "/v2/models/toy/infer"
ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}
X = np.random.default_rng(7).normal(size=(1, toys.WIDTH)).astype(np.float32)
BODY = json.dumps(inference(X)).encode()


class Caller(threading.Thread):
    """One kept-alive connection that asks on and on, and checks each answer against the Version it names."""

    def __init__(self, runner: Served, stop: threading.Event) -> None:
        super().__init__()
        self._runner = runner
        self._halt = stop
        self.answers: dict[int, int] = {}
        self.wrong: list[str] = []
        self.floor = 0
        self.stale = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._runner.port, timeout=PATIENCE)
        while not self._halt.is_set():
            floor = self.floor
            try:
                connection.request("POST", INFER, BODY)
                answer = connection.getresponse()
                self._check(answer.status, answer.headers["keepfit-version"], answer.read(), floor)
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                connection.close()
        connection.close()

    def _check(self, status: int, header: str, body: bytes, floor: int) -> None:
        answer = json.loads(body)
        if status != 200:
            self.wrong.append(f"{status} {answer}")
            return
        version = int(answer["model_version"])
        data = {output["name"]: output["data"][0] for output in answer["outputs"]}
        expected = float(toys.probability(toys.TENSOR, {"x": X}, version / 10)[0])
        torn = abs(data["probability"] - expected) > 1e-6
        if torn or header != str(version) or answer["parameters"]["digest"] != self._runner.digests[version]:
            self.wrong.append(f"torn: {header} {answer}")
        self.stale += bool(floor) and version != floor
        self.answers[version] = self.answers.get(version, 0) + 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_request_is_lost_or_torn_while_versions_swap(tmp_path: Path, workers: str) -> None:
    """Callers on 4 connections see only whole answers of one Version each, through 30 swaps."""
    with served(tmp_path / "s", "--workers", workers) as runner:
        for version in (1, 2, 3):
            runner.put(version, bias=version / 10)
        assert runner.swap(1)["ok"]
        stop = threading.Event()
        callers = [Caller(runner, stop) for _ in range(4)]
        for caller in callers:
            caller.start()
        for turn in range(30):
            done = runner.swap(1 + (turn + 1) % 3)
            assert done["ok"], done
            assert done["commit_seconds"] > 0
            assert done["prepare_seconds"] > 0
        wait(lambda: all(sum(caller.answers.values()) > 20 for caller in callers))
        stop.set()
        for caller in callers:
            caller.join()
        assert [wrong for caller in callers for wrong in caller.wrong] == []
        assert {version for caller in callers for version in caller.answers} == {1, 2, 3}
        assert runner.status()["workers"][0]["errors"] == 0


def test_after_the_reply_only_the_new_version_answers(tmp_path: Path) -> None:
    """A request sent after a swap was acknowledged is never answered by the Version that left."""
    with served(tmp_path / "s", "--workers", "2") as runner:
        for version in (1, 2):
            runner.put(version, bias=version / 10)
        for turn in range(20):
            version = 1 + turn % 2
            assert runner.swap(version)["ok"]
            replies = [runner.call("POST", INFER, BODY) for _ in range(3)]
            assert {reply.headers["keepfit-version"] for reply in replies} == {str(version)}


def test_the_previous_version_stays_and_comes_back(tmp_path: Path) -> None:
    """Rollback goes to the Version before, which is also served under its own number; unknown ones are let go."""
    with served(tmp_path / "s") as runner:
        for version in (1, 2, 3):
            runner.put(version, bias=version / 10)
        assert runner.ask(do="rollback")["code"] == "no_previous"
        for version in (1, 2, 3):
            assert runner.swap(version)["ok"]
        assert runner.call("POST", "/v2/models/toy/versions/2/infer", BODY).json["model_version"] == "2"
        assert runner.call("POST", "/v2/models/toy/versions/1/infer", BODY).json["code"] == "unknown_version"
        back = runner.ask(do="rollback")
        assert back["ok"]
        assert back["live"] == {"version": 2, "digest": runner.digests[2]}
        assert runner.call("POST", INFER, BODY).json["model_version"] == "2"
        assert runner.status()["previous"]["version"] == 3
        assert runner.ask(do="rollback")["live"]["version"] == 3
        assert runner.swap(3)["live"]["version"] == 3, "a swap to the live version changes nothing"
        assert runner.status()["previous"]["version"] == 2


def _corrupt(runner: Served) -> None:
    runner.put(2, bias=0.2)
    model = next(runner.places.trees.rglob(f"*{runner.digests[2][:12]}*/model.onnx"), None)
    model = model or next(p for p in runner.places.trees.rglob("model.onnx") if runner.digests[2] in str(p))
    model.chmod(0o644)
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)


def _truncated(runner: Served) -> None:
    _corrupt(runner)
    model = next(p for p in runner.places.trees.rglob("model.onnx") if runner.digests[2] in str(p))
    model.write_bytes(model.read_bytes()[:-20])


def _breaking(runner: Served) -> None:
    runner.put(2, signature=toys.COLUMNS)


def _nan(runner: Served) -> None:
    runner.put(2, fault="nan")


def _golden(runner: Served) -> None:
    runner.put(2, golden=0.5)


def _absent(runner: Served) -> None:
    runner.digests[2] = "ab" * 32


def _unpicklable(runner: Served) -> None:
    directory = toys.bundle(runner.root / "made" / "bad", runtime="python")
    (directory / "estimator.pickle").write_bytes(b"no pickle")
    runner.digests[2] = Trees(runner.places.trees).put(directory)


@pytest.mark.parametrize("bad", [_corrupt, _truncated, _breaking, _nan, _golden, _absent, _unpicklable])
def test_bad_bundles_are_refused_and_the_old_version_goes_on(tmp_path: Path, bad: Any) -> None:
    """Altered, truncated, breaking, NaN-answering, wrong or absent Bundles never answer; the live one still does."""
    with served(tmp_path / "s") as runner:
        runner.put(1, bias=0.1)
        assert runner.swap(1)["ok"]
        bad(runner)
        refused = runner.swap(2)
        codes = {_breaking: "breaking", _nan: "golden", _golden: "golden", _absent: "not_found"}
        assert refused == {"ok": False, "code": codes.get(bad, "corrupt"), "error": refused["error"]}
        assert runner.call("POST", INFER, BODY).json["model_version"] == "1"
        assert json.loads((runner.deployment / "committed.json").read_bytes())["1"]["live"]["version"] == 1
        runner.put(4, bias=0.4)
        assert runner.swap(4)["ok"], "a refusal leaves nothing behind that hinders the next swap"


def test_two_versions_of_one_class_name_live_side_by_side(tmp_path: Path) -> None:
    """Pickled estimators of the same module and class answer each as itself, under their numbers."""
    with served(tmp_path / "s") as runner:
        for version in (1, 2):
            runner.put(version, bias=version / 10, signature=toys.COLUMNS, runtime="python")
            assert runner.swap(version)["ok"]
        inputs = {"amount": np.array([1.5]), "count": np.array([3]), "new": np.array([True])}
        inputs["city"] = np.array(["Rome"], dtype=object)
        body = {
            "inputs": [
                {"name": name, "datatype": kind, "shape": [1], "data": inputs[name].tolist()}
                for name, kind in (("amount", "FP64"), ("count", "INT64"), ("city", "BYTES"), ("new", "BOOL"))
            ]
        }
        for version in (1, 2):
            answer = runner.call("POST", f"/v2/models/toy/versions/{version}/infer", body).json
            found = {output["name"]: output["data"][0] for output in answer["outputs"]}
            expected = toys.probability(toys.COLUMNS, inputs, version / 10)[0]
            assert found["probability"] == pytest.approx(expected, abs=1e-6)


def test_a_version_is_let_go_only_when_its_last_request_is_answered(tmp_path: Path) -> None:
    """A slow request that began with a Version is answered by it, two swaps later."""
    with served(tmp_path / "s") as runner:
        runner.put(1, signature=toys.COLUMNS, runtime="python", fault="slow-on-666")
        for version in (2, 3):
            runner.put(version, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        replies = []
        slow = threading.Thread(
            target=lambda: replies.append(runner.call("POST", "/predict", [ROW | {"count": 666, "_id": "slow"}]))
        )
        slow.start()
        wait(lambda: runner.status()["workers"][0]["leases"] == 1)
        assert runner.swap(2)["ok"]
        assert runner.swap(3)["ok"]
        assert runner.call("POST", "/predict", [ROW]).headers["keepfit-version"] == "3"
        assert not replies
        slow.join()
        assert (replies[0].status, replies[0].headers["keepfit-version"]) == (200, "1")
        wait(lambda: runner.status()["workers"][0]["leases"] == 0)


def test_a_widened_signature_is_welcome(tmp_path: Path) -> None:
    """A Version that takes more than the live one did is swapped in, and both kinds of Records are kept."""
    narrow = Signature(
        tuple(Field(f.name, f.dtype, f.shape) if f.name == "amount" else f for f in toys.COLUMNS.inputs),
        toys.COLUMNS.outputs,
    )
    with served(tmp_path / "s") as runner:
        runner.put(1, signature=narrow)
        runner.put(2, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        assert runner.call("POST", "/predict", [ROW | {"_id": "a"}]).status == 200
        assert runner.call("POST", "/predict", [ROW | {"amount": None}]).json["code"] == "wrong_type"
        assert runner.swap(2)["ok"]
        assert runner.call("POST", "/predict", [ROW | {"_id": "b", "amount": None}]).status == 200
        wait(lambda: all(runner.stream.known(["a", "b"])))
        assert runner.stream.counts().records == 2
        assert runner.ask(do="rollback")["ok"], "going back is never refused"
        assert runner.call("POST", "/predict", [ROW | {"_id": "c"}]).headers["keepfit-version"] == "1"


def test_orders_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """Each has a code and a sentence, and the socket goes on."""
    with served(tmp_path / "s") as runner:
        for order in ({"do": "dance"}, {"do": "swap"}, {"do": "swap", "version": "1", "digest": "x"}, {}):
            said = runner.ask(**order)
            assert (said["ok"], said["code"]) == (False, "invalid")
        assert runner.status()["ok"]


def test_stopping_answers_what_has_begun(tmp_path: Path) -> None:
    """SIGTERM and `stop` let a slow request finish, and end with 0; the address is free again."""
    with served(tmp_path / "s") as runner:
        runner.put(1, signature=toys.COLUMNS, runtime="python", fault="slow-on-666")
        assert runner.swap(1)["ok"]
        replies = []
        slow = threading.Thread(
            target=lambda: replies.append(runner.call("POST", "/predict", [ROW | {"count": 666, "_id": "slow"}]))
        )
        slow.start()
        wait(lambda: runner.status()["workers"][0]["leases"] == 1)
        began = time.monotonic()
        assert runner.stop() == 0
        assert time.monotonic() - began < 20
        slow.join()
        assert replies[0].status == 200
        assert all(runner.stream.known(["slow"])), "what was answered while ending is recorded"


class Witness(threading.Thread):
    """One kept-alive connection, therefore one worker, and when each answer of which Version was asked for and came."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.halt = threading.Event()
        self.seen: list[tuple[float, float, int]] = []
        self.faults: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self.halt.is_set():
            asked = time.monotonic()
            connection.request("POST", INFER, BODY)
            reply = connection.getresponse()
            body = reply.read()
            if reply.status != 200:
                self.faults.append(f"{reply.status} {body!r}")
                continue
            self.seen.append((asked, time.monotonic(), int(reply.headers["keepfit-version"])))
            time.sleep(0.001)  # a process that loads has to have its turn on a small machine
        connection.close()


def test_four_workers_answer_as_one(tmp_path: Path) -> None:
    """Swaps are linear over all workers: nothing of a Version before it is ordered, of the old one after the
    acknowledgement, or ever of one that was refused; a worker that has gone on never goes back."""  # fmt: skip
    with served(tmp_path / "s", "--workers", "4") as runner:
        for version in range(1, 8):
            runner.put(version, bias=version / 10, golden=1.0 if version % 3 == 0 else 0.0)
        assert runner.swap(1)["ok"]
        witnesses = [Witness(runner.port) for _ in range(8)]
        for witness in witnesses:
            witness.start()
        current, history = 1, []
        for version in range(2, 8):
            ordered = time.monotonic()
            done = runner.swap(version)
            assert done["ok"] is (version % 3 != 0), done
            if done["ok"]:
                assert done["assign_seconds"] < 2.0
                history.append((ordered, time.monotonic(), current, version))
                current = version
        wait(lambda: all(witness.seen and witness.seen[-1][2] == current for witness in witnesses))
        for witness in witnesses:
            witness.halt.set()
            witness.join()
        assert [fault for witness in witnesses for fault in witness.faults] == []
        answers = [answer for witness in witnesses for answer in witness.seen]
        assert {version for _, _, version in answers} == {1, *(new for *_, new in history)}
        for ordered, acknowledged, old, new in history:
            assert all(came > ordered for _, came, version in answers if version >= new)
            assert all(asked < acknowledged for asked, _, version in answers if version <= old)
        for witness in witnesses:
            versions = [version for _, _, version in witness.seen]
            assert versions == sorted(versions), "a worker went back"
