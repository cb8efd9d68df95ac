"""Do 200 swaps under 8 connections lose, break or mix up an answer, and what do they cost in latency and memory?

Two models of one Signature take turns in a runner with capture on; every answer must name a Version, come from that
Version's model to the last digit, and, when asked after a swap was acknowledged, from no earlier Version. An answer
counts as swapping when any of its time lies between an order and its acknowledgement; steady are the seconds before
the first and after the last swap. Memory (RSS of all the runner's processes) is the median of these same seconds before
and after, under the same load: what waits to be written down makes it rise and fall by a tenth. The peer is MLServer
(in process) reloading its model in place.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from benchmarks import mlserver, place
from benchmarks.harness import Line, Sample, either, interleave
from benchmarks.load import Answered, Client, request
from keepfit.core.places import Places
from keepfit.serve.loading import load
from keepfit.store.blobs import Trees

ROUNDS, SWAPS, CONNECTIONS = either(3, 1), either(200, 10), 8
RELOADS = either(20, 3)
CALM = either(6.0, 1.0)  # seconds of steady load before and after
PAUSE = 0.1  # seconds between an acknowledgement and the next order


@dataclass
class Watch:
    """What the answers say: which Version gave each, and whether its numbers are that Version's."""

    digests: dict[int, str]
    expected: dict[str, list[dict[str, Any]]]
    versions: list[int] = field(default_factory=list)

    def check(self, turn: int, head: bytes, body: bytes) -> bool:
        """Whether version, digest and numbers belong together; called once per 2xx answer."""
        said = msgspec.json.decode(body)
        version, digest = int(said["model_version"]), said["parameters"]["digest"]
        self.versions.append(version)
        if self.digests.get(version) != digest or b"keepfit-bundle: " + digest.encode() not in head.lower():
            return False
        outputs = {output["name"]: output["data"][0] for output in said["outputs"]}
        right = self.expected[digest][turn]
        near = abs(outputs["probability"] - right["probability"]) < 1e-6
        return bool(outputs["prediction"] == right["prediction"] and near)


@dataclass
class Swapped:
    """When each swap was ordered and acknowledged, by the monotonic clock, and what went wrong."""

    ordered: list[float] = field(default_factory=list)
    replied: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    fault: str = ""

    def watch(self, memory: Callable[[], float], over: threading.Event) -> None:
        """Look at the memory five times a second."""
        while not over.wait(0.2):
            self.memory.append((time.monotonic(), memory()))

    @property
    def growth(self) -> float:
        """Memory after the last swap over memory before the first."""
        before = [size for at, size in self.memory if at < self.ordered[0]]
        after = [size for at, size in self.memory if at > self.replied[-1]]
        return float(np.median(after) / np.median(before))

    def run(self, swap: Callable[[int], None], count: int) -> None:
        """Order so many swaps, with a pause between them, after a calm while and with one after it."""
        time.sleep(CALM)
        try:
            for turn in range(count):
                self.ordered.append(time.monotonic())
                swap(turn)
                self.replied.append(time.monotonic())
                time.sleep(PAUSE)
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.fault = f"{type(error).__name__}: {error}"
        time.sleep(CALM)

    def during(self, found: Answered) -> Any:
        """Which answers were under way between an order and its acknowledgement."""
        ends = found.sent + found.latency
        first = np.searchsorted(self.replied, found.sent, side="left")
        return (first < len(self.ordered)) & (np.append(self.ordered, np.inf)[first] <= ends)

    def steady(self, found: Answered) -> Any:
        """Which answers came before the first or were asked for after the last swap."""
        return (found.sent + found.latency < self.ordered[0]) | (found.sent > self.replied[-1])


@dataclass
class Outcome:
    """One round's numbers."""

    answers: Answered
    stale: int
    steady: float
    swapping: float
    growth: float


def _under_load(client: Client, swap: Callable[[int], None], count: int, process: int) -> tuple[Answered, Swapped]:
    swapped, over = Swapped(), threading.Event()
    thread = threading.Thread(target=swapped.run, args=(swap, count))
    looking = threading.Thread(target=swapped.watch, args=(lambda: _memory(process), over))
    thread.start()
    looking.start()
    found = client.closed(CONNECTIONS, 2 * CALM + count * (PAUSE + 0.1), until=lambda: not thread.is_alive())
    thread.join()
    over.set()
    looking.join()
    if swapped.fault:
        raise RuntimeError(f"swap {len(swapped.ordered)} failed: {swapped.fault}")
    return found, swapped


def _p99(latency: np.ndarray) -> float:
    return float(np.quantile(latency, 0.99)) * 1e3


def _memory(process: int) -> float:
    family = [psutil.Process(process)]
    family += family[0].children(recursive=True)
    return float(sum(member.memory_info().rss for member in family))


