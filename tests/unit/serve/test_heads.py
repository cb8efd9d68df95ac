"""Heads that are known: whatever comes in whatever pieces, the answers are those of a door that parses everything."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
from itertools import pairwise

import pytest

from keepfit.serve.heads import Heads
from keepfit.serve.http import Door
from keepfit.serve.messages import JSON, Answer, Request

HEAD = b"POST /%s HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"


def asked(body: bytes, more: bytes = b"", path: bytes = b"a") -> bytes:
    return HEAD % (path, len(body), more) + body


def respond(request: Request) -> Answer:
    """Says all it was told."""
    told = b"%s %s %s " % (request.method.encode(), request.path.encode(), request.query.encode())
    return Answer(200, JSON, told + repr(sorted(request.headers.items())).encode() + b" " + request.body)


class Deaf(Heads):
    """Learns nothing."""

    def learn(self, data: bytes, request: Request) -> None:
        return


def said(pieces: list[bytes], heads: Heads) -> tuple[bytes, int]:
    """What a door with these heads says to pieces sent one after the other, and how many heads it knows then."""

    async def run() -> tuple[bytes, int]:
        door = Door(respond, limit=1000)
        door.heads = heads
        door.common = b""
        listener = socket.create_server(("127.0.0.1", 0))
        await door.listen(listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        heard = asyncio.ensure_future(reader.read())
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.001)
        found = await asyncio.wait_for(heard, 10)
        writer.close()
        await door.drain(0.0)
        return found, len(heads._known)

    return asyncio.run(run())


CLOSE = asked(b"the last", b"connection: close\r\n")
ODD = [
    asked(b"packed", b"content-encoding: identity\r\n"),
    asked(gzip.compress(b"x" * 50), b"content-encoding: gzip\r\n"),
    asked(b"", b"transfer-encoding: chunked\r\n").replace(b"content-length: 0\r\n", b"") + b"3\r\nabc\r\n0\r\n\r\n",
    asked(b"two\r\n\r\nheads"),
    asked(b"x" * 1001),
    b"HEAD /a HTTP/1.1\r\nhost: here\r\n\r\n",
    b"GET /a?b=c HTTP/1.1\r\nhost: here\r\n\r\n",
    b"\r\n" + asked(b"after an empty line"),
    asked(b"waited", b"expect: 100-continue\r\n"),
    asked(b"wished", b"connection: upgrade\r\nupgrade: h2c\r\n"),
]


@pytest.mark.parametrize("odd", ODD)
def test_answers_are_those_of_a_parser(odd: bytes) -> None:
    """Requests of every kind, sent three times among usual ones, are answered as if nothing were known."""
    pieces = [asked(b"one"), odd, asked(b"two"), odd, asked(b"six"), odd, CLOSE]
    assert said(pieces, Heads())[0] == said(pieces, Deaf())[0]


@pytest.mark.parametrize("seed", range(5))
def test_pieces_do_not_matter(seed: int) -> None:
    """However the bytes of known requests are cut and joined on their way, the answers are the same."""
    chance = random.Random(seed)
    data = b"".join(asked(b"%03d" % number) for number in range(12)) + CLOSE
    cuts = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(chance.choice([3, 12, 40])))})
    pieces = [asked(b"000")] * 2 + [data[start:end] for start, end in pairwise(cuts)]
    assert said(pieces, Heads())[0] == said(pieces, Deaf())[0]


def test_what_comes_again_is_known() -> None:
    """The same head with another body of that length is one entry; other lengths are not mixed up with it."""
    heads = Heads()
    found, known = said([asked(b"one"), asked(b"two"), asked(b"three"), asked(b"six"), CLOSE], heads)
    assert known == 2
    for body in (b"one", b"two", b"three", b"six", b"the last"):
        assert body in found
    assert heads.known(asked(b"ten")) == respond_to(b"ten")
    assert heads.known(asked(b"ten")[:-1]) is None
    assert heads.known(asked(b"ten") + b"P") is None
    assert heads.known(b"") is None


def respond_to(body: bytes) -> Request:
    return Request("POST", "/a", "", {b"content-type": b"application/json"}, body)


def test_traces_are_not_kept() -> None:
    """A head that is new in every request would only fill the table."""
    trace = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    assert said([asked(b"one", trace), asked(b"two", trace), CLOSE], Heads())[1] == 0


def test_the_table_is_bounded() -> None:
    """Whoever sends always other heads has them parsed, and memory stays what it is."""
    heads = Heads()
    for number in range(3000):
        data = asked(b"x", path=b"%d" % number)
        heads.learn(data, Request("POST", f"/{number}", "", {}, b"x"))
    assert len(heads._known) <= 1024
    heads.learn(asked(b"x", b"more: %b\r\n" % (b"y" * 3000)), Request("POST", "/a", "", {}, b"x"))
    assert heads.known(asked(b"x", b"more: %b\r\n" % (b"y" * 3000))) is None
