"""What a runner answers over HTTP: the protocol, plain rows, labels, and precise errors for bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toys
from keepfit.store.streams import Query
from runners import Served, inference, served, wait

ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}
INFER = "/v2/models/toy/infer"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serves the toy of mixed columns, version 3."""
    with served(tmp_path_factory.mktemp("store") / "a b") as found:  # a blank in the path, as on a desktop
        found.put(3, bias=0.25, signature=toys.COLUMNS)
        assert found.swap(3)["ok"]
        yield found


def columns(**changes: Any) -> dict[str, Any]:
    inputs = {
        "amount": {"name": "amount", "datatype": "FP64", "shape": [2], "data": [1.5, None]},
        "count": {"name": "count", "datatype": "INT64", "shape": [2, 1], "data": [3, -4]},
        "city": {"name": "city", "datatype": "BYTES", "shape": [2], "data": ["Rome", None]},
        "new": {"name": "new", "datatype": "BOOL", "shape": [2], "data": [True, False]},
    }
    for name, change in changes.items():
        inputs[name] = inputs.get(name, {"name": name}) | change
    return {"inputs": list(inputs.values())}


def expected(bias: float = 0.25) -> list[float]:
    inputs = {"amount": np.array([1.5, np.nan]), "count": np.array([3, -4]), "new": np.array([True, False])}
    inputs["city"] = np.array(["Rome", ""], dtype=object)
    return [float(p) for p in toys.probability(toys.COLUMNS, inputs, bias)]


@pytest.mark.parametrize("path", [INFER, "/v2/models/toy/versions/3/infer"])
def test_inference_of_mixed_columns(runner: Served, path: str) -> None:
    """Versioned and unversioned paths answer, naming version and digest in body and headers."""
    reply = runner.call("POST", path, columns() | {"id": "mixed"})
    digest = runner.digests[3]
    assert reply.status == 200, reply.body
    assert (reply.headers["keepfit-version"], reply.headers["keepfit-bundle"]) == ("3", digest)
    answer = reply.json
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("toy", "3", "mixed")
    assert answer["parameters"] == {"digest": digest}
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["probability"]["shape"] == [2]
    np.testing.assert_allclose(outputs["probability"]["data"], expected(), atol=1e-6)
    assert outputs["prediction"] == {"name": "prediction", "datatype": "INT64", "shape": [2], "data": [1, 0]}


def test_plain_rows(runner: Served) -> None:
    """Rows in, rows out, each with the id it can be labelled by; one object in, one object out."""
    reply = runner.call("POST", "/predict", [ROW | {"_id": "mine"}, ROW | {"amount": None}])
    assert reply.status == 200, reply.body
    first, second = reply.json
    assert first["_id"] == "mine"
    assert second["_id"]
    assert set(first) == {"_id", "prediction", "probability"}
    np.testing.assert_allclose(first["probability"], expected()[0], atol=1e-6)
    assert reply.headers["keepfit-version"] == "3"
    assert isinstance(runner.call("POST", "/predict", ROW).json, dict)


def test_records_hold_what_came_and_went(runner: Served) -> None:
    """Every answered row is in the Stream with its inputs, outputs and Version."""
    runner.call("POST", INFER, columns() | {"id": "kept"})
    wait(lambda: all(runner.stream.known(["kept:0", "kept:1"])))
    table = runner.stream.read()
    rows = {row["_id"]: row for row in table.to_pylist()}
    assert rows["kept:0"]["city"] == "Rome"
    assert rows["kept:0"]["new"] is True
    assert rows["kept:1"]["count"] == -4
    assert np.isnan(rows["kept:1"]["amount"])
    assert rows["kept:0"]["_version"] == 3
    np.testing.assert_allclose([rows[f"kept:{i}"]["_out_probability"] for i in (0, 1)], expected(), atol=1e-6)


def test_labels_are_accepted_at_once_after_the_answer(runner: Served) -> None:
    """A label may follow its answer immediately, and is in the Stream when it is acknowledged."""
    runner.call("POST", "/predict", [ROW | {"_id": "l1"}, ROW | {"_id": "l2"}])
    reply = runner.call("POST", "/labels", [{"id": "l1", "label": 1}, {"id": "l2", "label": 0}])
    assert (reply.status, reply.json) == (200, {"accepted": 2})
    assert runner.call("POST", "/labels", {"id": "l1", "label": 0}).json == {"accepted": 1}
    labelled = runner.stream.read(Query(labelled=True)).to_pylist()
    assert {row["_id"]: row["_label"] for row in labelled if row["_id"] in ("l1", "l2")} == {"l1": 0, "l2": 0}


