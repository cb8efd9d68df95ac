"""HTTP/1.1 on one event loop: bytes of a connection to `respond(Request)` and its Answers back, in order.

There is no second thread and no framework between the socket and the model: parsed by llhttp (httptools), answered in
the same call where nothing has to be waited for. Bodies are bounded, slow senders are cut off, requests that come
before the answer to the last one wait their turn, and `drain` lets every request that has begun be answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from email.utils import formatdate
from http import HTTPStatus
from time import monotonic
from typing import Any, NamedTuple, cast

from keepfit.core.errors import Invalid, MissingExtra
from keepfit.serve.declined import Rest
from keepfit.serve.encodings import unpacked
from keepfit.serve.heads import Heads
from keepfit.serve.messages import HEARD, Answer, Request, Respond, refusal

_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_PACKED = {"unsupported_media_type": 415, "body_too_large": 413}
_HEADERS = 2**16  # bytes that a request's line and headers may have
_PIPELINED = 32  # requests of one connection that may wait for their turn
_PATIENCE = 60.0  # seconds from the first byte of a request to its last
_IDLE = 600.0  # seconds without any request after which a connection is closed
_LONGEST = 8192  # bytes of a request's target
_LINGER = 1.0  # seconds in which a refused caller may still be sending
_GRACE = 0.2  # seconds in which an open connection may still send a request when draining begins


class Door:
    """All connections of one process; `limit` is the most bytes a body may have."""

    def __init__(self, respond: Respond, *, limit: int = 16 * 2**20) -> None:
        try:
            from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
        except ImportError as error:
            raise MissingExtra("httptools", "serve") from error
        self.respond = respond
        self.limit = limit
        self.parser, self.misread, self.upgrade = HttpRequestParser, HttpParserError, HttpParserUpgrade
        self.connections: set[Connection] = set()
        self.heads = Heads()
        self.draining = False
        self.common = b""
        self._server: asyncio.Server | None = None
        self.tick()

    async def listen(self, sock: Any) -> None:
        """Accept connections on a listening socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=sock, backlog=2048)

    def tick(self) -> None:
        """Once a second: renew the date, cut off those who do not finish their request or do not read their answer."""
        self.common = b"server: keepfit\r\ndate: %s\r\n" % formatdate(usegmt=True).encode()
        now = monotonic()
        for connection in list(self.connections):
            connection.tick(now)

    async def drain(self, patience: float) -> None:
        """Stop accepting, answer what has begun within `patience` seconds, and close every connection."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(_GRACE if self.connections else 0)
        deadline = monotonic() + patience
        while self.connections:
            late = monotonic() > deadline
            for connection in list(self.connections):
                if late:
                    connection.abort()
                elif connection.idle:
                    connection.close()
            await asyncio.sleep(0.01)


class _Turn(NamedTuple):
    """A request that waits for its answer; `last` of its connection, `refused` where it cannot be understood."""

    request: Request
    last: bool
    refused: Answer | None


_NOTHING = Request("GET", "", "", {}, b"")


class Connection(asyncio.Protocol):
    """One connection; also what llhttp calls back."""

    def __init__(self, door: Door) -> None:
        self.began = 0.0  # when the request that is being received began, 0 between requests
        self._door = door
        self._parser = door.parser(self)
        self._transport: asyncio.Transport
        self._waiting: deque[_Turn] = deque()
        self._task: asyncio.Task[None] | None = None
        self._paused = self._choked = self._ending = False
        self._heard = monotonic()  # when a request, or that somebody reads, was last noticed
        self._plain = True  # whether llhttp reads this connection from its beginning, nothing declined
        self._last: Request | None = None  # the request that was complete last, where its head may come again
        self._new()

    def _new(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = self._head = self._hosts = 0
        self._told = self._coding = b""
        self._continue = self._headed = self._wishing = False

    @property
    def idle(self) -> bool:
        """Whether nothing is being received or answered."""
        return not self.began and self._task is None and not self._waiting

    def tick(self, now: float) -> None:
        """Give up on who does not finish a request, does not read an answer, or has long asked nothing."""
        if 0 < self.began < now - _PATIENCE:
            self.refuse(refusal(408, "too_slow", f"the request was not complete after {_PATIENCE:g} s"))
        elif self._choked and self._heard < now - _PATIENCE:
            self.abort()
        elif self.idle and self._heard < now - _IDLE:
            self.close()

    def close(self) -> None:
        """Close when what was written has gone out."""
        self._ending = True
        self._transport.close()

    def abort(self) -> None:
        """Close whatever has not gone out yet."""
        self._ending = True
        self._transport.abort()

    def refuse(self, answer: Answer) -> None:
        """Answer what cannot be understood, and close."""
        if not self._ending:
            self.began = 0.0
            self._waiting.append(_Turn(_NOTHING, True, answer))
            self._go_on()

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._door.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """End; the answer being made is not waited for by anybody."""
        self._ending = True
        self._waiting.clear()
        self._door.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse; complete requests are answered by the callbacks below."""
        if self._ending:
            return
        began, idle = self.began, self.idle and self._plain
        if idle:
            known = self._door.heads.known(data)
            if known is not None:
                self._heard = monotonic()
                self._waiting.append(_Turn(known, False, None))
                self._go_on()
                return
        self._last = None
        while data:
            try:
                self._parser.feed_data(data)
                if idle and self._last is not None:
                    self._door.heads.learn(data, self._last)
                break
            except self._door.upgrade as error:
                self._decline()
                data = data[error.args[0] :]
            except self._door.misread as error:
                self.refuse(refusal(400, "invalid_http", f"this is not HTTP/1.1: {error}"))
                return
        if began and began == self.began and not self._headed:  # still the headers of the same request
            self._head += len(data)
            if self._head > _HEADERS:
                self.refuse(_long_headers())

    def pause_writing(self) -> None:
        """The caller reads slower than we write: read no more of its requests."""
        self._choked = True
        self._heard = monotonic()
        self._breathe()

    def resume_writing(self) -> None:
        """The caller caught up."""
        self._choked = False
        self._breathe()

    # --- what llhttp calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self.began = self._heard = monotonic()

    def on_url(self, url: bytes) -> None:
        """The target, perhaps in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; what frames the request is llhttp's business."""
        name = name.lower()
        if self._headed:  # a trailer: whoever checked the headers has not seen it
            self._head += len(value)
        elif name in HEARD:
            if name in self._headers:  # one list, as RFC 9110, 5.3 has it; whoever expects one value will refuse it
                value = b"%b, %b" % (self._headers[name], value)
            self._headers[name] = value
        elif name == b"host":
            self._hosts += 1
        elif name == b"content-length":
            self._told = value
        elif name == b"transfer-encoding":
            self._coding = value
        elif name == b"upgrade":
            self._wishing = True
        elif name == b"expect":
            self._continue = value.lower() == b"100-continue"
        else:
            self._head += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """The body comes next; who asks whether to send it is told."""
        self._headed = True
        if self._head > _HEADERS:
            self.refuse(_long_headers())
        elif len(self._told) > 7 and int(self._told) > 16 * self._door.limit:
            self.refuse(self._too_large())
        elif self._continue and not self._waiting and self._task is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """A piece of the body. It is received to its end even when too long: the cut-off see no answer."""
        self._size += len(part)
        if self._size <= self._door.limit:
            self._parts.append(part)
        else:
            self._parts.clear()
            if self._size > 16 * self._door.limit:
                self.refuse(self._too_large())

    def on_message_complete(self) -> None:
        """A request is complete: answer it, or let it wait for its turn."""
        if self._wishing and (self._told or self._coding) and self._parser.should_upgrade():
            return  # only its headers are: llhttp takes the body for that of another protocol
        self.began = 0.0
        refused, last = self._refused(), not self._parser.should_keep_alive()
        path, query = self._target()
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if b"content-encoding" in self._headers and refused is None:
            try:
                body = unpacked(body, self._headers[b"content-encoding"], self._door.limit)
            except Invalid as error:
                refused = refusal(_PACKED.get(error.code, 400), error.code, str(error))
        request = Request(self._parser.get_method().decode(), path, query, self._headers, body)
        odd = self._coding or self._wishing or self._continue
        self._last = None if last or refused is not None or odd else request
        self._waiting.append(_Turn(request, last or (refused is not None and refused.status == 400), refused))
        self._new()
        self._go_on()

    # --- answering

    def _go_on(self) -> None:
        while self._waiting and self._task is None and not self._ending:
            turn = self._waiting.popleft()
            found = turn.refused or self._respond(turn.request)
            if isinstance(found, Answer):
                self._write(turn, found)
            else:
                self._task = asyncio.ensure_future(self._wait(turn, found))
        self._breathe()

    def _respond(self, request: Request) -> Answer | Awaitable[Answer]:
        return self._door.respond(request._replace(method="GET") if request.method == "HEAD" else request)

    async def _wait(self, turn: _Turn, found: Awaitable[Answer]) -> None:
        try:
            self._write(turn, await found)
        finally:
            self._task = None
        self._go_on()

    def _write(self, turn: _Turn, answer: Answer) -> None:
        if self._transport.is_closing():
            return
        last = turn.last or self._door.draining
        head = b"%b%b%bcontent-length: %d\r\n%b\r\n" % (
            _LINES[answer.status],
            answer.headers,
            self._door.common,
            len(answer.body),
            b"connection: close\r\n" if last else b"",
        )
        self._transport.write(head if turn.request.method == "HEAD" else head + answer.body)
        if turn.refused and last:
            self._linger()
        elif last:
            self.close()

    def _linger(self) -> None:
        """Close, but read on for a moment: a close with bytes unread would take the answer back from the caller."""
        self._ending = True
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER, self._transport.close)

    def _breathe(self) -> None:
        """Read on, or not, by how much waits to be answered and to be read by the other side."""
        pause = self._choked or len(self._waiting) > _PIPELINED
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            (self._transport.pause_reading if pause else self._transport.resume_reading)()

    def _target(self) -> tuple[str, str]:
        url = self._url
        if not url.startswith(b"/"):  # the absolute form, which proxies use
            _, _, rest = url.partition(b"://")
            url = b"/" + rest.partition(b"/")[2]
        path, _, query = url.partition(b"?")
        return path.decode("latin-1"), query.decode("latin-1")

    def _decline(self) -> None:
        """Take another parser for what follows a wish for another protocol, which is not granted.

        Without a body the request was complete. Else what comes is its body, and must not be taken for a request: the
        headers that say how long it is are told to the new parser, and to nobody else.
        """
        wished, self._plain = self._parser, False
        if not self._headed:
            self._parser = self._door.parser(self)
            return
        framing = b"transfer-encoding: " + self._coding if self._coding else b"content-length: " + self._told
        last = b"" if wished.should_keep_alive() else b"connection: close\r\n"
        self._parser = self._door.parser(Rest(self))
        self._parser.feed_data(b"%b * HTTP/1.1\r\n%b%b\r\n\r\n" % (wished.get_method(), last, framing))

    def _refused(self) -> Answer | None:
        """Why a complete request is not answered."""
        if self._size > self._door.limit:
            return self._too_large()
        if self._head > _HEADERS:
            return _long_headers()
        if len(self._url) > _LONGEST:
            return refusal(414, "target_too_long", f"the target has more than {_LONGEST} bytes; send data in the body")
        if self._hosts != 1 and self._parser.get_http_version() != "1.0":  # RFC 9112, 3.2
            found = f"{self._hosts} in HTTP/{self._parser.get_http_version()}"
            return refusal(400, "invalid_http", f"expected one Host header, found {found}")
        return None

    def _too_large(self) -> Answer:
        return refusal(
            413, "body_too_large", f"the body has more than {self._door.limit} bytes; send fewer rows at a time"
        )


def _long_headers() -> Answer:
    return refusal(431, "headers_too_large", f"the headers have more than {_HEADERS} bytes")
