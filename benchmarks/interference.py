"""How much slower is inference while a torch update trains on the same two cores, and how much slower the update?

A small network (layers of 200, as ONNX) answers 200 one-row requests a second, latency counted
from when a request was due, and then as many as eight connections can ask for, with capture on. The update is the
loop's own `train` step in its worker process: the same network, trained by Adam. The peer is the naive co-run: the
same training in an ordinary process with the library's default threads.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bundles, place, training
from benchmarks.harness import Line, Sample, either
from benchmarks.load import Client, request
from keepfit.core.places import Places
from keepfit.loop.executors import ProcessExecutor
from keepfit.loop.pipeline import Work

ROUNDS, RATE, SECONDS = either(5, 1), 200.0, either(12.0, 2.0)
CORES = [0, 1]


@contextmanager
def _updating(places: Places, work: Work, counted: Callable[[], int], granted: list[str]) -> Iterator[None]:
    """The worker of an update, past its imports and training."""
    executor, run = ProcessExecutor(places), f"run-{time.monotonic_ns()}"
    process = executor.start(run, work)
    try:
        training.trains(process, counted)
        granted.append((places.run(run) / "log").read_text().splitlines()[0])
        yield
        ended = executor.poll(run, process)
        if ended is not None:
            raise RuntimeError(f"the update ended before the measurement: {ended}")
    finally:
        executor.close()


@contextmanager
def _naively(count: Path, counted: Callable[[], int]) -> Iterator[None]:
    """The same training beside serving, without any care taken."""
    process = subprocess.Popen([sys.executable, "-c", training.naive(count)], stdout=subprocess.DEVNULL)
    try:
        training.trains(process.pid, counted)
        yield
    finally:
        place.end(process)


@dataclass
class _Measured:
    """What was measured in every round: p99 in ms, closed-loop answers a second, mini-batches a second."""

    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)


def run() -> list[Line]:
    """Alone, beside an update, beside the naive training, and the update alone, in turn."""
    requests = [request(f"/v2/models/{place.SERVICE}/infer", body) for body in place.bodies()]
    granted: list[str] = []
    found = {name: _Measured() for name in ("alone", "update", "naive", "unserved")}
    with place.scratch() as name, place.on_cores(CORES):
        places, count = Places(Path(name) / "store"), Path(name) / "count"
        counted, work = training.counter(count), training.work(places, count)
        digest = bundles.weighty(places, 0, layers=1, side=200)
        with place.runner(places) as served:
            served.swap(1, digest)

            def measure(name: str) -> None:
                began, before = time.monotonic(), counted()
                steady = Client(served.port, requests).steady(RATE, SECONDS)
                one = found[name]
                one.batches.append((counted() - before) / (time.monotonic() - began))
                closed = Client(served.port, requests).closed(8, SECONDS)
                if steady.failed or steady.broken or closed.failed or closed.broken:
                    raise RuntimeError(f"answers failed or connections broke: {steady} {closed}")
                one.p99.append(steady.p99 * 1e3)
                one.rate.append(closed.rate)

            Client(served.port, requests).closed(8, SECONDS)
            for _ in range(ROUNDS):
                measure("alone")
                with _updating(places, work, counted, granted):
                    before = counted()
                    time.sleep(SECONDS)
                    found["unserved"].batches.append((counted() - before) / SECONDS)
                    measure("update")
                with _naively(count, counted):
                    measure("naive")
    print(f"  granted to the update: {granted[-1]}")
    return _lines(found)


def _lines(found: dict[str, _Measured]) -> list[Line]:
    alone, update, naive = found["alone"], found["update"], found["naive"]
    p99, rate = Sample(tuple(alone.p99)).median, Sample(tuple(alone.rate)).median
    unserved = Sample(tuple(found["unserved"].batches)).median
    slower = Sample(tuple(value / p99 for value in update.p99))
    kept = Sample(tuple(value / rate for value in update.rate))
    speed = Sample(tuple(value / unserved for value in update.batches))
    beside = "beside the naive co-run"
    return [
        Line(
            what="p99 at 200 requests/s beside an update / alone",
            ours=slower,
            peer=Sample(tuple(value / p99 for value in naive.p99)),
            peer_is=beside,
            reach="at most 1.10",
            reached=slower.median <= 1.10,
        ),
        Line(
            what="closed-loop requests/s beside an update / alone",
            ours=kept,
            peer=Sample(tuple(value / rate for value in naive.rate)),
            peer_is=beside,
            reach="at least 0.97",
            reached=kept.median >= 0.97,
        ),
        Line(
            what="training speed at 200 requests/s / with nobody asking, one thread",
            ours=speed,
            peer=Sample(tuple(value / unserved for value in naive.batches)),
            peer_is="naive co-run, default threads",
            reach="at least 0.9",
            reached=speed.median >= 0.9,
        ),
        Line(what="p99 alone", ours=Sample(tuple(alone.p99)), unit="ms"),
        Line(
            what="p99 beside", ours=Sample(tuple(update.p99)), peer=Sample(tuple(naive.p99)), peer_is="naive", unit="ms"
        ),
        Line(what="requests/s alone, 8 connections", ours=Sample(tuple(alone.rate))),
    ]
