"""The runner: keeps the front workers of one Deployment alive and swaps Versions on all of them at once.

`python -m keepfit.edge.runner --store ROOT --service NAME` reserves the port, starts the workers and takes orders on a
Unix socket (`core.places.admin_socket`), one JSON object a line: `status`, `swap`, `clear`, `rollback`, `serving`,
`stop`. Which Versions are committed is one small file (`edge.committed`). It never opens the ledger and knows nothing
of training.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keepfit.core.errors import Conflict, Invalid, KeepfitError, Refused, StorageFault, Unavailable
from keepfit.core.nouns import Held, Placement, Preserve, SlotName
from keepfit.core.places import Places, admin_socket
from keepfit.core.registry import from_plain, to_plain
from keepfit.core.service import Serving
from keepfit.edge.committed import (
    Placements,
    back,
    beside,
    cleared,
    plain,
    read_committed,
    swapped,
    write,
    write_committed,
)
from keepfit.edge.fronts import Fronts, listeners, reserved
from keepfit.edge.proofs import Proofs
from keepfit.store.blobs import Trees

_log = logging.getLogger(__name__)
_COMMIT = 10.0  # seconds a worker has for one assignment before it is taken for hung and started again


class Runner:
    """One Deployment: its committed Version, its front workers, its orders."""

    def __init__(self, places: Places, service: str, fronts: Fronts, proofs: Proofs) -> None:
        self._service = service
        self._deployment = places.deployment(service)
        self._fronts = fronts
        self._proofs = proofs
        self._serving = proofs.serving
        self._began = ""
        self._committed = read_committed(self._deployment)
        self._turn = asyncio.Lock()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Start the workers, take orders, and end in good order when told to."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self._fronts.start(self._resident)
        door = admin_socket(self._deployment)
        door.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        door.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._visited, door)
        keeping = asyncio.create_task(self._keep())
        self._began = datetime.now(UTC).isoformat()
        self._announce()
        _log.info("runner.started service=%s port=%d pid=%d", self._service, self._fronts.port, os.getpid())
        await self._stop.wait()
        server.close()
        keeping.cancel()
        async with self._turn:
            await self._fronts.drain()
        door.unlink(missing_ok=True)
        _log.info("runner.stopped service=%s", self._service)

    def _announce(self) -> None:
        """Write down where this runner is, and how it serves."""
        address = {"pid": os.getpid(), "port": self._fronts.port, "host": self._fronts.host, "started": self._began}
        address |= {"grpc_port": self._fronts.grpc_port if self._serving.grpc else None}
        write(self._deployment / "runner.json", {**address, "serving": to_plain(self._serving)})

    def _resident(self) -> dict[str, Any]:
        """What a worker that starts now has to load."""
        return {"placements": plain(self._committed)}

    async def _keep(self) -> None:
        """Start dead workers again, never in the middle of a swap."""
        while True:
            await self._fronts.fallen()
            async with self._turn:
                await self._fronts.raise_fallen(self._resident)

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(json.dumps(await self._answered(line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answered(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **await self._obeyed(_order(line))}
        except KeepfitError as error:
            return {"ok": False, "code": error.code, "error": str(error)}
        except Exception as error:  # noqa: BLE001  # an order that fails must be answered, whatever went wrong
            _log.exception("runner.order_failed order=%r", line)
            return {"ok": False, "code": "internal", "error": f"{type(error).__name__}: {error}"}

    async def _obeyed(self, order: dict[str, Any]) -> dict[str, Any]:
        match order.get("do"):
            case "status":
                return await self._status()
            case "swap":
                wish = _wish(order)
                async with self._turn:
                    return await self._become(wish.major, wish.placed(self._placed(wish.major)))
            case "clear":
                slot, major = _slot(order), _major(order)
                async with self._turn:
                    return await self._clear(slot, major)
            case "rollback":
                major = _major(order)
                async with self._turn:
                    return await self._become(major, back(self._placed(major)))
            case "serving":
                serving = from_plain(Serving, order.get("serving", {}))
                async with self._turn:
                    return await self._serve(serving)
            case "stop":
                self._stop.set()
                return {}
        raise Invalid(f"unknown order {order.get('do')!r}; there are status, swap, clear, rollback, serving, stop")

    def _placed(self, major: int) -> Placement:
        return self._committed.get(major, Placement())

    async def _clear(self, slot: SlotName, major: int) -> dict[str, Any]:
        """Empty the canary or shadow Slot; a major beside the first one goes with its live Slot."""
        if slot is not SlotName.LIVE:
            return await self._become(major, cleared(self._placed(major), slot))
        if major == 1:
            raise Conflict("the live slot is never emptied; swap another version in", code="live_slot")
        return await self._become(major, None)

    async def _serve(self, serving: Serving) -> dict[str, Any]:
        """Have all front workers serve another way."""
        began = time.perf_counter()
        sparing = Preserve.RESOURCES in (self._serving.preserve, serving.preserve)
        if serving != self._serving:
            await self._fronts.renew({"serving": to_plain(serving)}, self._resident, together=not sparing)
            self._serving = serving
            self._proofs.settle(serving)
            self._announce()
        return {"serving": to_plain(serving), "seconds": round(time.perf_counter() - began, 6)}

    async def _become(self, major: int, placed: Placement | None) -> dict[str, Any]:
        """Have all front workers hold this, in two phases; None takes the major away."""
        began = time.perf_counter()
        before = self._committed
        wanted = {m: p for m, p in before.items() if m != major} | ({major: placed} if placed else {})
        await self._proofs.admit(wanted, before)
        await self._prepare(wanted)
        prepared = time.perf_counter()
        if wanted != before:
            await self._commit(wanted)
        replies = await self._fronts.ask({"do": "commit"}, patience=_COMMIT, or_end=True)
        committed = time.perf_counter()
        self._fronts.totals.count("keepfit_swaps_total", "Swaps committed on all front workers.", service=self._service)
        _log.info("slots.swapped service=%s before=%s after=%s", self._service, _told(before), _told(wanted))
        return {
            **self._said(),
            "prepare_seconds": round(prepared - began, 6),
            "commit_seconds": round(committed - prepared, 6),
            "assign_seconds": max((reply["seconds"] for reply in replies if reply["ok"]), default=0.0),
        }

    async def _prepare(self, wanted: Placements) -> None:
        replies = await self._fronts.ask({"do": "prepare", "placements": plain(wanted)})
        bad = next((reply for reply in replies if not reply["ok"]), None)
        if bad or not replies:
            await self._fronts.ask({"do": "discard"})
            if not bad:
                raise Unavailable("no front worker is running; they are being started")
            raise Refused(bad["error"], code=bad["code"])

    async def _commit(self, placements: Placements) -> None:
        """From here on these answer, whatever happens; StorageFault where that could not be written down."""
        try:
            await asyncio.to_thread(write_committed, self._deployment, placements)
        except OSError as error:
            if read_committed(self._deployment) != placements:
                await self._fronts.ask({"do": "discard"})
                raise StorageFault(f"the swap cannot be written down ({error}); nothing was changed") from error
        self._committed = placements

    def _said(self) -> dict[str, Any]:
        """What the Slots hold: those of the first major by name, and all."""
        first = to_plain(self._placed(1))
        return {**first, "majors": plain(self._committed)}

    async def _status(self) -> dict[str, Any]:
        replies = await self._fronts.ask({"do": "status"}, patience=2.0)
        workers = [{k: v for k, v in reply.items() if k not in ("ok", "n")} for reply in replies if reply["ok"]]
        name = {"service": self._service, "pid": os.getpid(), "port": self._fronts.port}
        return {**name, **self._said(), "models": self._proofs.used(self._committed), "workers": workers}


@dataclass(frozen=True)
class _Wish:
    """A Version to be put into a Slot."""

    held: Held
    slot: SlotName
    major: int
    share: float
    key: str

    def placed(self, before: Placement) -> Placement:
        if self.slot is SlotName.LIVE:
            return swapped(before, self.held)
        return beside(before, self.slot, self.held, share=self.share, key=self.key)


def _wish(order: dict[str, Any]) -> _Wish:
    version, digest = order.get("version"), order.get("digest")
    if type(version) is not int or version < 1 or not isinstance(digest, str):
        raise Invalid("swap: expected a version number and a digest")
    share, key = order.get("share", 0.0), order.get("key", "")
    if not isinstance(share, int | float) or not 0.0 <= share <= 1.0 or not isinstance(key, str):
        raise Invalid(
            f"swap: expected a share between 0 and 1 and the name of an input as key, found {share!r}, {key!r}"
        )
    return _Wish(Held(version, digest), _slot(order), _major(order), float(share), key)


def _slot(order: dict[str, Any]) -> SlotName:
    found = order.get("slot", "live")
    if found not in {slot.value for slot in SlotName}:
        raise Invalid(f"there is no slot {found!r}; there are: {', '.join(SlotName)}")
    return SlotName(found)


def _major(order: dict[str, Any]) -> int:
    major = order.get("major", 1)
    if type(major) is not int or not 1 <= major < 1000:
        raise Invalid(f"a major is a whole number from 1, found {major!r}")
    return major


def _told(placements: Placements) -> str:
    return " ".join(f"{major}:{placed.live.version if placed.live else '-'}" for major, placed in placements.items())


def _order(line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
    except ValueError as error:
        raise Invalid(f"an order is one JSON object a line: {error}", code="invalid_json") from error
    if not isinstance(order, dict):
        raise Invalid("an order is one JSON object a line", code="invalid_json")
    return order


@contextlib.contextmanager
def _alone(deployment: Path) -> Any:
    """Hold the Deployment: two runners of one would swap against each other."""
    deployment.mkdir(parents=True, exist_ok=True)
    with (deployment / "runner.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another runner already serves {deployment}; stop it first", code="running") from error
        yield


def main(argv: list[str]) -> int:
    """Run one Deployment until SIGTERM; 0 after a good end, 1 with one line on stderr where it could not start."""
    parser = argparse.ArgumentParser(prog="keepfit runner")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--grpc-port", type=int, default=0, help="where Serving.grpc is set")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clock", default=None)
    parser.add_argument("--no-capture", action="store_true")
    parser.add_argument("--serving", default="{}", help="a Serving as JSON")
    said = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    places = Places(said.store.resolve())
    try:
        with _alone(places.deployment(said.service)):
            sockets = listeners(said.host, said.port, said.workers)
            grpc = reserved(said.host, said.grpc_port)
            order = {"store": str(places.root), "service": said.service, "clock": said.clock}
            serving = _serving(said.serving)
            order |= {"capture": not said.no_capture, "serving": to_plain(serving)}
            proofs = Proofs(said.service, Trees(places.trees).path, serving, said.workers)
            asyncio.run(_run(places, said.service, Fronts(order, sockets, grpc), proofs))
    except KeepfitError as error:
        print(f"keepfit runner: {error}", file=sys.stderr)
        return 1
    return 0


def _serving(text: str) -> Serving:
    try:
        return from_plain(Serving, json.loads(text))
    except ValueError as error:
        raise Invalid(f"--serving: expected a JSON object: {error}", code="invalid_json") from error


async def _run(places: Places, service: str, fronts: Fronts, proofs: Proofs) -> None:
    await Runner(places, service, fronts, proofs).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
