"""Records from elsewhere: what the loggers of other servers send becomes Records, each once, whatever comes between."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from keepfit.core.clock import ManualClock
from keepfit.core.errors import Invalid, StorageFault
from keepfit.core.places import Places
from keepfit.edge.api import application
from keepfit.edge.apply import specification_at
from keepfit.edge.declare.declaration import declare
from keepfit.edge.desk import Desk
from keepfit.edge.payloads import Contract
from keepfit.edge.records import Inbox, events_of
from keepfit.edge.status import Histories
from keepfit.loop.targets import Local
from keepfit.serve.events import told
from keepfit.serve.forms import Form, Together
from keepfit.store.ledger import Ledger
from keepfit.store.streams import Query, SegmentWriter, Stream

NOW = datetime(2013, 2, 1, tzinfo=UTC)
SERVICE = """\
flights = Service(
    name="flights", estimator=Majority(), data="flights.csv", label="late", id="id", time="when", gates=[gates.Golden()]
)
"""
TRACE = "00-7cebb2ae49d33626845711ad585c850c-78b57bf5baf7151f-00"
TENSORS = [
    {"name": "origin", "shape": [2], "datatype": "BYTES", "data": ["EWR", "JFK"]},
    {"name": "distance", "shape": [2, 1], "datatype": "INT64", "data": [1400, 200]},
    {"name": "delay", "shape": [2], "datatype": "FP64", "data": [2.5, None]},
    {"name": "cancelled", "shape": [2], "datatype": "BOOL", "data": [False, True]},
]
OUTPUTS = [
    {"name": "prediction", "shape": [2], "datatype": "BYTES", "data": ["yes", "no"]},
    {"name": "probability", "shape": [2], "datatype": "FP32", "data": [0.75, 0.25]},
]
Sent = tuple[dict[str, str], bytes]


class Elsewhere:
    """A control process over a store, as a logger reaches it."""

    def __init__(self, places: Places, ledger: Ledger) -> None:
        self.places, self.ledger = places, ledger
        numbers = itertools.count(1)
        desk = Desk(
            places=places,
            ledger=ledger,
            clock=ManualClock(NOW),
            target=Local(places=places),
            new_id=lambda: f"id{next(numbers)}",
            histories=Histories(ledger),
        )
        self.app = application(desk, token="secret", process=7)

    @property
    def stream(self) -> Stream:
        return Stream(self.places.stream("flights"))

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["_id"]: row for row in self.stream.read().to_pylist()}

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> httpx.Response:
        async def asked() -> httpx.Response:
            given = {"authorization": "Bearer secret", **headers}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://control") as http:
                return await http.request(method, f"/v1/services/flights{path}", headers=given, content=body)

        return asyncio.run(asked())

    def send(self, *events: Sent) -> list[dict[str, Any]]:
        found = []
        for headers, body in events:
            answer = self.ask("POST", "/records", headers, body)
            assert answer.status_code == 202, answer.text
            found.append(answer.json())
        return found

    def refused(self, headers: dict[str, str], body: bytes) -> tuple[int, str, str]:
        answer = self.ask("POST", "/records", headers, body)
        return answer.status_code, answer.json()["code"], answer.json()["error"]


@pytest.fixture
def elsewhere(tmp_path: Path, write: Callable[..., Path]) -> Elsewhere:
    places = Places(tmp_path / "store")
    places.root.mkdir()
    found = Elsewhere(places, Ledger(places.ledger))
    (one,) = declare(write(SERVICE), places)
    body = json.dumps({"specification": one.specification, "actor": "ada"}).encode()

    async def applied() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(found.app), base_url="http://control") as http:
            headers = {"authorization": "Bearer secret"}
            return (await http.post("/v1/services", headers=headers, content=body)).status_code

    assert asyncio.run(applied()) == 201
    return found


def kserve(id: str, kind: str, body: Any, **more: str) -> Sent:
    """As KServe's agent sends it: sdk-go, binary mode, one id for both halves, the request's content type."""
    headers = {
        "user-agent": "Go-http-client/1.1",
        "ce-id": id,
        "ce-specversion": "1.0",
        "ce-type": f"org.kubeflow.serving.inference.{kind}",
        "ce-source": "http://localhost:9081/",
        "ce-time": "2023-04-05T07:39:53.505997782Z",
        "ce-inferenceservicename": "sklearn-iris",
        "ce-namespace": "default",
        "ce-component": "predictor",
        "ce-endpoint": "",
        "ce-metadata": "{}",
        "ce-traceparent": TRACE,
        "traceparent": TRACE,
        "content-type": "application/x-www-form-urlencoded",
    }
    return headers | more, json.dumps(body).encode()


def seldon(id: str, request: str, kind: str, body: Any) -> Sent:
    """As Seldon's executor sends it: an id for each event, another for the request, a model."""
    headers = {
        "user-agent": "Go-http-client/1.1",
        "ce-endpoint": "predictor",
        "ce-id": id,
        "ce-inferenceservicename": "model-test",
        "ce-modelid": "model-test-predictor",
        "ce-namespace": "ml-workshop",
        "ce-requestid": request,
        "ce-protocol": "seldon",
        "ce-source": "http://:8000/",
        "ce-specversion": "1.0",
        "ce-time": "2022-08-16T22:38:13.447502807Z",
        "ce-traceparent": TRACE,
        "ce-type": f"io.seldon.serving.inference.{kind}",
        "content-type": "application/json",
    }
    return headers, json.dumps(body).encode()


