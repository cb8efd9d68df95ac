"""What a running deployment tells others: events to a sink, traces to callers, counts that outlive its workers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import toys
from runners import Reply, Served, inference, served, wait

INFER = "/v2/models/toy/infer"
ROW = {"amount": 1.5, "count": 4, "city": "Rome", "new": True}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Hearing(ThreadingHTTPServer):
    """An HTTP server that remembers what was posted."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], Any]] = []
        super().__init__(("127.0.0.1", 0), _Ear)


class _Ear(BaseHTTPRequestHandler):
    server: Hearing
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[Hearing]:
    server = Hearing()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def serving(**settings: Any) -> tuple[str, str]:
    return "--serving", json.dumps(settings)


def traced(runner: Served, path: str, body: Any, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", runner.port, timeout=180)
    connection.request("POST", path, json.dumps(body).encode(), {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    found = Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found


def samples(runner: Served) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = runner.call("GET", "/metrics").body.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(runner: Served, name: str, **labels: object) -> float:
    wanted = {key: str(value) for key, value in labels.items()}.items()
    found = samples(runner).items()
    return sum(value for (said, given), value in found if said == name and wanted <= dict(given).items())


def test_a_sink_is_told_what_was_recorded(tmp_path: Path, sink: Hearing) -> None:
    """Two events an exchange, masked as the Records are, in the trace the caller is in or in one that begins here."""
    settings = serving(sink=f"http://127.0.0.1:{sink.server_port}/", mask=["city"])
    with served(tmp_path / "s", *settings) as runner:
        runner.put(3, signature=toys.COLUMNS)
        assert runner.swap(3)["ok"]
        parent = f"00-{TRACE}-{SPAN}-01"
        reply = traced(runner, "/predict", ROW | {"_id": "mine"}, traceparent=parent, tracestate="a=b")
        assert reply.status == 200
        ours = reply.headers["traceparent"]
        assert ours.startswith(f"00-{TRACE}-")
        assert SPAN not in ours
        assert reply.headers["tracestate"] == "a=b"
        other = traced(runner, "/predict", ROW | {"_id": "other"}, traceparent="nonsense")
        assert other.headers["traceparent"].split("-")[1] != TRACE
        wait(lambda: len(sink.heard) == 4)
        (asked, request), (answered, response) = sink.heard[:2]
        assert asked["ce-id"] == answered["ce-id"] == "mine"
        assert asked["ce-traceparent"] == ours
        assert [tensor["name"] for tensor in request["inputs"]] == ["amount", "count", "new"]
        assert response["model_version"] == "3"
        wait(lambda: all(runner.stream.known(["mine", "other"])))
        rows = {row["_id"]: row for row in runner.stream.read().to_pylist()}
        assert (rows["mine"]["city"], rows["mine"]["count"], rows["mine"]["_trace"]) == (None, 4, ours)
        assert total(runner, "keepfit_events_sent_total") == 2
        assert runner.stop() == 0
    for path in runner.places.stream("toy").rglob("*"):
        assert not path.is_file() or b"Rome" not in path.read_bytes()


def test_nothing_is_traced_where_nobody_asks(tmp_path: Path) -> None:
    """Neither header nor column; one request with a trace gets both."""
    with served(tmp_path / "s") as runner:
        runner.put(1)
        assert runner.swap(1)["ok"]
        x = inference(np.zeros((1, toys.WIDTH), np.float32), id="plain")
        assert "traceparent" not in runner.call("POST", INFER, x).headers
        wait(lambda: all(runner.stream.known(["plain"])))
        assert "_trace" not in runner.stream.read().column_names
        reply = traced(runner, INFER, x | {"id": "traced"}, traceparent=f"00-{TRACE}-{SPAN}-01")
        wait(lambda: all(runner.stream.known(["traced"])))
        rows = {row["_id"]: row["_trace"] for row in runner.stream.read().to_pylist()}
        assert rows == {"plain": None, "traced": reply.headers["traceparent"]}


def test_a_mask_that_names_no_field_is_told(tmp_path: Path) -> None:
    """No Version is answered with that mask, and the refusal says what is wrong."""
    with served(tmp_path / "s", *serving(mask=["contry"])) as runner:
        runner.put(1, signature=toys.COLUMNS)
        refused = runner.swap(1)
        assert (refused["ok"], refused["code"]) == (False, "unknown_mask")
        assert "'contry'" in refused["error"]


def test_a_sample_is_recorded_and_counted(tmp_path: Path) -> None:
    """The others are answered all the same, counted as left out, and may be labelled by who knows no sample."""
    with served(tmp_path / "s", *serving(sample=0.5)) as runner:
        runner.put(1, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        rows = [ROW | {"_id": f"r{i}"} for i in range(400)]
        assert len(runner.call("POST", "/predict", rows).json) == 400
        wait(lambda: total(runner, "keepfit_records_captured_total") > 0)
        kept = runner.stream.counts().records
        assert 140 < kept < 260
        assert total(runner, "keepfit_records_skipped_total") == 400 - kept
        labels = [{"id": f"r{i}", "label": i % 2} for i in range(400)]
        assert runner.call("POST", "/labels", labels).json == {"accepted": kept}


def test_the_cache_answers_the_same_question_once(tmp_path: Path) -> None:
    """Only within one Bundle; what it answers is recorded like any answer."""
    with served(tmp_path / "s", *serving(cache=10)) as runner:
        runner.put(1, signature=toys.COLUMNS)
        runner.put(2, signature=toys.COLUMNS, bias=3.0)
        assert runner.swap(1)["ok"]
        first = [runner.call("POST", "/predict", ROW | {"_id": f"a{i}"}).json["probability"] for i in range(3)]
        assert runner.swap(2)["ok"]
        second = runner.call("POST", "/predict", ROW | {"_id": "b"}).json["probability"]
        assert len(set(first)) == 1
        assert second > first[0]
        assert total(runner, "keepfit_swaps_total", service="toy") == 2
        assert total(runner, "keepfit_cache_hits_total") == 2
        assert total(runner, "keepfit_cache_misses_total") == 2
        wait(lambda: all(runner.stream.known(["a0", "a1", "a2", "b"])))


def test_counts_outlive_the_workers_that_counted(tmp_path: Path) -> None:
    """Workers are killed; what they had said stays in the sums, under MLServer's names too."""
    with served(tmp_path / "s", "--workers", "2") as runner:
        runner.put(7, signature=toys.COLUMNS)
        assert runner.swap(7)["ok"]
        before = 0.0
        for turn in range(3):
            for _ in range(5):
                assert runner.call("POST", "/predict", ROW).status == 200
            counted = total(runner, "model_infer_request_success_total", model="toy", version=7)
            assert counted == before + 5
            assert total(runner, "keepfit_requests_total", path="/predict", status=200) == counted
            assert total(runner, "rest_server_requests_total", path="/predict", status_code=200) == counted
            assert total(runner, "keepfit_answers_total", version=7, slot="live") == counted
            before = counted
            pids = set(runner.fronts())
            os.kill(sorted(pids)[turn % 2], signal.SIGKILL)
            wait(lambda pids=pids: len(set(runner.fronts()) - pids) == 1 and len(runner.fronts()) == 2)
            assert total(runner, "model_infer_request_success_total", model="toy", version=7) == before
        assert len({labels for name, labels in samples(runner) if name == "keepfit_ready"}) == 2
        assert total(runner, "process_start_time_seconds") > 1e9