def test_metadata_health_and_metrics(runner: Served) -> None:
    """The protocol's metadata and health are there; metrics count what was asked."""
    assert runner.call("GET", "/v2").json["name"] == "keepfit"
    assert runner.call("GET", "/v2/health/live").json == {"live": True}
    for path in ("/v2/health/ready", "/v2/models/toy/ready", "/v2/models/toy/versions/3/ready"):
        assert (runner.call("GET", path).status, runner.call("GET", path).json["ready"]) == (200, True)
    model = runner.call("GET", "/v2/models/toy").json
    assert model["versions"] == ["3"]
    assert model["inputs"][2] == {"name": "city", "datatype": "BYTES", "shape": [-1]}
    text = runner.call("GET", "/metrics").body.decode()
    assert 'keepfit_live_version{service="toy"' in text
    assert 'status="200"}' in text
    assert runner.call("HEAD", "/v2/health/live").body == b""


BAD: list[tuple[str, str, Any, int, str]] = [
    ("POST", INFER, columns(more={"datatype": "FP64", "shape": [2], "data": [1, 2]}), 422, "unknown_input"),
    ("POST", INFER, {"inputs": columns()["inputs"][:3]}, 422, "missing_input"),
    ("POST", INFER, columns(count={"data": ["3", "4"]}), 422, "wrong_type"),
    ("POST", INFER, columns(count={"datatype": "FP64"}), 422, "wrong_type"),
    ("POST", INFER, columns(amount={"shape": [3]}), 422, "wrong_shape"),
    ("POST", INFER, columns(amount={"shape": [1], "data": [1]}), 422, "wrong_shape"),
    ("POST", INFER, json.dumps(columns(amount={"data": [float("nan"), 1.0]})).encode(), 400, "not_finite"),
    ("POST", INFER, json.dumps(columns(amount={"data": [float("inf"), 1.0]})).encode(), 400, "not_finite"),
    ("POST", INFER, {"inputs": [t | {"shape": [0], "data": []} for t in columns()["inputs"]]}, 400, "empty_batch"),
    ("POST", INFER, b"{", 400, "invalid_json"),
    ("POST", INFER, b"", 400, "invalid_json"),
    ("POST", INFER, b" " * 50 * 2**20, 413, "body_too_large"),
    ("POST", INFER, columns() | {"outputs": [{"name": "nope"}]}, 422, "unknown_output"),
    ("POST", INFER, columns() | {"id": "x" * 300}, 422, "id_too_long"),
    ("POST", "/v2/models/other/infer", columns(), 404, "unknown_model"),
    ("POST", "/v2/models/toy/versions/9/infer", columns(), 404, "unknown_version"),
    ("POST", "/v2/models/toy/versions/x/infer", columns(), 404, "unknown_version"),
    ("GET", "/v2/models/toy/versions/9", None, 404, "unknown_version"),
    ("GET", "/v2/models/toy/versions/9/ready", None, 404, "unknown_version"),
    ("GET", INFER, None, 405, "method_not_allowed"),
    ("DELETE", "/v2/models/toy", None, 405, "method_not_allowed"),
    ("GET", "/nowhere", None, 404, "not_found"),
    ("POST", "/predict", [ROW | {"mistake": 1}], 422, "unknown_input"),
    ("POST", "/predict", [{"amount": 1.5}], 422, "missing_input"),
    ("POST", "/predict", [ROW, ROW | {"count": "3"}], 422, "wrong_type"),
    ("POST", "/predict", [], 400, "empty_batch"),
    ("POST", "/predict", b"[NaN]", 400, "not_finite"),
    ("POST", "/predict", b"nonsense", 400, "invalid_json"),
    ("POST", "/predict", b"[" * 50 * 2**20, 413, "body_too_large"),
    ("GET", "/predict", None, 405, "method_not_allowed"),
    ("POST", "/labels", [{"id": "nobody", "label": 1}], 404, "unknown_record"),
    ("POST", "/labels", [{"id": "bad", "label": "1"}], 422, "label_wrong_type"),
    ("POST", "/labels", [{"id": "bad", "label": 7}], 422, "label_wrong_type"),
    ("POST", "/labels", [], 400, "empty_batch"),
    ("POST", "/labels", b"{]", 400, "invalid_json"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), BAD)
def test_bad_input_is_told_precisely(runner: Served, method: str, path: str, body: Any, status: int, code: str) -> None:
    """Each mistake has its status, a machine code and one sentence."""
    reply = runner.call(method, path, body)
    assert (reply.status, reply.json["code"]) == (status, code), reply.body
    assert 10 < len(reply.json["error"]) < 400


