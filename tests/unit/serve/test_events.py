"""Events: a sink hears of every recorded exchange as KServe's logger would tell it, and never holds anything up."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

import toys
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.capture import Capture, Form
from keepfit.serve.events import REQUEST, RESPONSE, Events, told
from keepfit.serve.forms import Together
from runners import wait

MICROS = 1_700_000_000_123_456
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Hearing(ThreadingHTTPServer):
    """An HTTP server that remembers what was posted, and answers when and how it is told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], Any]] = []
        self.connections = 0
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(("127.0.0.1", 0), _Ear)

    @property
    def url(self) -> str:
        return f"http://me:se%20cret@127.0.0.1:{self.server_port}/sink?a=b"


class _Ear(BaseHTTPRequestHandler):
    server: Hearing
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.gate.wait()
        self.server.heard.append(
            ({k.lower(): v for k, v in self.headers.items()} | {"path": self.path}, json.loads(body))
        )
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Deaf:
    """A place for Records that keeps none."""

    def append(self, batch: object) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[Hearing]:
    server = Hearing()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def outputs(rows: int) -> dict[str, np.ndarray]:
    return {"prediction": np.arange(rows), "probability": np.linspace(0, 1, rows, dtype=np.float32)}


def say(capture: Capture, form: Form, ids: list[str], trace: str = "") -> None:
    inputs = toys.examples(Signature(form.inputs, form.outputs), len(ids))
    capture.add(form, ids, MICROS, inputs, outputs(len(ids)), trace)


def test_an_exchange_is_two_events_as_kserve_tells_them(sink: Hearing) -> None:
    """Binary mode, one id, types and extensions of KServe, protocol bodies with null for what is missing."""
    events = Events(sink.url, "toy")
    capture = Capture(Deaf(), listener=events)
    say(capture, Form(3, toys.COLUMNS), ["q:0", "q:1"], TRACE)
    capture.close()
    events.close()
    (asked, request), (answered, response) = sink.heard
    for headers in (asked, answered):
        assert headers["ce-specversion"] == "1.0"
        assert (headers["ce-id"], headers["ce-source"]) == ("q", "/services/toy")
        assert (headers["ce-inferenceservicename"], headers["ce-component"]) == ("toy", "predictor")
        assert headers["ce-time"] == "2023-11-14T22:13:20.123456Z"
        assert headers["ce-traceparent"] == headers["traceparent"] == TRACE
        assert headers["content-type"] == "application/json"
        assert headers["path"] == "/sink?a=b"
        assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"me:se cret"
    assert (asked["ce-type"], answered["ce-type"]) == (REQUEST, RESPONSE)
    tensors = {tensor["name"]: tensor for tensor in request["inputs"]}
    assert tensors["city"] == {"name": "city", "datatype": "BYTES", "shape": [2], "data": ["Rome", ""]}
    assert tensors["amount"]["data"][1] is None
    assert (response["model_name"], response["model_version"], response["id"]) == ("toy", "3", "q")
    assert response["outputs"][0] == {"name": "prediction", "datatype": "INT64", "shape": [2], "data": [0, 1]}
    assert (events.sent, events.dropped, events.waiting) == (1, 0, 0)
    assert sink.connections == 1


def test_rows_with_ids_of_their_own_are_events_of_their_own(sink: Hearing) -> None:
    """So that each can be found by its id; what cannot stand in a header is written so that it can."""
    events = Events(sink.url, "toy")
    capture = Capture(Deaf(), listener=events)
    say(capture, Form(1, toys.TENSOR), ["a", "é\r\nx: y"])
    say(capture, Form(1, toys.TENSOR), ["b"])
    capture.close()
    events.close()
    ids = [headers["ce-id"] for headers, _ in sink.heard]
    assert ids == ["a", "a", "%C3%A9%0D%0Ax:%20y", "%C3%A9%0D%0Ax:%20y", "b", "b"]
    assert [body["id"] for _, body in sink.heard[2:3]] == ["é\r\nx: y"]
    assert {body["inputs"][0]["shape"][0] for _, body in sink.heard[::2]} == {1}
    assert not any("x" in headers or "ce-traceparent" in headers for headers, _ in sink.heard)


