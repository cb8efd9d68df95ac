"""Load on an HTTP service: closed loop (wrk where it is installed, else a client of our own) and at a steady rate."""

from __future__ import annotations

import json
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
Check = Callable[[int, bytes, bytes], bool]


@dataclass(frozen=True)
class Answered:
    """What came of a load: how many requests, how many answers were no 2xx, connections broken, answers wrong.

    `sent` and `latency` are in seconds (monotonic clock), one value per answer, empty where only percentiles are known.
    """

    requests: int
    seconds: float
    failed: int
    broken: int
    p50: float
    p99: float
    torn: int = 0
    sent: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    latency: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Asked:
    """What is asked for, in turn: the bodies of POSTs to one path, or messages to one gRPC method."""

    path: str
    bodies: Sequence[bytes]
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    grpc: bool = False


def request(path: str, body: bytes, headers: Sequence[tuple[str, str]] = Asked.headers) -> bytes:
    """The bytes of a POST over HTTP/1.1, of JSON where nothing else is said."""
    said = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"POST {path} HTTP/1.1\r\nHost: bench\r\n{said}Content-Length: {len(body)}\r\n\r\n".encode() + body


def hammer(port: int, asked: Asked, *, connections: int, seconds: float, core: int) -> Answered:
    """As many requests as the server answers on so many connections, sent from one core."""
    if not asked.grpc and shutil.which("wrk") and shutil.which("taskset"):
        return _wrk(port, asked, connections=connections, seconds=seconds, core=core)
    said = {"port": port, "path": asked.path, "headers": asked.headers, "grpc": asked.grpc}
    said |= {"connections": connections, "seconds": seconds, "core": core}
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(said)]
    found = subprocess.run(command, input=_lines(asked), capture_output=True, check=True, cwd=HERE.parent)
    return Answered(**json.loads(found.stdout))


def _lines(asked: Asked) -> bytes:
    return b"".join(body.hex().encode() + b"\n" for body in asked.bodies)


def _wrk(port: int, asked: Asked, *, connections: int, seconds: float, core: int) -> Answered:
    with tempfile.NamedTemporaryFile() as file:
        file.write(_lines(asked))
        file.flush()
        command = [
            "taskset",
            "-c",
            str(core),
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds:.0f}s",
            "--timeout",
            "10s",
        ]
        command += ["-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}{asked.path}", "--", file.name]
        command += [word for header in asked.headers for word in header]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    return Answered(**json.loads(found.stdout.strip().splitlines()[-1]))


class Link:
    """One kept-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.turn = 0
        self.began = 0.0

    def send(self, data: bytes, turn: int, began: float) -> None:
        """Send a request; `began` is when it was due."""
        self.turn, self.began, self.buffer = turn, began, b""
        self.socket.sendall(data)

    def receive(self) -> tuple[bytes, bytes] | None:
        """Head and body of the answer once it is whole; ConnectionError where the server broke it off."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionResetError("the server closed the connection")
        self.buffer += part
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return None
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        return (head, body) if len(body) >= length else None


class Client:
    """A client with a fixed number of connections; what it saw is in its counters and lists."""

    def __init__(
        self, port: int, requests: Sequence[bytes], check: Check | None = None, link: type[Link] = Link
    ) -> None:
        self._port, self._requests, self._check, self._link = port, requests, check, link
        self._poll = select.epoll()
        self._links: dict[int, Link] = {}
        self.sent: list[float] = []
        self.latency: list[float] = []
        self.failed = self.broken = self.torn = 0

    def _connect(self) -> Link:
        link = self._link(self._port)
        self._links[link.socket.fileno()] = link
        self._poll.register(link.socket.fileno(), select.EPOLLIN)
        return link

    def closed(self, connections: int, seconds: float, until: Callable[[], bool] | None = None) -> Answered:
        """The next request leaves when the last one is answered; for so long, or until it is said to be enough."""
        start, turn = time.monotonic(), 0
        for _ in range(connections):
            self._send(self._connect(), turn := turn + 1, time.monotonic())
        while not until() if until else time.monotonic() < start + seconds:
            for link in self._take(0.1):
                self._send(link, turn := turn + 1, time.monotonic())
        return self._answered(time.monotonic() - start)

    def steady(self, rate: float, seconds: float) -> Answered:
        """One request every 1/rate seconds whatever the answers do; latency counts from when it was due."""
        start, idle = time.monotonic(), [self._connect() for _ in range(8)]
        count, busy = int(rate * seconds), 0
        for turn in range(count):
            due = start + turn / rate
            while (left := due - time.monotonic()) > 0:
                taken = self._take(left)
                busy -= len(taken)
                idle += taken
            self._send(idle.pop() if idle else self._connect(), turn, due)
            busy += 1
        deadline = time.monotonic() + 10.0
        while busy and time.monotonic() < deadline:
            busy -= len(self._take(0.1))
        self.broken += max(busy, 0)
        return self._answered(time.monotonic() - start)

    def _send(self, link: Link, turn: int, began: float) -> None:
        turn %= len(self._requests)
        try:
            link.send(self._requests[turn], turn, began)
        except OSError:
            self.broken += 1
            self._forget(link)
            self._send(self._connect(), turn, began)

    def _forget(self, link: Link) -> None:
        del self._links[link.socket.fileno()]
        self._poll.unregister(link.socket.fileno())
        link.socket.close()

    def _take(self, patience: float) -> list[Link]:
        """Links whose answer came, each broken one replaced by a fresh one."""
        taken = []
        for fileno, _ in self._poll.poll(patience):
            link = self._links[fileno]
            try:
                answer = link.receive()
            except OSError:
                self.broken += 1
                self._forget(link)
                taken.append(self._connect())
                continue
            if answer is not None:
                self._note(link, *answer)
                taken.append(link)
        return taken

    def _note(self, link: Link, head: bytes, body: bytes) -> None:
        self.sent.append(link.began)
        self.latency.append(time.monotonic() - link.began)
        if not head.startswith(b"HTTP/1.1 2"):
            self.failed += 1
        elif self._check is not None and not self._check(link.turn, head, body):
            self.torn += 1

    def _answered(self, seconds: float) -> Answered:
        latency = np.array(self.latency)
        p50, p99 = np.quantile(latency, [0.5, 0.99]).tolist() if len(latency) else (0.0, 0.0)
        for link in list(self._links.values()):
            self._forget(link)
        return Answered(
            len(latency), seconds, self.failed, self.broken, p50, p99, self.torn, np.array(self.sent), latency
        )


def main(argv: list[str]) -> None:
    """The client of our own in its own process, told in JSON whom to ask; bodies on standard input, in hexadecimal."""
    import os

    from benchmarks import h2

    said: dict[str, Any] = json.loads(argv[0])
    os.sched_setaffinity(0, {said["core"]})
    bodies = [bytes.fromhex(line) for line in sys.stdin.read().splitlines()]
    if said["grpc"]:
        client = Client(said["port"], [h2.call(said["path"], body) for body in bodies], link=h2.Stream)
    else:
        client = Client(said["port"], [request(said["path"], body, said["headers"]) for body in bodies])
    found = client.closed(said["connections"], said["seconds"])
    names = ("requests", "seconds", "failed", "broken", "p50", "p99")
    print(json.dumps({name: getattr(found, name) for name in names}))


if __name__ == "__main__":
    main(sys.argv[1:])
