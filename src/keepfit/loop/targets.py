"""Targets: where Deployments live. `Local` keeps one runner process per Service on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from keepfit.core.errors import Conflict, KeepfitError, NotFound, Refused, Unavailable
from keepfit.core.nouns import Digest
from keepfit.core.places import Places, admin_socket

_ERRORS: dict[str, type[KeepfitError]] = {"conflict": Conflict, "breaking": Conflict, "not_found": NotFound}
_PATIENCE = 300.0  # seconds a swap may take: loading, golden examples and warm-up of a large model


class Target(Protocol):
    """Where Deployments live."""

    def ensure(self, service: str) -> None:
        """Bring the Deployment up when it is not."""
        ...

    def status(self, service: str) -> dict[str, Any]:
        """What the Deployment serves and how it fares; Unavailable where it cannot be asked."""
        ...

    def swap(self, service: str, version: int, digest: Digest) -> dict[str, Any]:
        """Put a Version into the live Slot, in two phases; Refused with the reason where it may not answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Local:
    """Runner processes on this machine, which outlive the control process and are adopted by the next one."""

    places: Places
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    clock: str = ""
    _started: dict[str, tuple[subprocess.Popen[bytes], float]] = field(default_factory=dict, repr=False)

    def ensure(self, service: str) -> None:
        """Start a runner unless one lives; a runner that keeps dying is started at most once a second."""
        began = self._started.get(service)
        if began and (began[0].poll() is None or time.monotonic() - began[1] < 1.0):
            return
        if self.process(service):
            return
        self._started[service] = (self._start(service), time.monotonic())

    def _start(self, service: str) -> subprocess.Popen[bytes]:
        deployment = self.places.deployment(service)
        deployment.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "keepfit.edge.runner", "--store", str(self.places.root), "--service", service]
        command += ["--host", self.host, "--port", str(self._port(service)), "--workers", str(self.workers)]
        if self.clock:
            command += ["--clock", self.clock]
        with (deployment / "runner.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _port(self, service: str) -> int:
        """The port asked for, else the one the Deployment had before: an address people use stays the same."""
        return self.port or int(self._runner(service).get("port", 0))

    def _runner(self, service: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.places.deployment(service) / "runner.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def process(self, service: str) -> int:
        """The process id of the living runner, 0 for none."""
        process = int(self._runner(service).get("pid", 0))
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes() if process else b""
        except OSError:
            return 0
        return process if b"keepfit.edge.runner" in command and service.encode() in command else 0

    def address(self, service: str) -> str:
        """The base URL of the Deployment; Unavailable while it has none."""
        runner = self._runner(service)
        if not runner:
            raise Unavailable(f"the runner of '{service}' has not written its address yet; wait for it to be ready")
        return f"http://{runner['host']}:{runner['port']}"

    def status(self, service: str) -> dict[str, Any]:
        """What the runner says of itself."""
        return self._ask(service, {"do": "status"}, patience=5.0)

    def swap(self, service: str, version: int, digest: Digest) -> dict[str, Any]:
        """Prepare on every front worker, then commit."""
        return self._ask(service, {"do": "swap", "version": version, "digest": digest}, patience=_PATIENCE)

    def stop(self, service: str) -> None:
        """Let the runner drain and end."""
        process = self.process(service)
        if not process:
            return
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + 35.0
        while self.process(service) and time.monotonic() < deadline:
            child = self._started.get(service)
            if child:
                child[0].poll()
            time.sleep(0.02)
        if self.process(service):
            os.kill(process, signal.SIGKILL)

    def _ask(self, service: str, order: dict[str, Any], *, patience: float) -> dict[str, Any]:
        path = admin_socket(self.places.deployment(service))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(patience)
                line.connect(str(path))
                line.sendall(json.dumps(order).encode() + b"\n")
                with line.makefile("rb") as answers:
                    answer = answers.readline()
        except OSError as error:
            raise Unavailable(f"the runner of '{service}' does not answer ({error}); it is being started") from error
        if not answer:
            raise Unavailable(f"the runner of '{service}' ended while it was asked to {order['do']}")
        said: dict[str, Any] = json.loads(answer)
        if not said.get("ok"):
            code = str(said.get("code", "refused"))
            kind = Unavailable if code == "unavailable" else _ERRORS.get(code, Refused)
            raise kind(str(said.get("error", "the runner refused without a reason")), code=code)
        return said
