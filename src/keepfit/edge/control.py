"""control: the process behind `keepfit up`: the API, the loop, and the only writer of the ledger."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import msgspec

from keepfit.core.clock import clock_from
from keepfit.core.errors import KeepfitError, MissingExtra, Unavailable
from keepfit.core.facts import Failed
from keepfit.core.places import Places
from keepfit.edge.apply import declared, locked, record
from keepfit.edge.guard import Guarded
from keepfit.edge.status import Histories
from keepfit.edge.telling import sentence
from keepfit.loop.executors import Executor, ProcessExecutor
from keepfit.loop.executors_ray import RayExecutor
from keepfit.loop.perform import Hands
from keepfit.loop.targets import Local, Target
from keepfit.loop.turn import Loop
from keepfit.store.ledger import Ledger

_IDLE = 0.1  # seconds between two turns in which nothing happened
_AFTER_FAILURE = 1.0  # seconds before a turn that failed is tried again

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a control process runs: its own port and the runner's (0: any free one), front workers, shared clock.

    `ray` is the address of the cluster where Runs run; empty for processes of this machine.
    """

    file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    runner_port: int = 0
    grpc_port: int = 0
    workers: int = 1
    clock: str = ""
    actor: str = "someone"
    ray: str = ""
    ray_without_token: bool = False


def up(places: Places, settings: Settings, tell: Tell) -> None:
    """Apply the file, start everything, and run until SIGTERM or SIGINT; `tell` gets one line per event."""
    try:
        import granian  # noqa: F401  # said now, before anything is started
        import starlette  # noqa: F401
    except ImportError as error:
        raise MissingExtra(error.name or "granian", "serve") from error
    with locked(places):
        hands = _hands(places, settings)
        if settings.file is not None:
            _apply(settings.file, hands, settings.actor, tell)
        try:
            asyncio.run(_serve(hands, settings, tell))
        finally:
            hands.ledger.close()


def _hands(places: Places, settings: Settings) -> Hands:
    target = Local(
        places=places,
        host=settings.host,
        port=settings.runner_port,
        grpc_port=settings.grpc_port,
        workers=settings.workers,
        clock=settings.clock,
    )
    return Hands(
        places=places,
        ledger=Ledger(places.ledger),
        clock=clock_from(settings.clock or None),
        executor=_executor(places, settings),
        target=target,
        new_id=lambda: uuid.uuid4().hex[:12],
    )


def _executor(places: Places, settings: Settings) -> Executor:
    if not settings.ray:
        return Guarded(ProcessExecutor(places), places)
    return RayExecutor(places, settings.ray, forced=settings.ray_without_token)


def _apply(path: Path, hands: Hands, actor: str, tell: Tell) -> None:
    for one in declared(path, hands.places):
        done = record(one.specification, hands.places, hands.ledger, actor=actor, clock=hands.clock)
        for line in (*one.notes, *(done.changes if not done.first else ())):
            tell(f"{one.service}: {line}")


async def _serve(hands: Hands, settings: Settings, tell: Tell) -> None:
    stop, running = Event(), asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, ended.set)
    turning = Thread(target=_turn_until, args=(stop, hands, tell), name="loop")
    async with _Door(hands, settings) as address:
        tell(f"keepfit {hands.places.root} is up: control at {address}, process {os.getpid()}")
        turning.start()
        await ended.wait()
        tell("stopping")
        stop.set()
        await asyncio.to_thread(turning.join)
        await asyncio.to_thread(_put_away, hands)


def _put_away(hands: Hands) -> None:
    """Stop the runners, which answer what they have begun."""
    for service in filter(None, hands.ledger.services()):
        _local(hands.target).stop(service)


def _turn_until(stop: Event, hands: Hands, tell: Tell) -> None:
    """The loop's thread: a failure becomes a fact, and the loop goes on."""
    loop = Loop(hands)
    teller = _Teller(hands, tell)
    told = ""
    while not stop.is_set():
        try:
            pause = 0.0 if loop.turn() else _IDLE
            told = ""
        except Exception as error:  # noqa: BLE001  # whatever it is, the loop must go on; it is recorded
            reason = f"{type(error).__name__}: {error}"
            if reason != told:
                _record_failure(reason, hands)
            told, pause = reason, _AFTER_FAILURE
        teller.go_on()
        stop.wait(pause)
    loop.close()