def mlserver(id: str, kind: str, body: Any) -> Sent:
    """With the headers MLServer gives its requests and answers: version 0.3, no time, and again in the body."""
    attributes = {
        "Ce-Specversion": "0.3",
        "Ce-Source": "io.seldon.serving.deployment.mlserver",
        "Ce-Type": f"io.seldon.serving.inference.{kind}",
        "Ce-Modelid": "flights",
        "Ce-Inferenceservicename": "mlserver",
        "Ce-Endpoint": "flights",
        "Ce-Id": id,
        "Ce-Requestid": id,
    }
    headers = {"user-agent": "Python/3.11 aiohttp/3.9", "content-type": "application/json", **attributes}
    return headers, json.dumps({**body, "id": id, "parameters": {"headers": attributes}}).encode()


def test_kserve_with_its_first_protocol(elsewhere: Elsewhere) -> None:
    """Values by name or by place; classes as predictions; each row a Record at the request's time, with its trace."""
    asked = {
        "instances": [["EWR", 1400, 2.5, False], {"origin": "JFK", "distance": 1.0, "delay": None, "cancelled": 1}]
    }
    first, second = elsewhere.send(
        kserve("k1", "request", asked), kserve("k1", "response", {"predictions": ["yes", "no"]})
    )
    assert (first["records"], first["waiting"]) == (0, 1)
    assert (second["records"], second["waiting"]) == (2, 0)
    rows = elsewhere.rows()
    assert rows.keys() == {"k1:0", "k1:1"}
    assert rows["k1:0"]["_time"] == datetime(2023, 4, 5, 7, 39, 53, 505997, tzinfo=UTC)
    assert (rows["k1:0"]["origin"], rows["k1:0"]["_out_prediction"]) == ("EWR", "yes")
    assert (rows["k1:1"]["distance"], rows["k1:1"]["cancelled"]) == (1, True)
    assert rows["k1:1"]["delay"] != rows["k1:1"]["delay"]
    assert (rows["k1:0"]["_version"], rows["k1:0"]["_trace"]) == (0, TRACE)
    assert rows["k1:0"]["_out_probability"] is None


def test_kserve_with_the_open_protocol(elsewhere: Elsewhere) -> None:
    """Tensors by name, the version the answer names, and the id its caller saw."""
    elsewhere.send(
        kserve("k2", "request", {"inputs": TENSORS}),
        kserve("k2", "response", {"model_name": "m", "model_version": "4", "id": "seen", "outputs": OUTPUTS}),
    )
    rows = elsewhere.rows()
    assert rows.keys() == {"seen:0", "seen:1"}
    assert rows["seen:0"]["_version"] == 4
    assert [rows[id]["_out_probability"] for id in sorted(rows)] == [0.75, 0.25]
    assert rows["seen:1"]["distance"] == 200


