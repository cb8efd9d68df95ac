"""The door: wishes for another protocol, and callers who keep a connection without using it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from keepfit.serve import http
from keepfit.serve.http import Door
from keepfit.serve.messages import JSON, Answer, Request

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Door], Coroutine[Any, Any, Any]]
CLOSE = b"connection: close\r\n"


def respond(request: Request) -> Answer:
    """Says what it got."""
    body = request.body.replace(b"\r\n", b"|").replace(b"HTTP", b"http")
    return Answer(200, JSON, b"%s %s %s." % (request.method.encode(), request.path.encode(), body))


def talk(conversation: Talk) -> Any:
    """Run one conversation with a door."""

    async def run() -> Any:
        door = Door(respond, limit=1000)
        listener = socket.create_server(("127.0.0.1", 0))
        await door.listen(listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            return await asyncio.wait_for(conversation(reader, writer, door), 20)
        finally:
            writer.close()
            await door.drain(0.0)

    return asyncio.run(run())


def said(data: bytes, *, piece: int = 0) -> list[bytes]:
    """The bodies of the answers to `data`, which may be sent in pieces."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        for at in range(0, len(data), piece or len(data)):
            writer.write(data[at : at + (piece or len(data))])
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read()

    return [part.rpartition(b"\r\n\r\n")[2] for part in talk(conversation).split(b"HTTP/1.1 ")[1:]]


WISH = b"POST /up HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAE\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: evil\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"


@pytest.mark.parametrize("piece", [0, 1, 7, 100])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_body_of_a_wish_is_its_body(piece: int, chunked: bool) -> None:
    """What looks like a request there is none: Java's client sends such wishes with every first body."""
    framing = b"content-length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN)
    if chunked:
        framing = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    found = said((WISH + framing) * 2 + LAST, piece=piece)
    assert found == [b"POST /up GET /hidden http/1.1|host: evil||."] * 2 + [b"GET /last ."]


def test_a_wish_without_a_body_is_a_request() -> None:
    """And what follows it is the next one; an empty body is one too."""
    get = WISH.replace(b"POST", b"GET") + b"\r\n"
    found = said(get + WISH + b"content-length: 0\r\n\r\n" + get + LAST)
    assert found == [b"GET /up .", b"POST /up .", b"GET /up .", b"GET /last ."]


def test_a_wish_to_close_is_kept() -> None:
    """After the body of the wish nothing is read."""
    wish = WISH.replace(b"Upgrade, ", b"Upgrade, close, ")
    assert said(wish + b"content-length: 2\r\n\r\n[]" + LAST) == [b"POST /up []."]


def test_thousands_of_wishes_at_once() -> None:
    """Are no deeper than one."""
    get = b"GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    assert len(said(get * 3000 + LAST)) == 3001


def test_trailers_are_no_headers() -> None:
    """A chunked body's last lines do not change how it is read."""
    head = b"POST /t HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n" + CLOSE
    assert said(head + b"\r\n2\r\nab\r\n0\r\ncontent-encoding: gzip\r\nhost: y\r\n\r\n") == [b"POST /t ab."]


@pytest.mark.parametrize(
    "drip",
    [
        b"GET /" + b"a" * 400,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 80,
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n",
    ],
    ids=["target", "headers", "body"],
)
def test_dripping_does_not_buy_time(monkeypatch: pytest.MonkeyPatch, drip: bytes) -> None:
    """A byte now and then is no progress: the whole request has one deadline (slowloris)."""
    monkeypatch.setattr(http, "_PATIENCE", 0.1)

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        answer = asyncio.ensure_future(reader.read())
        writer.write(drip)
        while not answer.done():
            writer.write(b"a")
            door.tick()
            await asyncio.wait([answer], timeout=0.01)
        return await answer

    assert talk(conversation).startswith(b"HTTP/1.1 408 ")


def test_who_asks_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a request is closed after a long while, not before."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        writer.write(b"GET /first HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"GET /first .")
        door.tick()
        assert not writer.transport.is_closing()
        assert len(door.connections) == 1
        monkeypatch.setattr(http, "_IDLE", -1.0)
        door.tick()
        return await reader.read()

    assert talk(conversation) == b""


def test_who_reads_no_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are not kept for ever for a caller who takes none."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bool:
        writer.transport.pause_reading()
        while not any(connection._choked for connection in door.connections):
            writer.write(b"GET /%s HTTP/1.1\r\nhost: x\r\n\r\n" % (b"p" * 5000) * 50)
            await asyncio.sleep(0.001)
        door.tick()
        assert door.connections
        monkeypatch.setattr(http, "_PATIENCE", -1.0)
        door.tick()
        (connection,) = door.connections
        return connection._transport.is_closing()

    assert talk(conversation)
