"""What was asked over HTTP, and what goes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

JSON = b"content-type: application/json\r\n"
TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"

HEARD = frozenset(
    {
        b"accept",
        b"content-encoding",
        b"content-type",
        b"inference-header-content-length",
        b"traceparent",
        b"tracestate",
        b"x-request-timeout",
    }
)
"""The headers that somebody here reads; others are not kept."""


class Request(NamedTuple):
    """What was asked: path and query, still percent-encoded, the HEARD headers by lower-case name, and the body."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes


class Answer(NamedTuple):
    """What goes back: the status, header lines each ended by CRLF, and the body."""

    status: int
    headers: bytes
    body: bytes


Respond = Callable[[Request], Answer | Awaitable[Answer]]


def refusal(status: int, code: str, sentence: str) -> Answer:
    """An error as JSON: a machine code and one sentence."""
    return Answer(status, JSON, msgspec.json.encode({"error": sentence, "code": code}))