def _expected(places: Places, digests: list[str], bodies: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    rows = np.array([json.loads(body)["inputs"][0]["data"] for body in bodies], dtype=np.float32)
    expected = {}
    for digest in digests:
        _, predictor = load(Trees(places.trees).path(digest))
        outputs = predictor.predict({"x": rows})
        expected[digest] = [{name: float(values[i]) for name, values in outputs.items()} for i in range(len(rows))]
        predictor.close()
    return expected


def _keepfit(places: Places, digests: list[str], bodies: list[bytes]) -> Outcome:
    numbers = {number: digests[number % 2] for number in range(1, SWAPS + 20)}
    watch = Watch(numbers, _expected(places, digests, bodies))
    with place.runner(places) as served:
        first = int((served.target.status(place.SERVICE)["live"] or {}).get("version", 0))
        numbers.update({first + number: digests[number % 2] for number in range(1, SWAPS + 20)})

        def swap(turn: int) -> None:
            version = first + 11 + turn
            served.swap(version, numbers[version])

        for turn in range(-10, 0):
            swap(turn)
        warm = Client(served.port, [request(served.path, body) for body in bodies])
        warm.closed(CONNECTIONS, either(10.0, 1.0))
        client = Client(served.port, [request(served.path, body) for body in bodies], watch.check)
        found, swapped = _under_load(client, swap, SWAPS, served.process.pid)
    due = np.concatenate([[first + 10], first + 11 + np.arange(SWAPS)])[np.searchsorted(swapped.replied, found.sent)]
    stale = int((np.array(watch.versions) < due).sum()) if len(watch.versions) == len(found.sent) else -1
    latency = found.latency
    calm, busy = _p99(latency[swapped.steady(found)]), _p99(latency[swapped.during(found)])
    return Outcome(found, stale, calm, busy, swapped.growth)


def _peer(folder: Path, bodies: list[bytes]) -> Outcome:
    with mlserver.started(folder, [0, 1]) as port:

        def reload(turn: int) -> None:
            order = urllib.request.Request(f"http://127.0.0.1:{port}/v2/repository/models/bench/load", method="POST")
            with urllib.request.urlopen(order, timeout=60):
                pass

        requests = [request(mlserver.INFER, body) for body in bodies]
        Client(port, requests).closed(CONNECTIONS, 2.0)
        found, swapped = _under_load(Client(port, requests), reload, RELOADS, os.getpid())
    latency = found.latency
    return Outcome(found, 0, _p99(latency[swapped.steady(found)]), _p99(latency[swapped.during(found)]), 1.0)


def run() -> list[Line]:
    """Rounds of ours and of the peer in turn; sums of what went wrong, medians of the rest."""
    bodies, seen = place.bodies(), dict[str, list[Outcome]]()
    with place.scratch() as name:
        folder = Path(name)
        places = Places(folder / "store")
        digests = [place.bundle(places, seed) for seed in (0, 1)]
        mlserver.train(folder)
        best = mlserver.configure(folder / "best", mlserver.BEST, {})

        def noting(kind: str, measure: Callable[[], Outcome]) -> Callable[[], float]:
            def ratio() -> float:
                outcome = measure()
                seen.setdefault(kind, []).append(outcome)
                return outcome.swapping / outcome.steady

            return ratio

        ratios = interleave(
            ROUNDS,
            {
                "keepfit": noting("keepfit", lambda: _keepfit(places, digests, bodies)),
                "peer": noting("peer", lambda: _peer(best, bodies)),
            },
        )
    return [*_faults(seen), *_costs(seen, ratios)]


def _faults(seen: dict[str, list[Outcome]]) -> list[Line]:
    ours, theirs = seen["keepfit"], seen["peer"]
    sent = sum(outcome.answers.requests for outcome in ours)
    counted: dict[str, Callable[[Outcome], int]] = {
        "non-2xx answers": lambda outcome: outcome.answers.failed,
        "broken connections": lambda outcome: outcome.answers.broken,
        "torn answers": lambda outcome: outcome.answers.torn,
        "answers of a Version already replaced": lambda outcome: outcome.stale,
    }
    lines = []
    for what, count in counted.items():
        total = Sample((float(sum(count(outcome) for outcome in ours)),))
        checked = what in ("non-2xx answers", "broken connections")
        lines.append(
            Line(
                what=f"{what}, {SWAPS * len(ours)} swaps, {sent:,} requests",
                ours=total,
                peer=Sample((float(sum(count(outcome) for outcome in theirs)),)) if checked else None,
                peer_is=f"MLServer, {RELOADS * len(theirs)} reloads" if checked else "",
                reach="0",
                reached=total.median == 0,
            )
        )
    return lines


def _costs(seen: dict[str, list[Outcome]], ratios: dict[str, Sample]) -> list[Line]:
    ours, theirs = seen["keepfit"], seen["peer"]
    growth = Sample(tuple(outcome.growth for outcome in ours))
    lines = [
        Line(
            what="p99 while swapping / steady",
            ours=ratios["keepfit"],
            peer=ratios["peer"],
            peer_is="MLServer reloading in place",
            ratio=ratios["peer"].median / ratios["keepfit"].median,
            reach="at most 1.5",
            reached=ratios["keepfit"].median <= 1.5,
        ),
        Line(
            what=f"memory after / before {SWAPS} swaps",
            ours=growth,
            reach="at most 1.05",
            reached=growth.median <= 1.05,
        ),
    ]
    for what in ("steady", "swapping"):
        lines.append(
            Line(
                what=f"p99 {what}",
                ours=Sample(tuple(getattr(outcome, what) for outcome in ours)),
                peer=Sample(tuple(getattr(outcome, what) for outcome in theirs)),
                peer_is="ms, MLServer",
                unit="ms",
            )
        )
    return lines