class _Teller:
    """Tells people what happens: the new facts, and where each Service can be asked."""

    def __init__(self, hands: Hands, tell: Tell) -> None:
        self._hands, self._tell = hands, tell
        self._seen = next((row.seq for row in hands.ledger.facts(newest=True, limit=1)), 0)
        self._addresses: dict[str, str] = {}
        self._looked = 0.0

    def go_on(self) -> None:
        """Tell what is new; a ledger or runner that cannot be read now is read the next time."""
        with suppress(KeepfitError):
            for row in self._hands.ledger.facts(after=self._seen):
                self._seen = row.seq
                line = sentence(row.fact)
                if line:
                    self._tell(f"{row.fact.time:%Y-%m-%d %H:%M:%S}  {line}")
            if time.monotonic() - self._looked > 1.0:
                self._looked = time.monotonic()
                for service in filter(None, self._hands.ledger.services()):
                    self._point_to(service)

    def _point_to(self, service: str) -> None:
        target = self._hands.target
        with suppress(Unavailable):
            address = _local(target).address(service)
            if self._addresses.get(service) != address and _local(target).process(service):
                self._addresses[service] = address
                self._tell(
                    f"{service}: POST {address}/predict and {address}/labels; Open Inference Protocol at {address}/v2"
                )


def _local(target: Target) -> Local:
    assert isinstance(target, Local)  # noqa: S101  # made by _hands
    return target


def _record_failure(reason: str, hands: Hands) -> None:
    try:
        hands.ledger.append(Failed(service="", time=hands.clock.now(), where="loop", reason=reason))
    except Exception as error:  # noqa: BLE001  # a ledger that cannot be written leaves only the console
        print(f"keepfit: the loop failed ({reason}), and so did recording it ({error})", file=sys.stderr, flush=True)


class _Door:
    """The API while it listens: `control.json` exists exactly as long."""

    def __init__(self, hands: Hands, settings: Settings) -> None:
        self._hands = hands
        self._settings = settings

    async def __aenter__(self) -> str:
        from granian.constants import Interfaces  # the `serve` extra
        from granian.server.embed import Server

        from keepfit.edge.api import application
        from keepfit.edge.desk import Desk

        hands, host, token = self._hands, self._settings.host, _token(self._hands.places.token)
        desk = Desk(
            places=hands.places,
            ledger=hands.ledger,
            clock=hands.clock,
            target=_local(hands.target),
            new_id=hands.new_id,
            histories=Histories(hands.ledger),
        )
        app = application(desk, token=token, process=os.getpid())
        with _reserved(host, self._settings.port) as port:
            self._server = Server(
                app, address=host, port=port, interface=Interfaces.ASGINL, log_enabled=False, websockets=False
            )
            self._serving = asyncio.create_task(self._server.serve())
            await self._listening(host, port)
        address = f"http://{host}:{port}"
        said = {"address": address, "pid": os.getpid(), "token": token}
        _write_private(hands.places.control, msgspec.json.encode(said))
        return address

    async def _listening(self, host: str, port: int) -> None:
        while not self._serving.done():
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                return
            await asyncio.sleep(0.01)
        await self._serving

    async def __aexit__(self, *error: object) -> None:
        self._hands.places.control.unlink(missing_ok=True)
        self._server.stop()  # type: ignore[no-untyped-call]  # granian's embedded server has no types
        await self._serving


@contextmanager
def _reserved(host: str, port: int) -> Iterator[int]:
    """Hold a port (a free one for 0) until the server, which also reuses ports, listens on it.

    A port that somebody listens on already is refused first: reusing it would share out its requests at random.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable(f"cannot listen on {host}:{port} ({error.strerror}); name another with --port") from error
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
        yield held.getsockname()[1]


def _token(path: Path) -> str:
    """The store's token, the same at every start: loggers and web hooks elsewhere have it in their settings."""
    with suppress(FileNotFoundError):
        if token := path.read_text(encoding="ascii").strip():
            return token
    token = secrets.token_urlsafe(32)
    _write_private(path, token.encode())
    return token


def _write_private(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(content)
    partial.replace(path)
