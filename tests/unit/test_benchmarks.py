"""The benchmarks' own frame: what is measured in turn is told whole, and nothing unreached is called reached."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import bundles, h2, inline
from benchmarks.__main__ import benchmarks, main
from benchmarks.detect import Seen
from benchmarks.harness import Line, Sample, interleave, keep, number, show
from benchmarks.load import Answered, Client, request
from keepfit.core.places import Places
from keepfit.serve.manifest import manifest
from keepfit.store.blobs import Trees


def test_rounds_are_interleaved() -> None:
    """Each thing is measured once per round, in turn, never all of one and then all of the other."""
    order: list[str] = []
    found = interleave(3, {name: (lambda name=name: order.append(name) or float(len(order))) for name in ("a", "b")})  # type: ignore[func-returns-value, misc]
    assert order == ["a", "b"] * 3
    assert found["b"].values == (2.0, 4.0, 6.0)
    assert found["b"].median == 4.0


def test_a_result_says_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON has what, ours, peer, ratio, reach, reached, the rounds, versions and machine; the table says MISSED."""
    line = Line(
        what="speed",
        ours=Sample((3.0, 1.0, 2.0)),
        peer=Sample((4.0,)),
        peer_is="other",
        ratio=0.5,
        reach="2 times",
        reached=False,
    )
    keep(tmp_path / "deep" / "x.json", [line])
    (plain,) = json.loads((tmp_path / "deep" / "x.json").read_text())
    assert {key: plain[key] for key in ("what", "ours", "peer", "ratio", "reach", "reached")} == {
        "what": "speed",
        "ours": 2.0,
        "peer": 4.0,
        "ratio": 0.5,
        "reach": "2 times",
        "reached": False,
    }
    assert plain["ours_rounds"] == [3.0, 1.0, 2.0]
    assert plain["versions"]["python"]
    assert plain["machine"]["cores"] >= 1
    show([line])
    assert "2 (1-3)" in (said := capsys.readouterr().out)
    assert "MISSED" in said


def test_an_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for a benchmark that is not there lists those that are."""
    assert main(["sevre"]) == 2
    assert "no benchmark sevre; there are: " in (said := capsys.readouterr().err)
    assert {"detect", "gate", "idle", "install", "native", "rpc", "serve", "swap"} <= set(benchmarks())
    assert "serve" in said


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (0.01234, "0.0123"), (12.34, "12.3"), (12345.6, "12,346")])
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    """A table is read by people."""
    assert number(value) == shown


def _serve(listener: socket.socket) -> None:
    """Answer in two pieces; every third request badly, every seventh by hanging up."""
    count = 0

    def one(connection: socket.socket) -> None:
        nonlocal count
        with connection:
            while connection.recv(65536):
                count += 1
                if count % 7 == 0:
                    return
                status = b"500 No" if count % 3 == 0 else b"200 OK"
                connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nfo")
                connection.sendall(b"ur")

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def test_the_client_counts_what_goes_wrong() -> None:
    """Bad statuses, connections broken off and wrong bodies are each counted, and the load goes on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        found = Client(port, [request("/", b"{}")], check=lambda turn, head, body: body != b"four").steady(500, 0.4)
        listener.shutdown(socket.SHUT_RDWR)
    assert found.requests + found.broken == 200
    assert found.broken == pytest.approx(200 / 7, abs=4)
    assert found.failed == pytest.approx(200 / 3 * 6 / 7, abs=10)
    assert found.torn == found.requests - found.failed
    assert len(found.sent) == len(found.latency) == found.requests


def test_the_detector_shows_each_fault() -> None:
    """An answer of two models is torn, one with a wiped mark was used after its end, an old one is stale."""
    seen = Seen({1: 11, 2: 22, 3: 33})
    ten = bundles.TEN
    assert seen.check(5, 2, 5 * ten + 22, bundles.ALIVE)
    assert not seen.check(5, 2, 5 * ten + 16, bundles.ALIVE)  # half of 11, half of 22
    assert not seen.check(5, 1, 5 * ten + 11, bundles.WIPED)
    assert (seen.torn, seen.used, seen.versions) == (1, 1, [2, 2, 1])
    found = Answered(3, 1.0, 0, 0, 0.0, 0.0, sent=np.array([0.5, 1.5, 2.5]))
    assert seen.stale(found, replied=[1.0]) == 1  # v1, asked for after v2 was acknowledged


def test_a_model_that_was_let_go_answers_so(tmp_path: Path) -> None:
    """The Runtime of the benchmark closes as no other does: whoever still asks afterwards is told."""
    places = Places(tmp_path)
    directory = Trees(places.trees).path(bundles.code(places, 33, inline=True))
    model = inline.Inline().load(directory, manifest(directory))
    x = {"x": np.array([7])}
    assert model.predict(x)["answer"].tolist() == [7 * bundles.TEN + 33]
    assert model.predict(x)["mark"].tolist() == [bundles.ALIVE]
    model.close()
    assert model.predict(x)["mark"].tolist() == [bundles.WIPED]
    assert model.predict(x)["answer"].tolist() != [7 * bundles.TEN + 33]


def _grpc(port: list[int], ready: threading.Event, over: threading.Event) -> None:
    import grpc

    def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
        if body == b"bad":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "on purpose")
        return body + b"!"

    handler = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((SimpleNamespace(service=lambda details: handler),))  # type: ignore[arg-type]
    port.append(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    ready.set()
    over.wait(300)
    server.stop(None).wait()


def test_the_grpc_client_is_answered_by_a_real_server() -> None:
    """Small and large messages come back whole, one call after the other; an error is no success."""
    port, ready, over = list[int](), threading.Event(), threading.Event()
    thread = threading.Thread(target=_grpc, args=(port, ready, over))
    thread.start()
    try:
        assert ready.wait(300)
        bodies = [b"small", b"l" * 50_000, b"bad"]
        answers: list[bytes] = []
        client = Client(
            port[0], [h2.call("/a/B", body) for body in bodies], lambda _, head, body: bool(answers.append(body) or 1),
            h2.Stream,
        )  # fmt: skip
        found = client.closed(1, 0.0, until=lambda: len(client.latency) >= 9)
    finally:
        over.set()
        thread.join()
    assert found.requests == 9
    assert (found.failed, found.broken) == (3, 0)
    assert set(answers) == {b"small!", b"l" * 50_000 + b"!"}


def test_bundles_of_benchmarks_are_what_they_say(tmp_path: Path) -> None:
    """Another salt is another Bundle, the same one the same; the heavy graph weighs what its layers weigh."""
    places = Places(tmp_path)
    first, again, other = (bundles.code(places, salt, inline=False) for salt in (1, 1, 2))
    assert first == again != other
    graph = Trees(places.trees).path(bundles.weighty(places, 0, layers=2))
    size = (graph / "model.onnx").stat().st_size
    assert size == pytest.approx(2 * bundles.SIDE**2 * 4, rel=0.02)
