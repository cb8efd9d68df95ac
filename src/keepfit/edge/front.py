"""A front worker: one process that listens on the service's port and answers.

`python -m keepfit.edge.front JSON` is started by the runner, takes its orders (one JSON object a line: `prepare`,
`commit`, `discard`, `status`, `drain`) over an inherited socket, and ends when the runner ends.
"""

from __future__ import annotations

import asyncio
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
from keepfit.core.errors import KeepfitError, MissingExtra
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.serve.capture import Capture, ticker
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
    host: str
    port: int
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
            self._intake = Intake(
                Stream(root),
                LabelWriter(root, name),
                clock=clock,
                flush=self._capture.flush,
                grace=_GRACE if order.workers > 1 else 0.0,
            )
        self._application = Application(self._slot, now=ticker(clock), capture=self._capture, intake=self._intake)
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
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=self._order.channel))
        await self._load()
        server = self._server()
        serving = asyncio.create_task(server.serve())
        serving.add_done_callback(lambda _: self._ended.set())
        ticking = asyncio.create_task(self._tick())
        await self._listening()
        writer.write(json.dumps({"ready": True, "pid": os.getpid(), "fault": self._fault}).encode() + b"\n")
        obeying = asyncio.create_task(self._obey(reader, writer))
        obeying.add_done_callback(lambda _: self._ended.set())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ended.set)
        await self._ended.wait()
        ticking.cancel()
        server.stop()
        await asyncio.wait([serving], timeout=_DRAIN)
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

    def _server(self) -> Any:
        try:
            from granian.constants import HTTPModes, Interfaces
            from granian.server.embed import Server
        except ImportError as error:
            raise MissingExtra("granian", "serve") from error
        return Server(
            self._application,
            address=self._order.host,
            port=self._order.port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=2048,
            backpressure=2048,
            log_enabled=False,
        )

    async def _listening(self) -> None:
        """Return when this very process answers: on a port that workers share, only it can tell."""
        before = self._application.tally.requests
        while self._application.tally.requests == before:
            try:
                reader, writer = await asyncio.open_connection(self._order.host, self._order.port)
                writer.write(b"GET /v2/health/live HTTP/1.1\r\nhost: keepfit\r\nconnection: close\r\n\r\n")
                await asyncio.wait_for(reader.read(), 2.0)
                writer.close()
            except (OSError, TimeoutError):
                await asyncio.sleep(0.01)

    async def _tick(self) -> None:
        await self._keep()
        while True:
            await asyncio.sleep(1.0)
            self._application.tally.tick()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            said = json.loads(line)
            try:
                reply = {"ok": True, **await self._orders[said["do"]](said)}
            except KeepfitError as error:
                reply = {"ok": False, "code": error.code, "error": str(error)}
            except Exception as error:  # noqa: BLE001  # an order that fails must be answered, whatever went wrong
                _log.exception("front.order_failed order=%s", said["do"])
                reply = {"ok": False, "code": "internal", "error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps({"n": said["n"], **reply}).encode() + b"\n")
            if said["do"] == "drain":
                await writer.drain()
                return

    async def _on_prepare(self, said: dict[str, Any]) -> dict[str, Any]:
        await self._slot.prepare(said["version"], said["digest"])
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
        if self._capture:
            await asyncio.to_thread(self._capture.close)
        self._application.close()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(argv: list[str]) -> int:
    """Run one front worker by the Order in `argv[0]`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner says when to end
    try:
        import uvloop
    except ImportError as error:
        raise MissingExtra("uvloop", "serve") from error
    order = msgspec.json.decode(argv[0], type=Order)
    sys.setswitchinterval(0.0005)  # threads that load and record must not keep the one which answers waiting

    async def run() -> None:
        await Front(order).serve()

    uvloop.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
