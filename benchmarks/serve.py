"""How many one-row requests a second does a runner on one core answer, beside MLServer and a bare granian "hello"?

JSON of the Open Inference Protocol, scikit-learn GradientBoosting (100 trees, 20 features), 8 connections, capture on;
the server held to one core, the client on another. MLServer runs as it comes, and in its best setting: in process,
without debug logging, adaptive batching over what 8 connections can send.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import place
from benchmarks.harness import Line, Sample, interleave, peer
from benchmarks.load import Answered, hammer
from keepfit.core.places import Places

ROUNDS, SECONDS, WARM, CONNECTIONS = 3, 5.0, 2.0, 8
SERVER_CORE, CLIENT_CORE = 0, 1
HELLO_PORT, MLSERVER_PORT = 18300, 18310
TRAIN = f"""
import sys, joblib, numpy
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
X, y = make_classification({place.ROWS}, {place.WIDTH}, random_state=0)
joblib.dump({place.MODEL}.fit(X.astype(numpy.float32)[:{place.ROWS * 4 // 5}], y[:{place.ROWS * 4 // 5}]), sys.argv[1])
"""
BEST: dict[str, Any] = {"parallel_workers": 0, "debug": False}
BATCHING: dict[str, Any] = {"max_batch_size": CONNECTIONS, "max_batch_time": 0.001}


def measure(port: int, path: str, bodies: list[bytes]) -> Answered:
    """Warm up, then count; RuntimeError where an answer failed."""
    hammer(port, path, bodies, connections=CONNECTIONS, seconds=WARM, core=CLIENT_CORE)
    found = hammer(port, path, bodies, connections=CONNECTIONS, seconds=SECONDS, core=CLIENT_CORE)
    if found.failed or found.broken:
        raise RuntimeError(f"{path}: {found.failed} answers were no 2xx, {found.broken} connections broke")
    return found


def _keepfit(places: Places, digest: str, bodies: list[bytes]) -> Answered:
    with place.runner(places, cores=[SERVER_CORE]) as served:
        served.target.swap(place.SERVICE, 1, digest)
        return measure(served.port, served.path, bodies)


def _hello(folder: Path, bodies: list[bytes]) -> Answered:
    command = [sys.executable, "-m", "granian", "--interface", "rsgi", "--workers", "1", "--loop", "uvloop"]
    command += ["--http", "1", "--no-ws", "--port", str(HELLO_PORT), "--no-log", "benchmarks.hello:app"]
    command += ["--working-dir", str(place.ROOT)]
    with place.server(command, port=HELLO_PORT, path="/", cores=[SERVER_CORE], folder=folder) as port:
        return measure(port, "/", bodies)


def _mlserver(python: Path, folder: Path, bodies: list[bytes]) -> Answered:
    command = [python, python.parent / "mlserver", "start", "."]
    ready, path = "/v2/models/bench/ready", "/v2/models/bench/infer"
    with place.server(command, port=MLSERVER_PORT, path=ready, cores=[SERVER_CORE], folder=folder) as port:
        return measure(port, path, bodies)


def train(folder: Path) -> None:
    """The same model in the peer's own environment, as `model.joblib`."""
    python = peer("mlserver", "mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22")
    subprocess.run([python, "-c", TRAIN, folder / "model.joblib"], check=True)


def configure(folder: Path, settings: dict[str, Any], batching: dict[str, Any]) -> Path:
    """A folder MLServer can be started in, beside `model.joblib`."""
    (folder / "bench").mkdir(parents=True)
    ports = {"http_port": MLSERVER_PORT, "grpc_port": MLSERVER_PORT + 1, "metrics_port": MLSERVER_PORT + 2}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports, **settings}))
    model = {"name": "bench", "implementation": "mlserver_sklearn.SKLearnModel", **batching}
    model["parameters"] = {"uri": "../../model.joblib"}
    (folder / "bench" / "model-settings.json").write_text(json.dumps(model))
    return folder


def run() -> list[Line]:
    """Each server in turn, three rounds; the latencies of the same runs below."""
    python = peer("mlserver", "mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22")
    bodies, seen = place.bodies(), dict[str, list[Answered]]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(place.scratch()))
        places = Places(folder / "store")
        digest = place.bundle(places)
        train(folder)
        default = configure(folder / "default", {}, {})
        best = configure(folder / "best", BEST, BATCHING)

        def noting(name: str, measure: Callable[[], Answered]) -> Callable[[], float]:
            def rate() -> float:
                seen.setdefault(name, []).append(measure())
                return seen[name][-1].rate

            return rate

        rates = interleave(
            ROUNDS,
            {
                "keepfit": noting("keepfit", lambda: _keepfit(places, digest, bodies)),
                "hello": noting("hello", lambda: _hello(folder, bodies)),
                "default": noting("default", lambda: _mlserver(python, default, bodies)),
                "best": noting("best", lambda: _mlserver(python, best, bodies)),
            },
        )
    return [*_rates(rates), *_latencies(seen)]


def _rates(rates: dict[str, Sample]) -> list[Line]:
    asked = {
        "default": ("MLServer 1.7.1, default", 20.0, "at least 20 times"),
        "best": ("MLServer 1.7.1, in process, batching", 6.0, "at least 6 times"),
        "hello": ('bare granian "hello"', 0.35, "at least 0.35 of it"),
    }
    lines = []
    for name, (peer_is, least, reach) in asked.items():
        ratio = rates["keepfit"].median / rates[name].median
        lines.append(
            Line(
                what="one row, JSON, 8 connections, one core",
                ours=rates["keepfit"],
                peer=rates[name],
                peer_is=peer_is,
                ratio=ratio,
                unit="requests/s",
                reach=reach,
                reached=ratio >= least,
            )
        )
    return lines


def _latencies(seen: dict[str, list[Answered]]) -> list[Line]:
    lines = []
    for what in ("p50", "p99"):
        of = {name: Sample(tuple(getattr(found, what) * 1e3 for found in all_)) for name, all_ in seen.items()}
        ratio = of["best"].median / of["keepfit"].median
        lines.append(
            Line(
                what=f"{what} of the same",
                ours=of["keepfit"],
                peer=of["best"],
                peer_is="ms, MLServer's best setting",
                ratio=ratio,
                unit="ms",
            )
        )
    return lines
