"""The door: HTTP/1.1 as clients of all kinds speak it, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from keepfit.serve import http
from keepfit.serve.http import Door
from keepfit.serve.messages import JSON, Answer, Request

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Door], Coroutine[Any, Any, Any]]


def respond(request: Request) -> Answer | Awaitable[Answer]:
    """Says what it got; `/slow` and `/quick` are answered later, after different times."""
    method, path, body = request.method, request.path, request.body
    answer = Answer(200, JSON, b"%s %s %d" % (method.encode(), path.encode(), len(body)))
    if path in ("/slow", "/quick"):
        return _later(answer, 0.1 if path == "/slow" else 0.0)
    return answer


async def _later(answer: Answer, seconds: float) -> Answer:
    await asyncio.sleep(seconds)
    return answer


def talk(conversation: Talk, *, limit: int = 1000) -> Any:
    """Run one conversation with a door."""

    async def run() -> Any:
        door = Door(respond, limit=limit)
        listener = socket.create_server(("127.0.0.1", 0))
        await door.listen(listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            return await asyncio.wait_for(conversation(reader, writer, door), 20)
        finally:
            writer.close()
            await door.drain(0.0)

    return asyncio.run(run())


def said(data: bytes, *, limit: int = 1000) -> bytes:
    """Everything the door says to `data` until it closes; the last request must ask for that."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        writer.write(data)
        return await reader.read()

    found: bytes = talk(conversation, limit=limit)
    return found


CLOSE = b"connection: close\r\n"


def post(path: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s" % (path, more, len(body), body)


def test_one_request() -> None:
    """The answer has status, length, date, the body, and the connection stays open unless it is to close."""
    found = said(post(b"/a?b=c", b"xyz", CLOSE))
    assert found.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-length: 9\r\n" in found
    assert b"\r\ndate: " in found
    assert found.endswith(b"\r\n\r\nPOST /a 3")


def test_requests_of_one_connection_are_answered_in_order() -> None:
    """Also when they come all at once, and a later one is ready earlier."""
    found = said(post(b"/slow", b"1") + post(b"/quick", b"22") + post(b"/now", b"333") + post(b"/z", b"", CLOSE))
    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in found.split(b"HTTP/1.1 ")[1:]]
    assert bodies == [b"POST /slow 1", b"POST /quick 2", b"POST /now 3", b"POST /z 0"]


def test_bytes_may_come_one_by_one() -> None:
    """However the network cuts a request up, it is one request."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        for byte in post(b"/drip", b"xyz", CLOSE):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read()

    assert talk(conversation).endswith(b"POST /drip 3")


def test_chunked_bodies() -> None:
    """A body of unknown length is received whole."""
    head = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n" + CLOSE
    assert said(head + b"\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").endswith(b"POST /c 7")


def test_old_and_head_requests() -> None:
    """HTTP/1.0 closes by itself; HEAD gets the headers alone; the absolute form of a target is understood."""
    assert said(b"GET /old HTTP/1.0\r\n\r\n").endswith(b"GET /old 0")
    found = said(b"HEAD /h HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n")
    assert found.endswith(b"\r\n\r\n")
    assert b"content-length: 8" in found
    assert said(b"GET http://x:80/abs HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n").endswith(b"GET /abs 0")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_body_is_refused_after_it_was_received(chunked: bool) -> None:
    """413 with a machine code, whether the length was told or not, and the connection serves on."""
    body = b"x" * 5000
    if chunked:
        long = b"POST /l HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1388\r\n" + body + b"\r\n0\r\n\r\n"
    else:
        long = post(b"/l", body)
    found = said(long + post(b"/next", b"ok", CLOSE))
    assert found.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in found
    assert found.endswith(b"POST /next 2")


def test_an_endless_body_is_cut_off() -> None:
    """Sixteen times the limit is received, and no more."""
    found = said(post(b"/l", b"x" * 20_000) + b"more")
    assert found.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in found


def test_endless_headers_are_cut_off() -> None:
    """Headers are not received without an end."""
    found = said(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 200_000)
    assert found.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -3\r\n\r\nabc",
    ],
)
def test_what_is_no_http_is_refused(nonsense: bytes) -> None:
    """Noise, TLS, and lengths that two readers could read differently end in 400 and a closed connection."""
    found = said(nonsense)
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_http"' in found


def test_another_protocol_is_not_granted() -> None:
    """A wish to upgrade is answered as the HTTP/1.1 request it is."""
    wish = b"GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    found = said(wish + post(b"/next", b"", CLOSE))
    assert b"GET /up 0" in found
    assert found.endswith(b"POST /next 0")


def test_who_asks_before_sending_is_told_to_go_on() -> None:
    """`Expect: 100-continue`, which curl sends with larger bodies, is answered at once."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        writer.write(b"POST /e HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n" + CLOSE + b"\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        return await reader.read()

    assert talk(conversation).endswith(b"POST /e 3")


def test_draining_answers_what_has_begun() -> None:
    """A request under way is answered, its connection closed after it, and new connections find nobody."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        address = writer.get_extra_info("peername")
        writer.write(post(b"/slow", b"x"))
        await asyncio.sleep(0.02)
        draining = asyncio.create_task(door.drain(5.0))
        found = await reader.read()
        await draining
        with pytest.raises(OSError):  # noqa: PT011  # the system's own words
            await asyncio.open_connection(*address[:2])
        return found

    found = talk(conversation)
    assert found.endswith(b"POST /slow 1")
    assert CLOSE in found


def test_a_request_that_is_never_finished_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops in mid-request is told 408 after a while; who has asked nothing yet may stay."""
    monkeypatch.setattr(http, "_PATIENCE", 0.05)

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> bytes:
        await asyncio.sleep(0.1)
        door.tick()
        writer.write(post(b"/first", b"abc") + b"POST /half HTTP/1.1\r\n")
        await reader.readuntil(b"POST /first 3")
        await asyncio.sleep(0.1)
        door.tick()
        return await reader.read()

    assert talk(conversation).startswith(b"HTTP/1.1 408 ")


def test_a_caller_who_does_not_read_stops_being_read() -> None:
    """Answers that nobody takes do not pile up in memory."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door) -> int:
        writer.transport.pause_reading()
        for _ in range(200):
            writer.write(post(b"/" + b"p" * 900, b"") * 300)
            await asyncio.sleep(0)
        (connection,) = door.connections
        return int(connection._transport.get_write_buffer_size())

    assert talk(conversation) < 2**21
