"""How many one-row requests a second does a runner on one core answer, beside MLServer and a bare granian "hello"?

JSON of the Open Inference Protocol, scikit-learn GradientBoosting (100 trees, 20 features) as ONNX, 1, 8 and 64
connections, capture on; the server held to one core, the client on another. MLServer runs as it comes, and in its best
setting: in process, without debug logging, with adaptive batching over what the connections can send (none for one).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import mlserver, place
from benchmarks.harness import ROOT, Line, Sample, either
from benchmarks.load import Answered, Asked, hammer
from keepfit.core.places import Places

ROUNDS, SECONDS, WARM = either(3, 1), either(5.0, 1.0), either(2.0, 1.0)
CONNECTIONS = (1, 8, 64)
SERVER_CORE, CLIENT_CORE = 0, 1
HELLO_PORT = 18300
REACH = {
    "default": {1: 8.0, 8: 25.0, 64: 40.0},
    "best": {1: 5.0, 8: 8.0, 64: 12.0},
    "hello": {1: 0.35, 8: 0.35, 64: 0.35},
}
IS = {
    "default": f"{mlserver.IS}, default",
    "best": f"{mlserver.IS}, in process, batching",
    "hello": 'bare granian "hello"',
}
Seen = dict[str, dict[int, list[Answered]]]


def measure(port: int, asked: Asked, connections: int) -> Answered:
    """Warm up, then count; RuntimeError where an answer failed."""
    hammer(port, asked, connections=connections, seconds=WARM, core=CLIENT_CORE)
    found = hammer(port, asked, connections=connections, seconds=SECONDS, core=CLIENT_CORE)
    if found.failed or found.broken or not found.requests:
        raise RuntimeError(
            f"{asked.path}: of {found.requests} answers {found.failed} were no 2xx, {found.broken} connections broke"
        )
    return found


@contextmanager
def _keepfit(places: Places, digest: str) -> Any:
    with place.runner(places, cores=[SERVER_CORE]) as served:
        served.swap(1, digest)
        yield served.port


def _hello(folder: Path) -> AbstractContextManager[int]:
    command = [sys.executable, "-m", "granian", "--interface", "rsgi", "--workers", "1", "--loop", "uvloop"]
    command += ["--http", "1", "--no-ws", "--port", str(HELLO_PORT), "--no-log", "benchmarks.hello:app"]
    command += ["--working-dir", str(ROOT)]
    return place.server(command, port=HELLO_PORT, path="/", cores=[SERVER_CORE], folder=folder)


def run() -> list[Line]:
    """Each server in turn, in every round started anew; the latencies of the same runs below."""
    asked, seen = Asked(mlserver.INFER, place.bodies()), Seen()
    with place.scratch() as name:
        folder = Path(name)
        places = Places(folder / "store")
        digest = place.bundle(places)
        mlserver.train(folder)
        default = mlserver.configure(folder / "default", {}, {})
        best = {
            many: mlserver.configure(folder / f"best-{many}", mlserver.BEST, mlserver.batching(many))
            for many in CONNECTIONS
        }
        for _ in range(ROUNDS):
            note(seen, "keepfit", _keepfit(places, digest), asked)
            note(seen, "hello", _hello(folder), asked)
            note(seen, "default", mlserver.started(default, [SERVER_CORE]), asked)
            for many, configured in best.items():
                note(seen, "best", mlserver.started(configured, [SERVER_CORE]), asked, (many,))
    return [*(line for name in ("default", "best", "hello") for line in _rates(seen, name)), *_latencies(seen)]


def note(
    seen: Seen,
    name: str,
    server: AbstractContextManager[int],
    asked: Asked,
    connections: tuple[int, ...] = CONNECTIONS,
) -> None:
    """Start a server, ask it over so many connections, and keep what came of it."""
    with server as port:
        for many in connections:
            seen.setdefault(name, {}).setdefault(many, []).append(measure(port, asked, many))


def sample(found: list[Answered], of: Callable[[Answered], float] = lambda answered: answered.rate) -> Sample:
    """One quantity of all rounds: the rate, where nothing else is said."""
    return Sample(tuple(of(answered) for answered in found))


def rates(
    seen: Seen, ours: str, peer: str, reach: Mapping[int, float], *, what: str, peer_is: str, limit: bool = False
) -> list[Line]:
    """How many times the peer's requests a second are ours, at every number of connections in `reach`."""
    lines = []
    for many, least in reach.items():
        mine, theirs = sample(seen[ours][many]), sample(seen[peer][many])
        ratio = mine.median / theirs.median
        lines.append(
            Line(
                what=f"{what}, {many} connection{'s' if many > 1 else ''}",
                ours=mine,
                peer=theirs,
                peer_is=peer_is,
                ratio=ratio,
                unit="requests/s",
                reach=f"at least {least:g} of it" if limit else f"at least {least:g} times",
                reached=ratio >= least,
            )
        )
    return lines


def compared(seen: Seen, ours: str, peer: str, *, what: str, peer_is: str) -> list[Line]:
    """The same where nothing is asked, at every number of connections there is."""
    reach = dict.fromkeys(seen[ours].keys() & seen[peer].keys(), 0.0)
    lines = rates(seen, ours, peer, dict(sorted(reach.items())), what=what, peer_is=peer_is)
    return [replace(line, reach="", reached=None) for line in lines]


def _rates(seen: Seen, name: str) -> list[Line]:
    what = "one row, JSON, one core"
    return rates(seen, "keepfit", name, REACH[name], what=what, peer_is=IS[name], limit=name == "hello")


def _latencies(seen: Seen) -> list[Line]:
    p50 = sample(seen["keepfit"][1], partial(_in_ms, "p50"))
    lines = [
        Line(
            what="p50 at 1 connection",
            ours=p50,
            peer=sample(seen["hello"][1], partial(_in_ms, "p50")),
            peer_is="ms, bare granian",
            unit="ms",
            reach="at most 0.25 ms",
            reached=p50.median <= 0.25,
        )
    ]
    for what in ("p50", "p99"):
        in_ms = partial(_in_ms, what)
        ours, best = sample(seen["keepfit"][8], in_ms), sample(seen["best"][8], in_ms)
        lines.append(
            Line(
                what=f"{what} at 8 connections",
                ours=ours,
                peer=best,
                peer_is="ms, MLServer's best setting",
                ratio=best.median / ours.median,
                unit="ms",
            )
        )
    return lines


def _in_ms(what: str, answered: Answered) -> float:
    return float(getattr(answered, what)) * 1e3
