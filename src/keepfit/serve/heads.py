"""Heads: what llhttp has understood once need not be parsed again where the same bytes come again.

A client on a connection that is kept sends the same request line and headers every time, but for the length of its
body. Parsing them is a third of what a small request costs, comparing them is next to nothing.
"""

from __future__ import annotations

from keepfit.serve.messages import Request

_END = b"\r\n\r\n"
_MOST = 1024  # heads; who sends always new ones empties the table, and has everything parsed
_LONGEST = 2048  # bytes of a head that is worth keeping
_NOT_KEPT = (b"traceparent", b"content-encoding")  # always new; a body that has to be unpacked first


class Heads:
    """The heads of requests that came whole, in one piece and alone; each with the Request it made."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, Request]] = {}

    def known(self, data: bytes) -> Request | None:
        """The Request that is all of `data`, where its head is known; None has it parsed."""
        end = data.find(_END) + 4
        found = self._known.get(data[:end])
        if found is None or found[0] != len(data) - end:
            return None
        return found[1]._replace(body=data[end:])

    def learn(self, data: bytes, request: Request) -> None:
        """Keep the head of `data`, which llhttp took for exactly this one request, where it can come again."""
        end = data.find(_END) + 4
        length = len(data) - end
        if end > _LONGEST or length != len(request.body) or any(name in request.headers for name in _NOT_KEPT):
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[data[:end]] = length, request._replace(body=b"")
