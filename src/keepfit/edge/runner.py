"""The runner: keeps the front workers of one Deployment alive and swaps Versions on all of them at once.

`python -m keepfit.edge.runner --store ROOT --service NAME` reserves the port, starts the workers and takes orders on a
Unix socket (`core.places.admin_socket`), one JSON object a line: `status`, `swap`, `rollback`, `stop`. Which Version is
committed is one small file, renamed into place between the two phases of a swap: whatever is killed at whatever moment,
after a restart exactly that Version answers. It never opens the ledger and knows nothing of training.
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
from keepfit.core.places import Places, admin_socket
from keepfit.edge.fronts import Fronts, listeners

_log = logging.getLogger(__name__)
_COMMIT = 10.0  # seconds a worker has for one assignment before it is taken for hung and started again


@dataclass(frozen=True)
class Committed:
    """What answers, and what answered before; `previous` None where there is none."""

    version: int
    digest: str
    previous: dict[str, Any] | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """The Version alone."""
        return {"version": self.version, "digest": self.digest}


def read_committed(deployment: Path) -> Committed | None:
    """What is committed, None before the first swap; Refused where the file is damaged."""
    path = deployment / "committed.json"
    try:
        found = json.loads(path.read_bytes())
        return Committed(int(found["version"]), str(found["digest"]), found["previous"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is damaged ({error}); remove it and swap a version in again", code="corrupt") from error


def write_committed(deployment: Path, committed: Committed) -> None:
    """Make `committed` what answers after any crash: written beside, fsynced, renamed, directory fsynced."""
    _write(deployment / "committed.json", {**committed.plain, "previous": committed.previous})


def _write(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Runner:
    """One Deployment: its committed Version, its front workers, its orders."""

    def __init__(self, places: Places, service: str, fronts: Fronts) -> None:
        self._service = service
        self._deployment = places.deployment(service)
        self._fronts = fronts
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
        address = {"pid": os.getpid(), "port": self._fronts.port, "host": self._fronts.host}
        _write(self._deployment / "runner.json", {**address, "started": datetime.now(UTC).isoformat()})
        _log.info("runner.started service=%s port=%d pid=%d", self._service, self._fronts.port, os.getpid())
        await self._stop.wait()
        server.close()
        keeping.cancel()
        async with self._turn:
            await self._fronts.drain()
        door.unlink(missing_ok=True)
        _log.info("runner.stopped service=%s", self._service)

    def _resident(self) -> dict[str, Any]:
        """What a worker that starts now has to load."""
        committed = self._committed
        return {"live": committed and committed.plain, "previous": committed and committed.previous}

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
                version, digest = order.get("version"), order.get("digest")
                if type(version) is not int or version < 1 or not isinstance(digest, str):
                    raise Invalid("swap: expected a version number and a digest")
                async with self._turn:
                    return await self._swap(version, digest)
            case "rollback":
                async with self._turn:
                    previous = self._committed and self._committed.previous
                    if not previous:
                        raise Conflict("there is no previous version to go back to", code="no_previous")
                    return await self._swap(previous["version"], previous["digest"])
            case "stop":
                self._stop.set()
                return {}
        raise Invalid(f"unknown order {order.get('do')!r}; there are status, swap, rollback, stop")

    async def _swap(self, version: int, digest: str) -> dict[str, Any]:
        began = time.perf_counter()
        live, wanted = self._committed, {"version": version, "digest": digest}
        back = live is not None and live.previous == wanted
        replies = await self._fronts.ask({"do": "prepare", **wanted, "back": back})
        bad = next((reply for reply in replies if not reply["ok"]), None)
        if bad or not replies:
            await self._fronts.ask({"do": "discard"})
            if not bad:
                raise Unavailable("no front worker is running; they are being started")
            raise Refused(bad["error"], code=bad["code"])
        prepared = time.perf_counter()
        if live is None or live.plain != wanted:
            await self._commit(Committed(version, digest, live.plain if live else None))
        await self._fronts.ask({"do": "commit", "version": version}, patience=_COMMIT, or_end=True)
        committed = time.perf_counter()
        _log.info("slot.swapped service=%s before=%s after=%d", self._service, live and live.version, version)
        return {
            **self._resident(),
            "prepare_seconds": round(prepared - began, 6),
            "commit_seconds": round(committed - prepared, 6),
        }

    async def _commit(self, committed: Committed) -> None:
        """From here on the Version answers, whatever happens; StorageFault where that could not be written down."""
        try:
            await asyncio.to_thread(write_committed, self._deployment, committed)
        except OSError as error:
            if read_committed(self._deployment) != committed:
                await self._fronts.ask({"do": "discard"})
                raise StorageFault(f"the swap cannot be written down ({error}); nothing was changed") from error
        self._committed = committed

    async def _status(self) -> dict[str, Any]:
        replies = await self._fronts.ask({"do": "status"}, patience=2.0)
        workers = [{k: v for k, v in reply.items() if k not in ("ok", "n")} for reply in replies if reply["ok"]]
        resident = self._resident()
        return {"service": self._service, "pid": os.getpid(), "port": self._fronts.port, **resident, "workers": workers}


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
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clock", default=None)
    parser.add_argument("--no-capture", action="store_true")
    said = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    places = Places(said.store.resolve())
    try:
        with _alone(places.deployment(said.service)):
            sockets = listeners(said.host, said.port, said.workers)
            order = {"store": str(places.root), "service": said.service, "clock": said.clock}
            asyncio.run(_run(places, said.service, Fronts({**order, "capture": not said.no_capture}, sockets)))
    except KeepfitError as error:
        print(f"keepfit runner: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(places: Places, service: str, fronts: Fronts) -> None:
    await Runner(places, service, fronts).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
