"""Do 1,000 swaps under HTTP and gRPC load on two front workers lose, tear or take from under somebody one answer?

Models that show it take turns: code in the serving process that answers at once, and code there that takes 4 ms (so
that requests of it are under way on threads when it is replaced), and, every 50th swap, code in a child process that
takes 4 ms. Each answers with its own salt, half of it read before and half after the wait, and with a mark that is
wiped out when the model is let go; a child that was let go is killed, and what it was asked comes back as a failure.
Kept-alive HTTP connections (4) and gRPC connections (4) ask in closed loops throughout; an answer asked for after an
acknowledgement must not be of an earlier Version.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import bundles, echo, h2, inline, mlserver, place
from benchmarks.harness import Line, Sample, either
from benchmarks.load import Answered, Client, Link, request
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.service import Serving
from keepfit.serve.wire.protocol import messages

SWAPS, EVERY = either(1_000, 20), either(50, 10)  # every so many swaps a model in a child process
CONNECTIONS, WORKERS = 4, 2
PAUSE = 0.02  # seconds between an acknowledgement and the next order
WAIT = 0.004  # seconds that the slow models take for an answer


@dataclass
class Seen:
    """What one door's answers say: which Version gave each, and how many were wrong in which way."""

    salts: dict[int, int]
    versions: list[int] = field(default_factory=list)
    torn: int = 0
    used: int = 0

    def check(self, x: int, version: int, answer: int, mark: int) -> bool:
        """Whether an answer is whole, of the Version that it names, and of a model that was there."""
        self.versions.append(version)
        self.used += mark != bundles.ALIVE
        fine = answer == x * bundles.TEN + self.salts[version]
        self.torn += not fine
        return fine and mark == bundles.ALIVE

    def http(self, turn: int, head: bytes, body: bytes) -> bool:
        """Check an answer in JSON."""
        said = json.loads(body)
        values = {output["name"]: output["data"][0] for output in said["outputs"]}
        return self.check(turn, int(said["model_version"]), values["answer"], values["mark"])

    def grpc(self, turn: int, head: bytes, body: bytes) -> bool:
        """Check an answer in protobuf."""
        said = messages()["ModelInferResponse"].FromString(body)
        raw = said.raw_output_contents
        values = {
            output.name: int(np.frombuffer(raw[i], "<i8")[0]) if raw else output.contents.int64_contents[0]
            for i, output in enumerate(said.outputs)
        }
        return self.check(turn, int(said.model_version), values["answer"], values["mark"])

    def stale(self, found: Answered, replied: Sequence[float]) -> int:
        """Answers of a Version that was replaced before they were asked for; the first Version is number 1."""
        due = 1 + np.searchsorted(np.array(replied), found.sent)
        return int((np.array(self.versions) < due).sum())


def _digests(places: Places) -> Callable[[int], tuple[Digest, int]]:
    """The Bundle and the salt of each Version; the one before is never the same."""
    here = [(bundles.code(places, salt, inline=True), salt) for salt in (11, 22)]
    slow = [(bundles.code(places, salt, inline=True, pause=WAIT), salt) for salt in (33, 44)]
    apart = [(bundles.code(places, salt, inline=False, pause=WAIT), salt) for salt in (55, 66)]

    def of(version: int) -> tuple[Digest, int]:
        if version % EVERY == 0:
            return apart[version // EVERY % 2]
        return (here if version % 2 else slow)[version // 2 % 2]

    return of


def _json(x: int) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [x]}]}).encode()


def _message(x: int) -> bytes:
    asked = messages()["ModelInferRequest"](model_name=place.SERVICE)
    asked.inputs.add(name="x", datatype="INT64", shape=[1]).contents.int64_contents.append(x)
    return bytes(asked.SerializeToString())


def run() -> list[Line]:
    """One long run; sums of what went wrong."""
    with place.scratch() as name:
        folder = Path(name)
        places = Places(folder / "store")
        of = _digests(places)
        salts = {version: of(version)[1] for version in range(1, SWAPS + 2)}
        environment = inline.plugged(folder)
        with place.runner(places, workers=WORKERS, serving=Serving(grpc=True), environment=environment) as served:
            served.swap(1, of(1)[0])
            doors = {
                "HTTP": _Door(served.port, [request(mlserver.INFER, _json(x)) for x in range(100)], Seen(salts)),
                "gRPC": _Door(
                    served.grpc_port, [h2.call(echo.METHOD, _message(x)) for x in range(100)], Seen(salts), h2.Stream
                ),
            }
            replied = _swapped(served, of, list(doors.values()))
            breaches = sum(worker["breaches"] for worker in served.target.status(place.SERVICE)["workers"])
    return _lines(doors, replied, breaches)


class _Door:
    """A closed loop on a thread of its own."""

    def __init__(self, port: int, requests: Sequence[bytes], seen: Seen, link: type[Link] = Link) -> None:
        self.seen = seen
        self.answered: Answered
        check = seen.grpc if link is h2.Stream else seen.http
        self._client = Client(port, requests, check, link)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        self.answered = self._client.closed(CONNECTIONS, 0.0, until=self._over.is_set)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End, once what is under way is answered."""
        self._over.set()
        self._thread.join()


def _swapped(served: place.Served, of: Callable[[int], tuple[Digest, int]], doors: list[_Door]) -> list[float]:
    """When each swap was acknowledged, by the monotonic clock."""
    replied: list[float] = []
    for door in doors:
        door.start()
    try:
        for version in range(2, SWAPS + 2):
            served.swap(version, of(version)[0])
            replied.append(time.monotonic())
            time.sleep(PAUSE)
    finally:
        for door in doors:
            door.stop()
    return replied


def _lines(doors: dict[str, _Door], replied: list[float], breaches: int) -> list[Line]:
    sent = " and ".join(f"{door.answered.requests:,} {name}" for name, door in doors.items())
    counted: dict[str, Callable[[_Door], int]] = {
        "failed answers": lambda door: door.answered.failed,
        "broken connections": lambda door: door.answered.broken,
        "torn answers": lambda door: door.seen.torn,
        "answers of a model that was let go": lambda door: door.seen.used,
        "answers of a Version already replaced": lambda door: door.seen.stale(door.answered, replied),
    }
    lines: list[Any] = []
    for what, count in counted.items():
        total = Sample((float(sum(count(door) for door in doors.values())),))
        lines.append(
            Line(what=f"{what}, {SWAPS:,} swaps, {sent} requests", ours=total, reach="0", reached=total.median == 0)
        )
    versions = len({version for door in doors.values() for version in door.seen.versions})
    lines.append(Line(what="Versions that answered", ours=Sample((float(versions),)), peer_is=f"of {SWAPS + 1:,}"))
    lines.append(Line(what="drains over their limit", ours=Sample((float(breaches),)), reach="0", reached=not breaches))
    return lines
