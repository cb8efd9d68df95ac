"""How long after serving has passed its budget does the trainer stand still?

From the moment a front worker's p99 above the budget is told to the moment the kernel says that the worker's process
(a torch update) is stopped. The worker is watched by a new guard each time, at a random moment.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import place, training
from benchmarks.harness import Line, Sample, either
from keepfit.core.places import Places
from keepfit.edge.guard import Guarded
from keepfit.loop.executors import ProcessExecutor
from keepfit.serve.latency import Latency

TIMES = either(200, 3)
BUDGET = 0.010


def _state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def _until(ready: Callable[[], bool]) -> float:
    """Seconds until it is so, to half a millisecond."""
    began = time.perf_counter()
    while not ready():
        if time.perf_counter() - began > 30.0:
            raise RuntimeError("the guard did not act within half a minute")
        time.sleep(0.0005)  # the guard is a thread of this very process
    return time.perf_counter() - began


def _once(places: Places, latency: Latency, process: int) -> float:
    latency.tell(0, BUDGET / 2)
    executor = Guarded(ProcessExecutor(places), places)
    try:
        executor.poll("bench", process)
        _until(lambda: _state(process) != "T")
        time.sleep(0.05 + random.random() * 0.1)
        if _state(process) == "T":
            raise RuntimeError("the trainer stood still before serving was over its budget")
        latency.tell(0, BUDGET * 5)
        return _until(lambda: _state(process) == "T") * 1e3
    finally:
        executor.close()


def run() -> list[Line]:
    """Many breaches of one budget."""
    with place.scratch() as name:
        places, count = Places(Path(name) / "store"), Path(name) / "count"
        deployment = places.deployment(place.SERVICE)
        deployment.mkdir(parents=True)
        (deployment / "runner.json").write_text(json.dumps({"pid": 0, "serving": {"p99": BUDGET}}))
        latency = Latency(deployment / "latency")
        executor = ProcessExecutor(places)
        try:
            process = executor.start("bench", training.work(places, count))
            training.trains(process, training.counter(count))
            found = [_once(places, latency, process) for _ in range(TIMES)]
        finally:
            executor.close()
    p99 = float(np.quantile(found, 0.99))
    return [
        Line(
            what=f"from a breach told to the trainer stopped, p99 of {TIMES}",
            ours=Sample((p99,)),
            unit="ms",
            reach="at most 50 ms",
            reached=p99 <= 50.0,
        ),
        Line(what="the same, all of them", ours=Sample(tuple(found)), unit="ms"),
    ]
