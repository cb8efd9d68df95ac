"""What does it cost the live Version's slowest answers that another one is being loaded and warmed up beside it?

200 one-row requests a second to a runner with capture on, GradientBoosting as ONNX; latency counts from when a request
was due, server and client share two cores. The other Version comes into the canary slot, which is given no share of the
requests: a Python model in a child process whose load computes for 8 s, and ONNX graphs of 205 MB (proved in a process
of their own, then loaded in the serving process), one after the other for as long. The peer is MLServer, in process,
loading a second model whose load computes for 8 s.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import bundles, mlserver, place
from benchmarks.harness import Line, Sample, either, interleave
from benchmarks.load import Client, request
from keepfit.core.nouns import Digest
from keepfit.core.places import Places

ROUNDS, RATE = either(3, 1), 200.0
SECONDS, COMPUTED = either(8.0, 2.0), either(8.0, 2.0)
CORES = [0, 1]
SLOW = f"""
import time
from mlserver import MLModel

class Slow(MLModel):
    async def load(self):
        until = time.process_time() + {COMPUTED}
        while time.process_time() < until:
            sum(range(1000))
        return True
"""


class _Orders:
    """Versions that come and go in the canary slot while the live one is measured."""

    def __init__(self, served: place.Served) -> None:
        self._served = served
        self._version = 1

    def bring(self, digest: Digest) -> None:
        """Another Version in, as new as can be, and out again."""
        self._version += 1
        self._served.swap(self._version, digest, slot="canary")
        self._served.target.clear(place.SERVICE, "canary")


@contextmanager
def _meanwhile(work: Callable[[], None], *, again: bool) -> Iterator[None]:
    """Have work done beside, once or until the end; RuntimeError where it failed or did not last."""
    fault: list[Exception] = []
    over, began, ended = threading.Event(), time.monotonic(), [0.0]

    def done() -> None:
        try:
            work()
            while again and not over.is_set():
                work()
        except Exception as error:  # noqa: BLE001 - told by the main thread
            fault.append(error)
        ended[0] = time.monotonic()

    thread = threading.Thread(target=done)
    thread.start()
    yield
    over.set()
    thread.join()
    if fault:
        raise RuntimeError(f"loading beside failed: {fault[0]}")
    if ended[0] - began < 0.8 * SECONDS:
        raise RuntimeError(f"loading beside was over after {ended[0] - began:.1f} of {SECONDS:g} s")


def _slow(folder: Path) -> Path:
    """MLServer with `bench`, and `slow` in its repository; neither loaded by itself."""
    configured = mlserver.configure(folder / "best", {**mlserver.BEST, "load_models_at_startup": False}, {})
    (configured / "slow").mkdir()
    (configured / "slow" / "model-settings.json").write_text(
        json.dumps({"name": "slow", "implementation": "slow.Slow"})
    )
    (configured / "slow.py").write_text(SLOW)
    return configured


def _order(port: int, model: str, what: str) -> None:
    url = f"http://127.0.0.1:{port}/v2/repository/models/{model}/{what}"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=120):
        pass


def _p99(port: int, *, ours: bool = True) -> float:
    """The p99 in milliseconds; what the peer fails at or breaks is not its latency, and is left out."""
    found = Client(port, [request(mlserver.INFER, body) for body in place.bodies()]).steady(RATE, SECONDS)
    if ours and (found.failed or found.broken):
        raise RuntimeError(f"{found.failed} answers were no 2xx, {found.broken} connections broke")
    return found.p99 * 1e3


def run() -> list[Line]:
    """Alone, beside each kind of loading, and the peer alone and beside, in turn."""
    with place.scratch() as name, place.on_cores(CORES):
        folder = Path(name)
        places = Places(folder / "store")
        live = place.bundle(places)
        heavy = [bundles.weighty(places, seed, either(bundles.LAYERS, 2)) for seed in range(ROUNDS)]
        mlserver.train(folder)
        command: list[str | Path] = [mlserver.python(), mlserver.python().parent / "mlserver", "start", "."]
        configured = _slow(folder)
        with (
            place.runner(places) as served,
            place.server(command, port=mlserver.PORT, path="/v2/health/live", cores=CORES, folder=configured) as peer,
        ):
            _order(peer, "bench", "load")
            served.swap(1, live)
            orders, rounds = _Orders(served), iter(range(1000))

            def beside_code() -> float:
                digest = bundles.slow(places, next(rounds), COMPUTED)
                with _meanwhile(lambda: orders.bring(digest), again=False):
                    return _p99(served.port)

            def beside_graphs() -> float:
                turn = itertools.cycle(heavy)
                with _meanwhile(lambda: orders.bring(next(turn)), again=True):
                    return _p99(served.port)

            def peer_beside() -> float:
                with _meanwhile(lambda: _order(peer, "slow", "load"), again=False):
                    found = _p99(peer, ours=False)
                _order(peer, "slow", "unload")
                return found

            measured: dict[str, Callable[[], float]] = {
                "alone": lambda: _p99(served.port),
                "code": beside_code,
                "graphs": beside_graphs,
                "peer": lambda: _p99(peer, ours=False),
                "peer beside": peer_beside,
            }
            measured["alone"]()
            found = interleave(ROUNDS, measured)
    return _lines(found)


def _lines(found: dict[str, Sample]) -> list[Line]:
    alone, theirs = found["alone"].median, found["peer"].median
    lines: list[Any] = []
    for kind, what in (("code", f"a Python model which loads for {COMPUTED:g} s"), ("graphs", "ONNX graphs of 205 MB")):
        ratio = found[kind].median / alone
        lines.append(
            Line(
                what=f"p99 beside {what} / alone",
                ours=Sample(tuple(value / alone for value in found[kind].values)),
                peer=Sample(tuple(value / theirs for value in found["peer beside"].values)),
                peer_is=f"{mlserver.IS}, in process, a model which loads for {COMPUTED:g} s",
                ratio=found["peer beside"].median / theirs / ratio,
                reach="at most 1.2",
                reached=ratio <= 1.2,
            )
        )
    for kind, other, what in (("alone", "peer", "p99 alone"), ("code", "peer beside", "p99 beside a Python model")):
        lines.append(Line(what=what, ours=found[kind], peer=found[other], peer_is="ms, MLServer", unit="ms"))
    return [*lines, Line(what="p99 beside ONNX graphs", ours=found["graphs"], unit="ms")]