def test_seldon_joins_by_its_request_id(elsewhere: Elsewhere) -> None:
    """Its own protocol, names or a tensor; probabilities of all classes are a prediction and its probability."""
    names = ["cancelled", "delay", "distance", "origin"]
    elsewhere.send(
        seldon("e2", "r1", "response", {"data": {"names": ["t:0", "t:1"], "ndarray": [[0.1, 0.9]]}, "meta": {}}),
        seldon("e1", "r1", "request", {"data": {"names": names, "ndarray": [[0, 1.5, 300, "LGA"]]}}),
        seldon("e3", "r2", "request", {"data": {"names": names, "ndarray": [[1, None, 3, "LGA"]]}}),
        seldon("e4", "r2", "response", {"data": {"names": [], "tensor": {"shape": [1, 2], "values": [0.8, 0.2]}}}),
    )
    rows = elsewhere.rows()
    assert rows.keys() == {"r1", "r2"}
    assert [rows[id]["_out_prediction"] for id in ("r1", "r2")] == ["yes", "no"]
    assert rows["r1"]["_out_probability"] == pytest.approx(0.9)
    assert (rows["r2"]["cancelled"], rows["r1"]["distance"]) == (True, 300)


def test_mlserver_with_its_headers(elsewhere: Elsewhere) -> None:
    """The older specification, no time, and what MLServer calls its outputs."""
    outputs = [{"name": "predict", "shape": [2, 1], "datatype": "BYTES", "data": ["no", "yes"]}]
    elsewhere.send(
        mlserver("m1", "request", {"inputs": TENSORS}),
        mlserver("m1", "response", {"model_name": "flights", "model_version": "v0.1.0", "outputs": outputs}),
    )
    rows = elsewhere.rows()
    assert [rows[id]["_out_prediction"] for id in ("m1:0", "m1:1")] == ["no", "yes"]
    assert rows["m1:0"]["_time"] == NOW
    assert rows["m1:0"]["_version"] == 0


def test_structured_events_and_batches(elsewhere: Elsewhere) -> None:
    """One event or many as JSON, data as JSON or in base64."""

    def event(kind: str, **data: Any) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": "s1",
            "source": "/x",
            "type": f"org.kubeflow.serving.inference.{kind}",
            **data,
        }

    request = event("request", datacontenttype="application/json", data={"inputs": TENSORS})
    coded = base64.b64encode(json.dumps({"outputs": OUTPUTS}).encode()).decode()
    response = event("response", data_base64=coded)
    single = {"content-type": "application/cloudevents+json; charset=utf-8"}
    batch = {"content-type": "application/cloudevents-batch+json"}
    both = [{**one, "id": "s2"} for one in (response, request)]
    said = elsewhere.send(
        (single, json.dumps(request).encode()),
        (single, json.dumps(response).encode()),
        (batch, json.dumps(both).encode()),
        (batch, b"[]"),
    )
    assert [one["records"] for one in said] == [0, 2, 2, 0]
    assert elsewhere.rows().keys() == {"s1:0", "s1:1", "s2:0", "s2:1"}


def test_the_same_event_again_changes_nothing(elsewhere: Elsewhere) -> None:
    """Neither while it waits nor after it was joined; another exchange with the id of its caller is another one."""
    request, response = kserve("d1", "request", {"inputs": TENSORS}), kserve("d1", "response", {"outputs": OUTPUTS})
    said = elsewhere.send(request, request, response, response, request)
    assert [one["repeated"] for one in said] == [0, 1, 0, 1, 1]
    assert elsewhere.stream.counts().records == 2
    total = elsewhere.ask("GET", "/records", {}, None).json()
    assert total == {"events": 5, "repeated": 3, "records": 2, "waiting": 0, "dropped": 0}


def test_what_waits_outlives_the_process(elsewhere: Elsewhere) -> None:
    """The other half may come to the next control process; a writer that was killed loses nothing acknowledged."""
    elsewhere.send(kserve("o1", "request", {"inputs": TENSORS}), kserve("o2", "response", {"outputs": OUTPUTS}))
    later = Elsewhere(elsewhere.places, elsewhere.ledger)
    later.send(kserve("o1", "response", {"outputs": OUTPUTS}), kserve("o2", "request", {"inputs": TENSORS}))
    assert later.rows().keys() == {"o1:0", "o1:1", "o2:0", "o2:1"}
    assert later.send(kserve("o1", "request", {"inputs": TENSORS}))[0]["repeated"] == 1