def test_bad_input_leaves_the_stream_untouched(runner: Served) -> None:
    """After every kind of bad request the Stream has the Records and Labels it had before, and errors are no 5xx."""
    runner.call("POST", "/predict", [ROW | {"_id": "good"}, ROW | {"_id": "bad"}])
    wait(lambda: all(runner.stream.known(["good", "bad"])))
    before, errors = runner.stream.counts(), runner.status()["workers"][0]["errors"]
    for method, path, body, _, _ in BAD:
        runner.call(method, path, body)
    mixed = [{"id": "good", "label": 1}, {"id": "nobody", "label": 1}]
    assert runner.call("POST", "/labels", mixed).json["code"] == "unknown_record"
    runner.call("POST", "/predict", [ROW | {"_id": "last"}])
    wait(lambda: all(runner.stream.known(["last"])))
    after = runner.stream.counts()
    assert (after.records, after.labels) == (before.records + 1, before.labels)
    assert runner.status()["workers"][0]["errors"] == errors


def test_nothing_is_answered_before_the_first_version(tmp_path: Path) -> None:
    """A runner without a committed version lives, is not ready, and says so."""
    with served(tmp_path / "s") as runner:
        assert runner.call("GET", "/v2/health/live").status == 200
        assert runner.call("GET", "/v2/health/ready").status == 503
        for path in (INFER, "/predict", "/labels"):
            reply = runner.call("POST", path, b"{}")
            assert (reply.status, reply.json["code"]) == (503, "not_ready")
        assert runner.status()["live"] is None


def test_a_model_that_misbehaves_is_a_5xx_of_its_own(tmp_path: Path) -> None:
    """Raising, NaN, wrong shapes and dying are 500 for the request that caused it, counted, and for no other."""
    for fault in ("raise-on-666", "nan-on-666", "short-on-666", "die-on-666"):
        with served(tmp_path / fault) as runner:
            runner.put(1, signature=toys.COLUMNS, runtime="python", fault=fault)
            assert runner.swap(1)["ok"]
            assert runner.call("POST", "/predict", [ROW | {"_id": "before"}]).status == 200
            bad = runner.call("POST", "/predict", [ROW | {"count": 666, "_id": "bad"}])
            assert (bad.status, bad.json["code"]) == (500, "model_fault"), bad.body
            assert runner.call("POST", "/predict", [ROW | {"_id": "after"}]).status == 200
            assert runner.status()["workers"][0]["errors"] == 1
            assert "keepfit_model_faults_total" in runner.call("GET", "/metrics").body.decode()
            wait(lambda runner=runner: all(runner.stream.known(["before", "after"])))
            assert runner.stream.known(["bad"]) == [False]


def test_capture_goes_on_where_the_disk_is_full(tmp_path: Path) -> None:
    """Where segments cannot be written serving continues, and the loss is counted and shown."""
    with served(tmp_path / "s", limit=200_000) as runner:
        runner.put(1)
        assert runner.swap(1)["ok"]
        x = np.zeros((1000, toys.WIDTH), dtype=np.float32)
        for _ in range(5):
            assert runner.call("POST", INFER, inference(x)).status == 200
        wait(lambda: sum(runner.status()["workers"][0][k] for k in ("captured", "lost")) == 5000)
        worker = runner.status()["workers"][0]
        assert worker["lost"] > 0
        assert worker["captured"] == runner.stream.counts().records
        assert f'keepfit_records_lost_total{{service="toy"}} {worker["lost"]}' in (
            runner.call("GET", "/metrics").body.decode()
        )


def test_several_workers_share_a_port_and_its_metrics(tmp_path: Path) -> None:
    """Labels for a Record another worker answered are accepted; any worker's /metrics counts all of them."""
    with served(tmp_path / "s", "--workers", "2") as runner:
        runner.put(1, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        for i in range(12):
            assert runner.call("POST", "/predict", [ROW | {"_id": f"r{i}"}]).status == 200
            assert runner.call("POST", "/labels", [{"id": f"r{i}", "label": 1}]).status == 200, i
        assert runner.call("POST", "/labels", [{"id": "nobody", "label": 1}]).json["code"] == "unknown_record"
        text = runner.call("GET", "/metrics").body.decode()
        assert text.count("# TYPE keepfit_labels_total") == 1
        labels = [line for line in text.splitlines() if line.startswith("keepfit_labels_total{")]
        assert sum(int(line.split()[-1]) for line in labels) == 12
        assert len(labels) == 1


def test_capture_can_be_left_off(tmp_path: Path) -> None:
    """With --no-capture nothing is written, and labels are refused with the reason."""
    with served(tmp_path / "s", "--no-capture") as runner:
        runner.put(1, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        assert runner.call("POST", "/predict", [ROW | {"_id": "r"}]).status == 200
        assert runner.call("POST", "/labels", [{"id": "r", "label": 1}]).status == 409
        assert not runner.places.stream("toy").exists()