def test_masked_and_left_out_is_not_told(sink: Hearing) -> None:
    """Masked fields are named, without values; what the sample leaves out is not told at all."""
    events = Events(sink.url, "toy")
    capture = Capture(Deaf(), sample=0.5, listener=events)
    form = Form(1, toys.COLUMNS, mask=("city", "probability"))
    for i in range(40):
        say(capture, form, [f"r{i}"])
    capture.close()
    events.close()
    assert len(sink.heard) == 2 * events.sent == 2 * capture.captured < 80
    for headers, body in sink.heard:
        assert capture.takes(headers["ce-id"])
        names = {tensor["name"] for tensor in body.get("inputs", body.get("outputs"))}
        assert not names & {"city", "probability"}
        assert body["parameters"]["masked"] in ("city", "probability")
        assert "Rome" not in str(body)


def test_one_record_models_have_their_whole_shapes() -> None:
    """Where a request is one record there is no first dimension to tell."""
    signature = Signature((Field("x", DType.FP32, (1, 3)),), (Field("y", DType.FP32, (2,)),), batched=False)
    new = (Form(1, signature), ["a"], MICROS, {"x": np.zeros((1, 1, 3), np.float32)}, {"y": np.zeros((1, 2))}, "")
    together = Together.of([new])
    assert together is not None
    asked, answered = told("toy", together, 0)
    assert json.loads(asked.body)["inputs"][0]["shape"] == [1, 3]
    assert json.loads(answered.body)["outputs"][0]["shape"] == [2]


def test_a_sink_that_hangs_costs_events_and_nothing_else(sink: Hearing) -> None:
    """The queue is bounded; what finds no room is counted; whoever answers never waits."""
    sink.gate.clear()
    events = Events(sink.url, "toy", room=128)
    capture = Capture(Deaf(), listener=events)
    form = Form(1, toys.TENSOR)
    for i in range(1000):
        say(capture, form, [f"r{i}"])
    capture.flush()
    assert events.waiting <= 128
    assert events.dropped >= 870
    sink.gate.set()
    wait(lambda: events.waiting == 0)
    capture.close()
    events.close()
    assert capture.captured == 1000
    assert events.sent + events.dropped == 1000
    assert len(sink.heard) == 2 * events.sent


def test_a_sink_that_comes_back_hears_what_waited(sink: Hearing) -> None:
    """While nobody listens exchanges wait, and are told in order when somebody does."""
    port = sink.server_port
    sink.shutdown()
    sink.server_close()
    events = Events(f"http://127.0.0.1:{port}/", "toy")
    capture = Capture(Deaf(), listener=events)
    for i in range(3):
        say(capture, Form(1, toys.TENSOR), [f"r{i}"])
    capture.close()
    assert (events.sent, events.waiting) == (0, 3)
    again = ThreadingHTTPServer(("127.0.0.1", port), _Ear)
    again.heard, again.connections, again.status = [], 0, 202  # type: ignore[attr-defined]  # what _Ear asks for
    again.gate = sink.gate  # type: ignore[attr-defined]  # as above
    thread = threading.Thread(target=again.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    wait(lambda: events.sent == 3)
    events.close()
    again.shutdown()
    thread.join()
    again.server_close()
    assert [headers["ce-id"] for headers, _ in again.heard][::2] == ["r0", "r1", "r2"]  # type: ignore[attr-defined]


def test_what_the_sink_refuses_is_dropped_and_counted(sink: Hearing) -> None:
    """An answer that is no 2xx is an answer; nothing is sent again, nor the answer to a request nobody heard of."""
    sink.status = 500
    events = Events(sink.url, "toy")
    capture = Capture(Deaf(), listener=events)
    for i in range(3):
        say(capture, Form(1, toys.TENSOR), [f"r{i}"])
    capture.close()
    events.close()
    assert (events.sent, events.dropped) == (0, 3)
    assert len(sink.heard) == 3


def test_closing_does_not_wait_for_a_sink_that_is_gone() -> None:
    """What could not be sent by then is counted as dropped."""
    events = Events("http://127.0.0.1:9/", "toy")
    capture = Capture(Deaf(), listener=events)
    for i in range(5):
        say(capture, Form(1, toys.TENSOR), [f"r{i}"])
    capture.close()
    events.close()
    assert (events.sent, events.dropped, events.waiting) == (0, 5, 0)
