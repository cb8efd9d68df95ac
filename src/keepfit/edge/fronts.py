"""The front workers of a runner: started, asked, started again when they die, drained."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import logging
import socket
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Callable
from typing import Any

from keepfit.core.errors import KeepfitError, Refused, Unavailable
from keepfit.serve.exposition import Totals
from keepfit.serve.runtimes.memory import with_large_pages

_log = logging.getLogger(__name__)
_START = 120.0  # seconds a worker may take until it listens: loading a large model
_LINGER = 3.0  # seconds that a port may still be held by the workers of a runner which was killed
_DRAIN = 30.0  # seconds a worker may take to end


class _Worker:
    """One process and the line to it."""

    def __init__(self, index: int, listener: socket.socket) -> None:
        self.index = index
        self._listener = listener
        self.process: asyncio.subprocess.Process | None = None
        self.began = 0.0
        self.fault = ""
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None and self._writer is not None

    async def start(self, order: dict[str, Any], team: Fronts) -> None:
        """Start the process and wait until it listens; Unavailable where it does not."""
        self.began = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            files = {"listener": self._listener.fileno(), "channel": theirs.fileno()}
            said = json.dumps({**order, **files, "index": self.index})
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "keepfit.edge.front",
                said,
                pass_fds=list(files.values()),
                stdin=DEVNULL,
                env=with_large_pages(),
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=2**22)
        try:
            hello = await asyncio.wait_for(reader.readline(), _START)
        except (TimeoutError, ConnectionError):
            hello = b""
        if not hello:
            await self.end()
            raise Unavailable(f"front worker {self.index} ended before it listened; its log says why")
        self.fault = json.loads(hello)["fault"]
        self._listening = asyncio.create_task(self._listen(reader, team))

    async def ask(self, order: dict[str, Any], patience: float) -> dict[str, Any]:
        """The reply to an order; a worker that is gone or late replies `unavailable`."""
        number = next(self._numbers)
        reply = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            if not self.alive or self._writer is None:
                raise ConnectionError("it is not running")
            self._writer.write(json.dumps({**order, "n": number}).encode() + b"\n")
            return await asyncio.wait_for(reply, patience)
        except (TimeoutError, ConnectionError) as error:
            reason = str(error) or f"no reply within {patience:g} s"
            return {"ok": False, "code": "unavailable", "error": f"front worker {self.index}: {reason}"}
        finally:
            self._waiting.pop(number, None)

    async def retire(self) -> None:
        """Have it answer what it has begun, and end."""
        await self.ask({"do": "drain"}, 2.0)
        await self.end(_DRAIN)

    async def end(self, patience: float = 0.0) -> None:
        """Let the process end within `patience` seconds, then kill it."""
        process = self.process
        self._hang_up()
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), patience)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _listen(self, reader: asyncio.StreamReader, team: Fronts) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                reply = json.loads(line)
                if "ask" in reply:
                    self._telling = asyncio.create_task(self._tell(reply["ask"], team))
                    continue
                if "counted" in reply:
                    team.totals.hear(reply["pid"], reply["counted"])
                    continue
                waiting = self._waiting.get(reply.get("n"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        self._hang_up()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("it ended"))
        if self.process is not None:
            team.totals.forget(self.process.pid)
        team.fell()

    async def _tell(self, number: int, team: Fronts) -> None:
        replies = await team.ask({"do": "metrics"}, patience=2.0)
        for reply in replies:
            if reply["ok"]:
                team.totals.hear(reply["pid"], reply["text"])
        text = str(team.totals)
        if self._writer is not None:
            self._writer.write(json.dumps({"do": "told", "n": number, "text": text}).encode() + b"\n")


class Fronts:
    """All front workers of one port; `order` is what each is started with, besides what it has to load.

    `grpc` keeps the port of the gRPC doors, which the workers open by themselves.

    The listening sockets belong to the runner: callers who come while a worker is started again wait, and are not
    refused.
    """

    def __init__(
        self, order: dict[str, Any], listeners: list[socket.socket], grpc: socket.socket | None = None
    ) -> None:
        self.host, self.port = listeners[0].getsockname()[:2]
        self.grpc_port = grpc.getsockname()[1] if grpc else None
        self._grpc = grpc
        host = f"[{self.host}]" if ":" in self.host else self.host
        self._order = {**order, "workers": len(listeners), "grpc": f"{host}:{self.grpc_port}" if grpc else ""}
        self._listeners = listeners
        self._workers = [_Worker(index, listener) for index, listener in enumerate(listeners)]
        self._fallen = asyncio.Event()
        self.totals = Totals(time.time())

    async def start(self, resident: Callable[[], dict[str, Any]]) -> None:
        """Start all; Unavailable where one does not come up."""
        await asyncio.gather(*(worker.start({**self._order, **resident()}, self) for worker in self._workers))

    def fell(self) -> None:
        """A worker tells that its line closed."""
        self._fallen.set()

    async def fallen(self) -> None:
        """Return when a worker died."""
        await self._fallen.wait()
        self._fallen.clear()

    async def raise_fallen(self, resident: Callable[[], dict[str, Any]]) -> None:
        """Start dead workers again, each at most once a second."""
        for worker in self._workers:
            if worker.alive and worker.process is not None and not await _gone(worker.process):
                continue
            code = worker.process.returncode if worker.process else None
            _log.error("front.died index=%d code=%s", worker.index, code)
            await worker.end()
            await asyncio.sleep(max(0.0, worker.began + 1.0 - time.monotonic()))
            try:
                await worker.start({**self._order, **resident()}, self)
            except Unavailable as error:
                _log.error("front.not_started index=%d error=%s", worker.index, error)
                self._fallen.set()

    async def renew(
        self, changed: dict[str, Any], resident: Callable[[], dict[str, Any]], *, together: bool = True
    ) -> None:
        """Start every worker anew with a changed order, one after the other; callers notice nothing.

        The sockets stay open meanwhile. The new worker listens before the old one ends or, unless `together`, after,
        so that only ever one holds a model. Refused, and all is as before, where a new one cannot answer.
        """
        order = {**self._order, **changed}
        for place, old in enumerate(self._workers):
            if not together:
                await old.retire()
            new = _Worker(old.index, self._listeners[place])
            try:
                await new.start({**order, **resident()}, self)
                if new.fault:
                    raise Refused(new.fault, code="serving")
            except KeepfitError:
                await asyncio.gather(new.retire(), *(worker.retire() for worker in self._workers[:place]))
                self._fallen.set()  # those which have ended are started again as they were
                raise
            self._workers[place] = new
            if together:
                await old.retire()
        self._order = order

    async def ask(
        self, order: dict[str, Any], *, patience: float = 280.0, or_end: bool = False
    ) -> list[dict[str, Any]]:
        """The replies of all that run; `or_end` kills the ones which give none, so that they start afresh."""
        asked = [worker for worker in self._workers if worker.alive]
        replies = await asyncio.gather(*(worker.ask(order, patience) for worker in asked))
        if or_end:
            for worker, reply in zip(asked, replies, strict=True):
                if not reply["ok"]:
                    _log.error("front.hung index=%d error=%s", worker.index, reply["error"])
                    await worker.end()
                    self._fallen.set()
        return list(replies)

    async def drain(self) -> None:
        """Let every worker answer what it has begun, and end."""
        for listener in self._listeners:
            listener.close()
        await asyncio.gather(*(worker.retire() for worker in self._workers))


async def _gone(process: asyncio.subprocess.Process) -> bool:
    """Whether a process whose line may have closed is really gone, waiting a moment for the system to say so."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.05)
    return process.returncode is not None


def listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets of one port, one per worker, bound and not yet listening; Unavailable where another process has it.

    More than one share the port by SO_REUSEPORT, whoever binds it that way: so it is first taken alone.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    first = _bound(family, address, shared=False)
    if count == 1:
        return [first]
    address = first.getsockname()
    first.close()
    return [_bound(family, address, shared=True) for _ in range(count)]


def reserved(host: str, port: int) -> socket.socket:
    """A socket that keeps a port for workers which listen on it by themselves; it never listens."""
    first = listeners(host, port, 1)[0]
    address = first.getsockname()
    first.close()
    return _bound(first.family, address, shared=True)


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    # Always: connections inherit it, and those of a runner that was killed would keep the port from the next one.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    deadline = time.monotonic() + _LINGER
    while True:
        try:
            listener.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                listener.close()
                raise Unavailable(
                    f"port {address[1]} of {address[0]} cannot be had: {error.strerror}", code="port_taken"
                ) from error
            time.sleep(0.05)  # workers of a runner that was killed just now let go of it when they notice
        else:
            return listener
