"""The benchmarks' own frame: what is measured in turn is told whole, and nothing unreached is called reached."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from benchmarks.__main__ import benchmarks, main
from benchmarks.harness import Line, Sample, interleave, keep, number, show
from benchmarks.load import Client, request


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
    assert {"gate", "install", "serve", "swap"} <= set(benchmarks())
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
