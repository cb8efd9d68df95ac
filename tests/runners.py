"""A real runner process over a store of toy Bundles, and small clients for it."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import toys
from keepfit.core.places import Places, admin_socket
from keepfit.store.blobs import Trees
from keepfit.store.streams import Stream

PATIENCE = 180.0  # seconds, on a machine that is busy with others


@dataclass
class Reply:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A runner process of service `toy` and what its tests do to it."""

    root: Path
    options: tuple[str, ...] = ()
    limit: int | None = None  # bytes that a file of it may have
    process: subprocess.Popen[bytes] | None = None
    digests: dict[int, str] = field(default_factory=dict)

    @property
    def places(self) -> Places:
        return Places(self.root)

    @property
    def deployment(self) -> Path:
        return self.places.deployment("toy")

    @property
    def stream(self) -> Stream:
        return Stream(self.places.stream("toy"))

    @property
    def port(self) -> int:
        return int(json.loads((self.deployment / "runner.json").read_bytes())["port"])

    def start(self, *, port: int = 0) -> None:
        """Start the process and wait until it takes orders."""
        self.deployment.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "keepfit.edge.runner", "--store", str(self.root), "--service", "toy"]
        with (self.deployment / "test.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), *self.options], stdout=log, stderr=log, preexec_fn=self._limited
            )
        wait(lambda: self.process is None or self.process.poll() is not None or self._speaks())
        assert self.process.poll() is None, (self.deployment / "test.log").read_text()

    def _limited(self) -> None:
        if self.limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))

    def _speaks(self) -> bool:
        try:
            return bool(self.ask(do="status")["ok"]) and (self.deployment / "runner.json").exists()
        except OSError:
            return False

    def ask(self, **order: Any) -> dict[str, Any]:
        """One order over the admin socket."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(str(admin_socket(self.deployment)))
            line.sendall(json.dumps(order).encode() + b"\n")
            with line.makefile("rb") as answers:
                said = answers.readline()
        if not said:
            raise ConnectionResetError("the runner ended while it was asked")
        found: dict[str, Any] = json.loads(said)
        return found

    def put(self, version: int, **toy: Any) -> str:
        """Make a toy Bundle and keep it as a Version."""
        directory = toys.bundle(self.root / "made" / f"{version}-{time.monotonic_ns()}", **toy)
        self.digests[version] = Trees(self.places.trees).put(directory)
        return self.digests[version]

    def swap(self, version: int) -> dict[str, Any]:
        return self.ask(do="swap", version=version, digest=self.digests[version])

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        return self.ask(do="status")

    def fronts(self) -> list[int]:
        return [worker["pid"] for worker in self.status()["workers"]]

    def kill(self) -> None:
        """SIGKILL to the runner itself."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE)


def wait(until: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Return when `until` is true; fail after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def served(root: Path, *options: str, limit: int | None = None, start: bool = True) -> Iterator[Served]:
    """A running runner, gone afterwards."""
    runner = Served(root, options, limit)
    try:
        if start:
            runner.start()
        yield runner
    finally:
        if runner.process is not None and runner.process.poll() is None:
            runner.process.terminate()
            try:
                runner.process.wait(20)
            except subprocess.TimeoutExpired:
                runner.process.kill()
                runner.process.wait()


def inference(x: Any, **more: Any) -> dict[str, Any]:
    """An inference request of the tensor toy."""
    return {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": [float(v) for v in x.reshape(-1)]}
        ],
        **more,
    }
