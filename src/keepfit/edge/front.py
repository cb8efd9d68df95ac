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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core.clock import clock_from
from keepfit.core.errors import KeepfitError
from keepfit.core.imports import do_without
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.serve.capture import Capture, ticker
from keepfit.serve.http import Door
from keepfit.serve.intake import Intake
from keepfit.serve.routes import Application
from keepfit.serve.slot import Slot
from keepfit.store.blobs import Trees
from keepfit.store.streams import LabelWriter, SegmentWriter, Stream

_log = logging.getLogger(__name__)
_GRACE = 0.3  # seconds until a Record that another front worker answered is surely written
_DRAIN = 25.0  # seconds that requests in flight may take when the worker ends


class Resident(msgspec.Struct, frozen=True):
    """A Version to have loaded."""

    version: int
    digest: Digest


class Order(msgspec.Struct, frozen=True):
    """What a front worker is started with."""

    store: str
    service: str
    listener: int
    channel: int
    index: int
    workers: int
    clock: str | None = None
    capture: bool = True
    live: Resident | None = None
    previous: Resident | None = None


class Front:
    """The Slot, the capture and the server of one process, and the orders it takes."""

    def __init__(self, order: Order) -> None:
        self._order = order
        places = Places(Path(order.store))
        clock = clock_from(order.clock)
        self._slot = Slot(order.service, Trees(places.trees).path)
        self._capture: Capture | None = None
        self._intake: Intake | None = None
        if order.capture:
            root, name = places.stream(order.service), f"w{order.index}"
            self._capture = Capture(SegmentWriter(root, name))
            self._labels = LabelWriter(root, name)
            self._intake = Intake(
                Stream(root),
                self._labels,
                clock=clock,
                flush=self._capture.flush,
                grace=_GRACE if order.workers > 1 else 0.0,
            )
        self._application = Application(
            self._slot,
            now=ticker(clock),
            capture=self._capture,
            intake=self._intake,
            everyone=self._everyone if order.workers > 1 else None,
        )
        self._door = Door(self._application.respond)
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
        reader, self._writer = await asyncio.open_connection(sock=socket.socket(fileno=self._order.channel))
        await self._load()
        await self._door.listen(socket.socket(fileno=self._order.listener))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ended.set)
        tasks = [asyncio.create_task(work) for work in (self._tick(), self._keep(), self._obey(reader))]
        gc.freeze()  # what is loaded now stays; what requests make is freed by counting, and need not be searched often
        gc.set_threshold(50_000, 20, 100)
        self._say({"ready": True, "fault": self._fault})
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        await self._door.drain(_DRAIN)
        await self._close()

    async def _load(self) -> None:
        live = self._order.live
        if live is None:
            return
        try:
            await self._slot.prepare(live.version, live.digest)
            self._slot.commit(live.version)
        except KeepfitError as error:
            self._fault = f"the committed v{live.version} cannot be loaded: {error}"
            _log.error("front.not_ready service=%s error=%s", self._order.service, error)

    async def _keep(self) -> None:
        """The Version before the live one comes back as well; serving does not wait for it."""
        previous = self._order.previous
        if previous is None or self._slot.live is None:
            return
        try:
            await self._slot.keep(previous.version, previous.digest)
        except KeepfitError as error:
            _log.warning("front.previous_lost version=%s error=%s", previous.version, error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._application.tally.tick()
            self._door.tick()

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
        await self._slot.prepare(said["version"], said["digest"], back=said["back"])
        return {}

    async def _on_commit(self, said: dict[str, Any]) -> dict[str, Any]:
        self._slot.commit(said["version"])
        self._fault = ""
        return {}

    async def _on_discard(self, said: dict[str, Any]) -> dict[str, Any]:
        await self._slot.discard()
        return {}

    async def _on_metrics(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"text": self._application.metrics()}

    async def _on_drain(self, said: dict[str, Any]) -> dict[str, Any]:
        return {}

    async def _on_status(self, said: dict[str, Any]) -> dict[str, Any]:
        tally, live = self._application.tally, self._slot.live
        p50, p99 = (None if s is None else round(s * 1000, 3) for s in tally.percentiles(0.5, 0.99))
        resident = [routing for routing in (live, self._slot.previous) if routing]
        return {
            "pid": os.getpid(),
            "version": live.version if live else None,
            "requests": tally.requests,
            "errors": tally.errors,
            "captured": self._capture.captured if self._capture else 0,
            "lost": self._capture.lost if self._capture else 0,
            "labels": self._intake.accepted if self._intake else 0,
            "p50_ms": p50,
            "p99_ms": p99,
            "leases": sum(routing.leases for routing in resident),
            "rss": _resident_bytes(),
            "fault": self._fault,
        }

    async def _close(self) -> None:
        await self._slot.close()
        if self._intake:
            await asyncio.to_thread(self._intake.close)
            await asyncio.to_thread(self._labels.close)
        if self._capture:
            await asyncio.to_thread(self._capture.close)
        self._application.close()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(argv: list[str]) -> int:
    """Run one front worker by the Order in `argv[0]`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner says when to end
    order = msgspec.json.decode(argv[0], type=Order)
    sys.setswitchinterval(0.00005)  # threads that load and record must not keep the one which answers waiting
    do_without("pandas")

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
