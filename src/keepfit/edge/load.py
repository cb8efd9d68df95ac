"""load: requests to a runner, as fast as it answers or at a steady rate, to measure what callers wait for."""

from __future__ import annotations

import selectors
import socket
import statistics
import time
from collections.abc import Sequence

from keepfit.core.errors import ModelFault, Unavailable

_PATIENCE = 30.0


class _Link:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._read = b""

    def ask(self, request: bytes, due: float) -> None:
        self.due, self._read = due, b""
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Take what came; True when the answer is whole. ModelFault where it is no 200."""
        part = self.socket.recv(65536)
        if not part:
            raise Unavailable("the runner closed a connection while it was measured")
        self._read += part
        head, blank, body = self._read.partition(b"\r\n\r\n")
        if not blank:
            return False
        at = head.lower().find(b"content-length:")
        if len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return False
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise ModelFault(f"the runner answered {head.splitlines()[0].decode()}: {body[:200].decode()}")
        return True


class Asker:
    """Asks the same bodies in turn of `POST /predict` on a port of this machine."""

    def __init__(self, port: int, bodies: Sequence[bytes]) -> None:
        head = "POST /predict HTTP/1.1\r\nHost: keepfit\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        self._port = port
        self._requests = [head.format(len(body)).encode() + body for body in bodies]

    def steady(self, rate: float, seconds: float) -> float:
        """The p99 in seconds of `rate` requests a second, each counted from when it was due, whatever answers do."""
        with selectors.DefaultSelector() as waiting:
            idle: list[_Link] = []
            took: list[float] = []
            busy, start = 0, time.monotonic()
            for turn in range(int(rate * seconds)):
                due = start + turn / rate
                while (left := due - time.monotonic()) > 0:
                    busy -= self._take(waiting, left, idle, took)
                link = idle.pop() if idle else _Link(self._port)
                link.ask(self._requests[turn % len(self._requests)], due)
                waiting.register(link.socket, selectors.EVENT_READ, link)
                busy += 1
            deadline = time.monotonic() + _PATIENCE
            while busy and time.monotonic() < deadline:
                busy -= self._take(waiting, 0.1, idle, took)
            _close(idle, waiting)
        took += [_PATIENCE] * busy
        return statistics.quantiles(took, n=100, method="inclusive")[98]

    def closed(self, connections: int, seconds: float) -> float:
        """Answers a second where each connection asks again as soon as it has its answer."""
        with selectors.DefaultSelector() as waiting:
            idle = [_Link(self._port) for _ in range(connections)]
            took: list[float] = []
            start, turn = time.monotonic(), 0
            while (now := time.monotonic()) < start + seconds:
                while idle:
                    link = idle.pop()
                    link.ask(self._requests[turn % len(self._requests)], now)
                    waiting.register(link.socket, selectors.EVENT_READ, link)
                    turn += 1
                self._take(waiting, 0.1, idle, took)
            spent = time.monotonic() - start
            _close(idle, waiting)
        return len(took) / spent

    def _take(self, waiting: selectors.BaseSelector, patience: float, idle: list[_Link], took: list[float]) -> int:
        """Move links whose answer came to the idle ones; how many."""
        came = 0
        for key, _ in waiting.select(patience):
            link: _Link = key.data
            if link.answered():
                took.append(time.monotonic() - link.due)
                waiting.unregister(link.socket)
                idle.append(link)
                came += 1
        return came


def _close(idle: list[_Link], waiting: selectors.BaseSelector) -> None:
    for link in (*idle, *(key.data for key in list(waiting.get_map().values()))):
        link.socket.close()