def contract(elsewhere: Elsewhere, **serving: Any) -> Contract:
    applied = Histories(elsewhere.ledger).of("flights").applied
    assert applied is not None
    found = specification_at(applied.specification, elsewhere.places)
    return Contract(replace(found, service=replace(found.service, serving=replace(found.service.serving, **serving))))


def test_what_waits_is_bounded_and_what_was_let_go_is_told(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Where there are too many halves, or one waits too long, the oldest go and are counted."""
    rules = contract(elsewhere)
    with closing(Inbox(tmp_path / "few", now=lambda: NOW, room=5)) as inbox:
        for i in range(12):
            inbox.take(events_of(*kserve(f"w{i}", "request", {"inputs": TENSORS})), rules)
        assert inbox.counts().waiting <= 5
        assert inbox.counts().waiting + inbox.counts().dropped == 12
        assert inbox.take(events_of(*kserve("w11", "response", {"outputs": OUTPUTS})), rules).records == 2
        assert inbox.take(events_of(*kserve("w0", "response", {"outputs": OUTPUTS})), rules).records == 0
    with closing(Inbox(tmp_path / "brief", now=lambda: NOW, wait=-1.0)) as inbox:
        assert inbox.take(events_of(*kserve("b", "request", {"inputs": TENSORS})), rules).dropped == 1
        assert inbox.counts().waiting == 0


def test_masked_fields_are_not_even_kept_while_they_wait(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Neither in the database nor in the Stream."""
    rules = contract(elsewhere, mask=("origin", "probability"))
    root = tmp_path / "masked"
    with closing(Inbox(root, now=lambda: NOW)) as inbox:
        inbox.take(events_of(*kserve("x", "request", {"inputs": TENSORS})), rules)
        for path in root.rglob("*"):
            assert not path.is_file() or b"EWR" not in path.read_bytes()
        inbox.take(events_of(*kserve("x", "response", {"outputs": OUTPUTS})), rules)
    table = Stream(root).read()
    assert table.column("origin").null_count == table.column("_out_probability").null_count == 2
    assert table.column("distance").to_pylist() == [1400, 200]
    for path in root.rglob("*"):
        assert not path.is_file() or b"EWR" not in path.read_bytes()


def test_nothing_is_forgotten_where_it_could_not_be_written(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk refuses the event; told again when there is room it is joined as if nothing had been."""
    rules = contract(elsewhere)
    with closing(Inbox(tmp_path / "full", now=lambda: NOW)) as inbox:
        inbox.take(events_of(*kserve("f", "request", {"inputs": TENSORS})), rules)
        with monkeypatch.context() as full:

            def none(self: SegmentWriter, batch: object) -> None:
                raise StorageFault("no room", code="disk_full")

            full.setattr(SegmentWriter, "append", none)
            with pytest.raises(StorageFault):
                inbox.take(events_of(*kserve("f", "response", {"outputs": OUTPUTS})), rules)
        assert inbox.counts().waiting == 1
        assert inbox.take(events_of(*kserve("f", "response", {"outputs": OUTPUTS})), rules).records == 2


@pytest.mark.parametrize("mask", [(), ("origin", "probability")])
def test_what_a_runner_tells_is_understood(elsewhere: Elsewhere, tmp_path: Path, mask: tuple[str, ...]) -> None:
    """Our own events make the Records our own capture makes: the same ids, times, versions, values and masks."""
    rules = contract(elsewhere)
    form = Form(7, rules.signature, mask)
    for names in (["own:0", "own:1"], ["a", "b"]):
        inputs = {
            "origin": np.array(["EWR", "JFK"], dtype=object),
            "distance": np.array([1400, 200]),
            "delay": np.array([2.5, np.nan]),
            "cancelled": np.array([False, True]),
        }
        outputs = {"prediction": np.array(["yes", "no"], dtype=object), "probability": np.array([0.75, 0.25])}
        together = Together.of([(form, names, 1_700_000_000_000_001, inputs, outputs, TRACE)])
        assert together is not None
        with closing(Inbox(tmp_path / names[0], now=lambda: NOW)) as inbox:
            for event in told("flights", together, 0):
                inbox.take(events_of({**event.headers, "content-type": "application/json"}, event.body), rules)
        rows = Stream(tmp_path / names[0]).read().to_pylist()
        assert [row["_id"] for row in rows] == names
        assert {row["_version"] for row in rows} == {7}
        assert {row["_time"] for row in rows} == {datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)}
        assert {row["_trace"] for row in rows} == {TRACE}
        assert [row["distance"] for row in rows] == [1400, 200]
        assert [row["origin"] for row in rows] == ([None, None] if mask else ["EWR", "JFK"])
        assert [row["_out_prediction"] for row in rows] == ["yes", "no"]
        assert [row["_out_probability"] for row in rows] == ([None, None] if mask else [0.75, 0.25])


def without(sent: Sent, *names: str, body: bytes | None = None, **other: str) -> Sent:
    headers = {name: value for name, value in sent[0].items() if name not in names} | other
    return headers, sent[1] if body is None else body


GOOD = kserve("bad1", "request", {"inputs": TENSORS})
ANSWER = kserve("bad1", "response", {"outputs": OUTPUTS})
BATCH = {"content-type": "application/cloudevents-batch+json"}
BAD: list[tuple[Sent, str, str]] = [
    (without(GOOD, "ce-type"), "invalid_event", "no CloudEvent"),
    (without(GOOD, "ce-id"), "invalid_event", "no id"),
    (without(GOOD, **{"ce-specversion": "9"}), "invalid_event", "'bad1'"),
    (without(GOOD, **{"ce-type": "com.example.made"}), "unknown_type", "'bad1'"),
    (without(GOOD, **{"ce-time": "yesterday"}), "invalid_event", "'bad1'"),
    (without(GOOD, body=b"{"), "invalid_event", "'bad1'"),
    (without(GOOD, body=b"[" * 100_000), "invalid_event", "'bad1'"),
    (without(GOOD, body=b"[]"), "invalid_request", "'bad1'"),
    (without(GOOD, body=b'{"instances": []}'), "empty_batch", "'bad1'"),
    (without(GOOD, body=b'{"instances": [[1, 2]]}'), "wrong_shape", "'bad1'"),
    (without(GOOD, body=b'{"instances": [{"origin": "EWR"}]}'), "missing_input", "'distance'"),
    (without(GOOD, body=json.dumps({"inputs": TENSORS[:3]}).encode()), "missing_input", "'cancelled'"),
    (without(GOOD, body=json.dumps({"inputs": [TENSORS[0] | {"shape": [3]}]}).encode()), "wrong_shape", "'origin'"),
    (without(GOOD, body=json.dumps({"inputs": [{"name": "x", "shape": [1]}]}).encode()), "no_data", "'x'"),
    (without(GOOD, body=b'{"data": {"ndarray": 3}}'), "invalid_request", "'bad1'"),
    (without(GOOD, body=b'{"instances": [[3, 1, 1, true]]}'), "wrong_type", "'origin"),
    (without(ANSWER, body=b'{"predictions": ["maybe"]}'), "wrong_output", "'bad1'"),
    (without(ANSWER, body=b'{"predictions": [[0.1, 0.2, 0.7]]}'), "wrong_output", "'bad1'"),
    (without(ANSWER, body=b'{"predictions": [{"a": 1, "b": 2}]}'), "missing_output", "'bad1'"),
    ((BATCH, b"{}"), "invalid_event", "array"),
    ((BATCH, b"[3]"), "invalid_event", "event 0"),
    ((BATCH, b'[{"type": "x"}]'), "invalid_event", "event 0"),
    (({"content-type": "application/cloudevents+json"}, b"7"), "invalid_event", "object"),
]


@pytest.mark.parametrize(("sent", "code", "named"), BAD)
def test_a_wrong_event_is_named(elsewhere: Elsewhere, sent: Sent, code: str, named: str) -> None:
    """With a machine code and a sentence; nothing of the request is kept."""
    status, found, sentence = elsewhere.refused(*sent)
    assert (status, found) == (422, code), sentence
    assert named in sentence
    assert len(sentence) < 500
    assert elsewhere.ask("GET", "/records", {}, None).json()["events"] == 0


def test_one_wrong_event_of_a_batch_keeps_all_out(elsewhere: Elsewhere) -> None:
    """So that the batch can be sent again as it is."""
    kind = "org.kubeflow.serving.inference.request"
    events = [{"id": f"p{i}", "type": kind, "data": {"inputs": TENSORS if i else []}} for i in (1, 2, 0)]
    status, _, sentence = elsewhere.refused(BATCH, json.dumps(events).encode())
    assert (status, "'p0'" in sentence) == (422, True)
    assert elsewhere.ask("GET", "/records", {}, None).json()["waiting"] == 0


def test_halves_that_do_not_fit_are_refused(elsewhere: Elsewhere) -> None:
    """An answer to another number of records is no answer to this request, which goes on waiting for its own."""
    elsewhere.send(kserve("h", "request", {"inputs": TENSORS}))
    status, code, sentence = elsewhere.refused(*kserve("h", "response", {"predictions": ["yes"]}))
    assert (status, code) == (422, "wrong_shape")
    assert "'h'" in sentence
    assert elsewhere.send(kserve("h", "response", {"predictions": ["yes", "no"]}))[0]["records"] == 2


def test_labels_follow(elsewhere: Elsewhere) -> None:
    """Labels of what was answered elsewhere are kept as any other's; of what is not known, none is."""
    elsewhere.send(kserve("l", "request", {"inputs": TENSORS}), kserve("l", "response", {"outputs": OUTPUTS}))

    def label(*labels: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = elsewhere.ask("POST", "/labels", {}, json.dumps(labels).encode())
        return answer.status_code, answer.json()

    assert label({"id": "l:0", "label": "yes"}, {"id": "l:1", "label": "yes"}) == (200, {"accepted": 2})
    status, told = label({"id": "l:0", "label": "no"}, {"id": "nobody", "label": "no"})
    assert (status, told["code"]) == (404, "unknown_record")
    assert label({"id": "l:0", "label": "maybe"})[1]["code"] == "label_wrong_type"
    labelled = elsewhere.stream.read(Query(labelled=True)).to_pylist()
    assert {row["_id"]: row["_label"] for row in labelled} == {"l:0": "yes", "l:1": "yes"}


def test_only_who_has_the_token_may_tell(elsewhere: Elsewhere) -> None:
    """As a bearer's, or as the password in the logger's URL, which is all that can be set there."""
    headers, body = GOOD
    for given, status in (
        ("Basic " + base64.b64encode(b"kserve:secret").decode(), 202),
        ("Basic " + base64.b64encode(b"kserve:guess").decode(), 401),
        ("Basic secret", 401),
        ("Basic " + base64.b64encode(b"secret").decode(), 401),
        ("", 401),
    ):
        assert elsewhere.ask("POST", "/records", headers | {"authorization": given}, body).status_code == status


def test_services_there_are_not_and_bodies_too_large(elsewhere: Elsewhere) -> None:
    """404 and 422, before anything is made."""
    assert elsewhere.ask("POST", "/../trains/records", *GOOD).status_code == 404
    assert elsewhere.refused({}, b" " * (33 * 2**20))[1] == "body_too_large"
    assert not elsewhere.places.stream("trains").exists()


def test_times_are_what_the_events_say() -> None:
    """Any offset, down to microseconds; an event without one has the time it came."""
    late = (NOW + timedelta(microseconds=5)).astimezone().isoformat()
    (event,) = events_of(*without(GOOD, **{"ce-time": late}))
    assert event.time == int(NOW.timestamp()) * 1_000_000 + 5
    assert events_of(*without(GOOD, "ce-time"))[0].time is None
    with pytest.raises(Invalid):
        events_of(*without(GOOD, **{"ce-time": "0000-00-00T00:00:00Z"}))
