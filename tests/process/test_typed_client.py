"""Typed methods of a real runner: protobuf and JSON answer the same, and a JavaScript client made from `GET /proto`."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import javascript
import toys
from keepfit.serve.wire.descriptors import Proto, classes, proto_of
from keepfit.serve.wire.typed import to_json
from keepfit.store.streams import Query
from runners import Reply, Served, served, wait

METHODS = "/model/methods/"
PROTOBUF = "application/x-protobuf"
ROW: dict[str, Any] = {"amount": 1.5, "count": "3", "city": "Rome", "new": True}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serves the toy of mixed columns, version 3."""
    with served(tmp_path_factory.mktemp("store")) as found:
        found.put(3, bias=0.25, signature=toys.COLUMNS)
        assert found.swap(3)["ok"]
        yield found


@pytest.fixture
def proto() -> Proto:
    return proto_of("toy", toys.COLUMNS)


@pytest.fixture
def client(runner: Served) -> Iterator[Client]:
    found = Client(runner)
    yield found
    found.close()


class Client:
    """One connection, kept alive."""

    def __init__(self, runner: Served) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", runner.port, timeout=600)

    def close(self) -> None:
        self._connection.close()

    def post(self, method: str, body: bytes, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("POST", METHODS + method, body, named)
        answer = self._connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def test_500_messages_are_answered_alike(client: Client, proto: Proto) -> None:
    """Whatever is sent, protobuf and JSON bring the same answer: what the model says of these values."""
    random, kinds = np.random.default_rng(0), classes(proto)
    for number in range(500):
        single = number % 2 == 0
        message = kinds["ToyInput" if single else "ToyInputs"]()
        rows = [message] if single else [message.rows.add() for _ in range(int(random.integers(1, 4)))]
        for place, row in enumerate(rows):
            row.keepfit_id = f"m{number}-{place}"
            row.count, row.new, row.city = int(random.integers(-9, 9)), bool(random.integers(2)), "Rome"
            if random.integers(2):
                row.amount = random.normal()
        method, answers = ("predict", "ToyOutput") if single else ("predict_rows", "ToyOutputs")
        binary = client.post(method, message.SerializeToString(), content_type=PROTOBUF)
        spoken = client.post(method, to_json(message), content_type="application/json")
        assert (binary.status, spoken.status) == (200, 200), (binary.body, spoken.body)
        found = kinds[answers].FromString(binary.body)
        assert json.loads(to_json(found)) == spoken.json
        first = found if single else found.rows[0]
        amount = rows[0].amount if rows[0].HasField("amount") else 0.0
        score = 0.25 + amount + rows[0].count / 10 + 1 + rows[0].new / 2
        assert first.keepfit_id == f"m{number}-0"
        assert abs(first.probability - 1 / (1 + np.exp(-score))) < 1e-6


def test_forms_are_chosen_by_content_type_and_accept(runner: Served, client: Client, proto: Proto) -> None:
    """Content-Type says what comes, Accept what goes back; Version and digest are named; others get 415."""
    body = json.dumps(ROW).encode()
    reply = client.post("predict", body, content_type="application/json; charset=utf-8", accept=PROTOBUF)
    assert (reply.status, reply.headers["content-type"]) == (200, PROTOBUF)
    assert (reply.headers["keepfit-version"], reply.headers["keepfit-bundle"]) == ("3", runner.digests[3])
    assert classes(proto)["ToyOutput"].FromString(reply.body).prediction == 1
    message = classes(proto)["ToyInput"](count=3, new=True, city="Rome")
    for kind in (PROTOBUF, "application/protobuf", "application/octet-stream"):
        reply = client.post(
            "predict", message.SerializeToString(), content_type=kind, accept="text/x, application/json"
        )
        assert reply.headers["content-type"] == "application/json"
        assert reply.json["prediction"] == "1"
    reply = client.post("predict", body, content_type="text/csv")
    assert (reply.status, reply.json["code"]) == (415, "unsupported_media_type")
    assert "application/x-protobuf" in reply.json["error"]


@pytest.mark.parametrize(
    ("method", "body", "kind", "status", "code", "named"),
    [
        ("train", b"{}", "application/json", 404, "unknown_method", "predict, predict_rows"),
        ("predict", b"{", "application/json", 400, "invalid_json", ""),
        ("predict", b"\xff\xff", PROTOBUF, 400, "invalid_protobuf", "ToyInput"),
        ("predict", json.dumps(ROW | {"new": None}).encode(), "application/json", 422, "missing_input", "new"),
        ("predict", json.dumps(ROW | {"old": 1}).encode(), "application/json", 422, "unknown_input", "old"),
        ("predict", json.dumps(ROW | {"count": "x"}).encode(), "application/json", 422, "wrong_type", "count"),
        ("predict", json.dumps(ROW | {"_id": "x" * 500}).encode(), "application/json", 422, "id_too_long", "id"),
        ("predict", b"", PROTOBUF, 422, "missing_input", "count"),
        ("predict_rows", b"", PROTOBUF, 400, "empty_batch", "rows"),
    ],
)
def test_wrong_requests_are_refused(
    client: Client, method: str, body: bytes, kind: str, status: int, code: str, named: str
) -> None:
    """Each with its status, its machine code and the name of what is wrong."""
    reply = client.post(method, body, content_type=kind)
    assert (reply.status, reply.json["code"]) == (status, code), reply.body
    assert named in reply.json["error"]


def test_typed_records_are_kept_and_labelled(runner: Served, client: Client) -> None:
    """A typed answer's id takes a label, and its record is in the Stream."""
    reply = client.post("predict", json.dumps(ROW).encode(), content_type="application/json")
    id = reply.json["_id"]
    assert runner.call("POST", "/labels", {"id": id, "label": 1}).status == 200
    wait(lambda: all(runner.stream.known([id])))
    kept = next(row for row in runner.stream.read(Query(labelled=True)).to_pylist() if row["_id"] == id)
    assert (kept["city"], kept["count"], kept["_label"]) == ("Rome", 3, 1)


PROGRAM = """
const pb = require("protobufjs");
const base = process.argv[2];
(async () => {
  const text = await (await fetch(base + "/proto")).text();
  const root = pb.parse(text).root.resolveAll();
  const Input = root.lookupType("keepfit.ToyInput"), Output = root.lookupType("keepfit.ToyOutput");
  const Inputs = root.lookupType("keepfit.ToyInputs"), Outputs = root.lookupType("keepfit.ToyOutputs");
  const rows = [{amount: 1.5, count: 3, city: "Rome", new: true}, {count: -4, city: "", new: false}];
  const post = async (method, body, type) => fetch(base + "/model/methods/" + method,
    {method: "POST", body, headers: {"content-type": type, accept: "application/x-protobuf"}});
  const found = [];
  for (const row of rows) {
    const reply = await post("predict", Input.encode(Input.fromObject(row)).finish(), "application/x-protobuf");
    if (reply.status !== 200) throw new Error(await reply.text());
    const output = Output.decode(new Uint8Array(await reply.arrayBuffer()));
    found.push({...Output.toObject(output, {longs: Number}), version: reply.headers.get("keepfit-version")});
  }
  const reply = await post("predict_rows", JSON.stringify({rows}), "application/json");
  const together = Outputs.decode(new Uint8Array(await reply.arrayBuffer()));
  const wrong = await post("predict", Input.encode(Input.fromObject({count: 1})).finish(), "application/x-protobuf");
  console.log(JSON.stringify({found, together: Outputs.toObject(together, {longs: Number}).rows,
    wrong: {status: wrong.status, ...await wrong.json()}}));
})();
"""


def test_a_javascript_client_from_the_served_contract(runner: Served, tmp_path: Path) -> None:
    """protobufjs reads `GET /proto` and calls the methods: the model's answers, and an error that names the input."""
    folder = javascript.protobufjs(tmp_path)
    said = json.loads(javascript.run(folder, PROGRAM, f"http://127.0.0.1:{runner.port}"))
    inputs = {"amount": np.array([1.5, np.nan]), "count": np.array([3, -4]), "new": np.array([True, False])}
    expected = toys.probability(toys.COLUMNS, inputs | {"city": np.array(["Rome", ""], dtype=object)}, 0.25)
    np.testing.assert_allclose([answer["probability"] for answer in said["found"]], expected, atol=1e-6)
    np.testing.assert_allclose([answer["probability"] for answer in said["together"]], expected, atol=1e-6)
    assert [answer["prediction"] for answer in said["found"]] == [1, 0]
    assert {answer["version"] for answer in said["found"]} == {"3"}
    assert (said["wrong"]["status"], said["wrong"]["code"]) == (422, "missing_input")
    assert "'new'" in said["wrong"]["error"]


def test_a_second_contract_is_served_beside_the_first(runner: Served) -> None:
    """The second major has a package of its own and is called behind `/@2`."""
    runner.put(9, bias=0.0)
    order = {"do": "swap", "version": 9, "digest": runner.digests[9], "major": 2}
    said = runner.ask(**order)
    assert said["ok"], said
    text = runner.call("GET", "/@2/proto")
    assert text.headers["keepfit-version"] == "9"
    assert b"package keepfit.v2;" in text.body
    reply = runner.call("POST", "/@2/model/methods/predict", {"x": [0.0] * toys.WIDTH})
    assert (reply.status, reply.headers["keepfit-version"]) == (200, "9"), reply.body
    assert reply.json["probability"] == 0.5
