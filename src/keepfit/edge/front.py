"""A front worker: one process that listens on the service's port and answers.

`python -m keepfit.edge.front JSON` is started by the runner, takes its orders (one JSON object a line: `prepare`,
`commit`, `discard`, `status`, `drain`) over an inherited socket, and ends when the runner ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from keepfit.core.clock import clock_from
from keepfit.core.errors import KeepfitError
from keepfit.core.imports import stay_lean
from keepfit.core.nouns import Check, Placement
from keepfit.core.places import Places
from keepfit.core.registry import from_plain, to_plain
from keepfit.core.service import Serving
from keepfit.serve.capture import Capture, Limits, ticker
from keepfit.serve.courtesy import come_first
from keepfit.serve.events import Events
from keepfit.serve.http import Door
from keepfit.serve.intake import Intake
from keepfit.serve.latency import Latency
from keepfit.serve.measured import measured
from keepfit.serve.plane import OUT_OF_LINE, Plane
from keepfit.serve.routes import Application
from keepfit.serve.routing import Routing
from keepfit.serve.slot import Slots
from keepfit.store.blobs import Trees
from keepfit.store.streams import LabelWriter, SegmentWriter, Stream

if TYPE_CHECKING:
    from keepfit.serve.doors.grpc import GrpcDoor

_log = logging.getLogger(__name__)
_GRACE = 0.3  # seconds until a Record that another front worker answered is surely written
_LINE = 2**22  # bytes of one order or reply: the metrics of all front workers are one
_DRAIN = 25.0  # seconds that requests in flight may take when the worker ends


Placements = dict[int, Placement]


class Order(msgspec.Struct, frozen=True):
    """What a front worker is started with; `placements` by major, `grpc` the address that workers share for it."""

    store: str
    service: str
    listener: int
    channel: int
    index: int
    workers: int
    serving: dict[str, Any]
    placements: dict[int, Any]
    clock: str | None = None
    capture: bool = True
    grpc: str = ""


class Front:
    """The Slot, the capture and the server of one process, and the orders it takes."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._serving = from_plain(Serving, order.serving)
        places = Places(Path(order.store))
        clock = clock_from(order.clock)
        self._slots = Slots(order.service, Trees(places.trees).path, self._serving)
        self._capture: Capture | None = None
        self._shadow: Capture | None = None
        self._events: Events | None = None
        self._intake: Intake | None = None
        if order.capture:
            root, name = places.stream(order.service), f"w{order.index}"
            sample = self._serving.sample
            self._events = Events(self._serving.sink, order.service) if self._serving.sink else None
            self._capture = Capture(SegmentWriter(root, name), sample=sample, listener=self._events)
            shadow = SegmentWriter(places.shadow(order.service), name)
            self._shadow = Capture(shadow, limits=Limits(room=50_000, size=2**25), sample=sample, first=self._capture)
            self._labels = LabelWriter(root, name)
            self._intake = Intake(
                Stream(root),
                self._labels,
                clock=clock,
                flush=self._capture.flush,
                grace=_GRACE if order.workers > 1 else 0.0,
            )
        self._latency = _latency(places.deployment(order.service))
        self._plane = Plane(
            self._slots,
            now=ticker(clock),
            capture=self._capture,
            shadow=self._shadow,
            intake=self._intake,
            events=self._events,
        )
        application = Application(self._plane, everyone=self._everyone)
        self._door = Door(application.respond, limit=self._serving.body)
        self._writer: asyncio.StreamWriter
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count()
        self._fault = ""
        self._ended = asyncio.Event()
        self._orders: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "prepare": self._on_prepare,
            "commit": self._on_commit,
            "discard": self._on_discard,
            "status": self._on_status,
            "metrics": self._on_metrics,
            "drain": self._on_drain,
        }

    async def serve(self) -> None:
        """Load what is committed, listen, answer and obey until the runner ends or says `drain`."""
        channel = socket.socket(fileno=self._order.channel)
        reader, self._writer = await asyncio.open_connection(sock=channel, limit=_LINE)
        await self._load()
        if grpc := self._grpc():
            await grpc.start(self._order.grpc)
        await self._door.listen(socket.socket(fileno=self._order.listener))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ended.set)
        tasks = [asyncio.create_task(work) for work in (self._tick(), self._keep(), self._obey(reader))]
        gc.freeze()  # what is loaded now stays; what requests make is freed by counting, and need not be searched often
        gc.set_threshold(50_000, 20, 100)
        self._say({"ready": True, "fault": self._fault})
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(self._door.drain(_DRAIN), *([grpc.drain(_DRAIN)] if grpc else []))
        await self._close()

    def _grpc(self) -> GrpcDoor | None:
        """The gRPC door, where there is to be one; what it needs is loaded only then (20 MB)."""
        if not (self._serving.grpc and self._order.grpc):
            return None
        from keepfit.serve.doors.grpc import GrpcDoor

        return GrpcDoor(self._plane)

    async def _load(self) -> None:
        """What is committed answers again; without canary and shadow where these cannot be loaded any more."""
        wanted = _placements(self._order.placements)
        whole = {major: replace(placed, previous=None) for major, placed in wanted.items()}
        live = {major: Placement(placed.live) for major, placed in wanted.items()}
        for placements in (whole, live):
            try:
                await self._slots.prepare(placements)
            except KeepfitError as error:
                versions = ", ".join(f"v{placed.live.version}" for placed in wanted.values() if placed.live)
                self._fault = f"the committed {versions} cannot be loaded: {error}"
                _log.error("front.not_ready service=%s error=%s", self._order.service, error)
            else:
                self._slots.commit()
                return

    async def _keep(self) -> None:
        """The Versions before the live ones come back as well; serving does not wait for them."""
        await self._slots.keep(_placements(self._order.placements))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._plane.tally.tick()
            if self._latency:
                self._latency.tell(self._order.index, self._plane.tally.latest(0.99))
            self._slots.tick()
            self._door.tick()
            self._say({"counted": measured(self._plane), "pid": os.getpid()})  # for when this process is gone

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                said = json.loads(line)
                if said["do"] == "told":
                    self._asked.pop(said["n"]).set_result(said["text"])
                    continue
                self._say({"n": said["n"], **await self._obeyed(said)})
                if said["do"] == "drain":
                    break
        self._ended.set()

    async def _obeyed(self, said: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": True, **await self._orders[said["do"]](said)}
        except KeepfitError as error:
            return {"ok": False, "code": error.code, "error": str(error)}
        except Exception as error:  # noqa: BLE001  # an order that fails must be answered, whatever went wrong
            _log.exception("front.order_failed order=%s", said["do"])
            return {"ok": False, "code": "internal", "error": f"{type(error).__name__}: {error}"}

    def _say(self, what: dict[str, Any]) -> None:
        self._writer.write(json.dumps(what).encode() + b"\n")

    async def _everyone(self) -> str:
        """The metrics of all front workers, which only the runner can ask."""
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._say({"ask": number})
        return await self._asked[number]

    async def _on_prepare(self, said: dict[str, Any]) -> dict[str, Any]:
        await self._slots.prepare(_placements(said["placements"]))
        return {}

    async def _on_commit(self, said: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        self._slots.commit()
        self._fault = ""
        return {"seconds": time.perf_counter() - began}

    async def _on_discard(self, said: dict[str, Any]) -> dict[str, Any]:
        await self._slots.discard()
        return {}

    async def _on_metrics(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"pid": os.getpid(), "text": measured(self._plane)}

    async def _on_drain(self, said: dict[str, Any]) -> dict[str, Any]:
        self._say({"counted": measured(self._plane), "pid": os.getpid()})
        return {}

    async def _on_status(self, said: dict[str, Any]) -> dict[str, Any]:
        tally, slots = self._plane.tally, self._slots
        p50, p99 = (None if s is None else round(s * 1000, 3) for s in tally.percentiles(0.5, 0.99))
        first = slots.majors[1].live
        routings = [routing for deployment in slots.majors.values() for routing in deployment.all]
        return {
            "pid": os.getpid(),
            "version": first.version if first else None,
            "requests": tally.requests,
            "errors": tally.errors,
            "captured": self._capture.captured if self._capture else 0,
            "lost": self._capture.lost if self._capture else 0,
            "labels": self._intake.accepted if self._intake else 0,
            "mirrored": self._plane.mirrored,
            "unmirrored": self._plane.unmirrored,
            "p50_ms": p50,
            "p99_ms": p99,
            "leases": sum(routing.leases for routing in routings),
            "draining": slots.draining,
            "breaches": slots.breaches,
            "answered": tally.answered,
            "unchecked": [r.version for r in routings if self._serving.check != Check.OFF and r.screen is None],
            "out_of_line": [
                {**dict(zip(OUT_OF_LINE, kind, strict=True)), "rows": rows}
                for kind, rows in self._plane.out_of_line.items()
            ],
            "granted": [granted for routing in routings if (granted := _granted(routing))],
            "rss": _resident_bytes(),
            "fault": self._fault,
        }

    async def _close(self) -> None:
        await self._slots.close()
        if self._intake:
            await asyncio.to_thread(self._intake.close)
            await asyncio.to_thread(self._labels.close)
        for capture in (self._capture, self._shadow):
            if capture:
                await asyncio.to_thread(capture.close)
        if self._events:
            await asyncio.to_thread(self._events.close)
        if self._latency:
            self._latency.close()
        self._plane.close()


def _latency(deployment: Path) -> Latency | None:
    try:
        deployment.mkdir(parents=True, exist_ok=True)
        return Latency(deployment / "latency")
    except OSError as error:  # a full disk keeps nobody from answering
        _log.error("front.latency_untold error=%s", error)
        return None


def _placements(plain: dict[Any, Any]) -> Placements:
    return {int(major): from_plain(Placement, placed) for major, placed in plain.items()}


def _granted(routing: Routing) -> dict[str, Any] | None:
    """What the system granted to the process of a Version that has one."""
    granted = getattr(routing.predictor, "granted", None)
    return {"version": routing.version, **to_plain(granted)} if granted is not None else None


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(argv: list[str]) -> int:
    """Run one front worker by the Order in `argv[0]`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner says when to end
    order = msgspec.json.decode(argv[0], type=Order)
    sys.setswitchinterval(0.00005)  # threads that load and record must not keep the one which answers waiting
    stay_lean()

    come_first()

    async def run() -> None:
        await Front(order).serve()

    try:
        import uvloop
    except ImportError:  # not on every system, and only quicker
        asyncio.run(run())
    else:
        uvloop.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
