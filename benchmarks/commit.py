"""How long does a commit hold up a front worker, and how soon do all of them answer with the new Version, or the old?

Two front workers with capture on, 8 connections asking throughout, two ONNX models of 100 trees taking turns. By the
runner's own clock: `assign` is what the slowest worker's event loop was held up for, `commit` from the beginning of the
second phase (writing down what is committed, telling all workers) until the last one has said that it is done. By the
client's clock: a rollback while the Version before is resident, from the order to its acknowledgement. A swap that
nobody prepares beforehand, order to acknowledgement, is there for comparison, beside MLServer's reload of its model.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import mlserver, place
from benchmarks.harness import Line, Sample, either
from benchmarks.load import Client, request
from keepfit.core.places import Places

TURNS, CONNECTIONS, WORKERS = either(50, 5), 8, 2
PAUSE = 0.1  # seconds between an acknowledgement and the next order
Times = dict[str, list[float]]


class _Load:
    """A closed loop on a thread of its own, for as long as one is within."""

    def __init__(self, port: int) -> None:
        self._over = threading.Event()
        self._client = Client(port, [request(mlserver.INFER, body) for body in place.bodies()])
        self._thread = threading.Thread(target=self._client.closed, args=(CONNECTIONS, 0.0, self._over.is_set))

    def __enter__(self) -> None:
        self._thread.start()
        time.sleep(1.0)

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()
        if self._client.failed or self._client.broken:
            raise RuntimeError(f"{self._client.failed} answers were no 2xx, {self._client.broken} connections broke")


def _ours(places: Places) -> Times:
    digests = [place.bundle(places, seed) for seed in (0, 1, 2)]
    times: Times = {"assign": [], "commit": [], "swap": [], "rollback": []}
    with place.runner(places, workers=WORKERS) as served:
        for version in (1, 2, 3):
            served.swap(version, digests[version % 3])
        with _Load(served.port):
            for turn in range(TURNS):
                began = time.monotonic()
                said = served.swap(turn + 4, digests[(turn + 4) % 3])
                times["swap"].append((time.monotonic() - began) * 1e3)
                times["assign"].append(said["assign_seconds"] * 1e3)
                times["commit"].append(said["commit_seconds"] * 1e3)
                time.sleep(PAUSE)
                began = time.monotonic()
                served.target.back(place.SERVICE)
                times["rollback"].append((time.monotonic() - began) * 1e3)
                time.sleep(PAUSE)
    return times


def _theirs(folder: Path) -> list[float]:
    mlserver.train(folder)
    times = []
    with mlserver.started(mlserver.configure(folder / "best", mlserver.BEST, {}), [0, 1]) as port, _Load(port):
        url = f"http://127.0.0.1:{port}/v2/repository/models/bench/load"
        for _ in range(TURNS):
            began = time.monotonic()
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60):
                times.append((time.monotonic() - began) * 1e3)
            time.sleep(PAUSE)
    return times


def run() -> list[Line]:
    """All the turns of ours, then of the peer; the slowest of each kind is what counts."""
    with place.scratch() as name:
        folder = Path(name)
        ours, theirs = _ours(Places(folder / "store")), _theirs(folder)
    asked = (
        ("assign", "a worker held up by a commit", 1.0),
        ("commit", f"all {WORKERS} workers on the new Version", 100.0),
        ("rollback", "rollback, order to acknowledgement", 100.0),
    )
    lines = []
    for kind, what, most in asked:
        worst = float(np.quantile(ours[kind], 0.99))
        lines.append(
            Line(
                what=f"{what}, p99 of {len(ours[kind])}",
                ours=Sample((worst,)),
                unit="ms",
                reach=f"at most {most:g} ms",
                reached=worst <= most,
            )
        )
        lines.append(Line(what=f"{what}, median and range", ours=Sample(tuple(ours[kind])), unit="ms"))
    lines.append(
        Line(
            what="a swap, order to acknowledgement",
            ours=Sample(tuple(ours["swap"])),
            peer=Sample(tuple(theirs)),
            peer_is="ms, MLServer reloading in place",
            unit="ms",
        )
    )
    return lines
