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
from keepfit.core.facts import slot_called
from keepfit.core.nouns import Held
from keepfit.core.places import Places, admin_socket
from keepfit.core.registry import from_plain, to_plain
from keepfit.core.service import Serving

_ERRORS: dict[str, type[KeepfitError]] = {
    "conflict": Conflict,
    "breaking": Conflict,
    "no_live": Conflict,
    "live_already": Conflict,
    "live_slot": Conflict,
    "no_previous": Conflict,
    "not_found": NotFound,
}
_PATIENCE = 300.0  # seconds a swap may take: loading, golden examples and warm-up of a large model


class Target(Protocol):
    """Where Deployments live."""

    def ensure(self, service: str, serving: Serving) -> None:
        """Bring the Deployment up when it is not, and have it serve that way; Refused where it cannot."""
        ...

    def status(self, service: str) -> dict[str, Any]:
        """What the Deployment serves and how it fares; Unavailable where it cannot be asked."""
        ...

    def swap(
        self, service: str, held: Held, *, slot: str = "live", share: float = 0.0, key: str = ""
    ) -> dict[str, Any]:
        """Put a Version into a Slot, in two phases; Refused with the reason where it may not answer."""
        ...

    def clear(self, service: str, slot: str) -> dict[str, Any]:
        """Empty a Slot; of a major beside the first one all of them, with its live one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Local:
    """Runner processes on this machine, which outlive the control process and are adopted by the next one."""

    places: Places
    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int = 0
    workers: int = 1
    clock: str = ""
    _started: dict[str, tuple[subprocess.Popen[bytes], float]] = field(default_factory=dict, repr=False)
    _refused: dict[str, Serving] = field(default_factory=dict, repr=False)

    def ensure(self, service: str, serving: Serving) -> None:
        """Start a runner unless one lives; one that keeps dying at most once a second, what one refused not again."""
        began = self._started.get(service)
        if self.process(service):
            self._settle(service, serving)
        elif not began or (began[0].poll() is not None and time.monotonic() - began[1] >= 1.0):
            self._started[service] = (self._start(service, serving), time.monotonic())

    def _settle(self, service: str, serving: Serving) -> None:
        """Have a living runner serve as is wished, where it does not yet."""
        if self.serving(service) == serving or self._refused.get(service) == serving:
            return
        try:
            self.adjust(service, serving)
        except Unavailable:
            return  # it has just been started, or is ending; the next turn asks again
        except KeepfitError:
            self._refused[service] = serving
            raise

    def _start(self, service: str, serving: Serving) -> subprocess.Popen[bytes]:
        deployment = self.places.deployment(service)
        deployment.mkdir(parents=True, exist_ok=True)
        command = self.command(service, serving)
        with (deployment / "runner.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def command(self, service: str, serving: Serving) -> list[str]:
        """What starts the Deployment's runner."""
        command = [sys.executable, "-m", "keepfit.edge.runner", "--store", str(self.places.root), "--service", service]
        command += ["--host", self.host, "--port", str(self._port(service)), "--workers", str(self.workers)]
        command += ["--serving", json.dumps(to_plain(serving))]
        grpc_port = self.grpc_port or int(self._runner(service).get("grpc_port") or 0)
        command += ["--grpc-port", str(grpc_port)] if grpc_port else []
        if self.clock:
            command += ["--clock", self.clock]
        return command

    def _port(self, service: str) -> int:
        """The port asked for, else the one the Deployment had before: an address people use stays the same."""
        return self.port or int(self._runner(service).get("port", 0))

    def _runner(self, service: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.places.deployment(service) / "runner.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def serving(self, service: str) -> Serving:
        """How the Deployment serves, or served last."""
        return from_plain(Serving, self._runner(service).get("serving", {}))

    def process(self, service: str) -> int:
        """The process id of the living runner, 0 for none."""
        process = int(self._runner(service).get("pid", 0))
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes() if process else b""
        except OSError:
            return 0
        named = f"--service\0{service}\0".encode()
        return process if b"keepfit.edge.runner" in command and named in command else 0

    def address(self, service: str) -> str:
        """The base URL of the Deployment; Unavailable while it has none."""
        runner = self._runner(service)
        if not runner:
            raise Unavailable(f"the runner of '{service}' has not written its address yet; wait for it to be ready")
        return f"http://{runner['host']}:{runner['port']}"

    def grpc_address(self, service: str) -> str:
        """Where the Deployment speaks gRPC; empty where it does not."""
        runner = self._runner(service)
        return f"{runner['host']}:{runner['grpc_port']}" if runner.get("grpc_port") else ""

    def status(self, service: str) -> dict[str, Any]:
        """What the runner says of itself."""
        return self._ask(service, {"do": "status"}, patience=5.0)

    def swap(
        self, service: str, held: Held, *, slot: str = "live", share: float = 0.0, key: str = ""
    ) -> dict[str, Any]:
        """Prepare on every front worker, then commit."""
        order = {"do": "swap", **_placed(slot), "version": held.version, "digest": held.digest}
        return self._ask(service, {**order, "share": share, "key": key}, patience=_PATIENCE)

    def clear(self, service: str, slot: str) -> dict[str, Any]:
        """Empty a Slot."""
        return self._ask(service, {"do": "clear", **_placed(slot)}, patience=_PATIENCE)

    def back(self, service: str, major: int = 1) -> dict[str, Any]:
        """Put the Version that was live before into the live Slot."""
        return self._ask(service, {"do": "rollback", "major": major}, patience=_PATIENCE)

    def adjust(self, service: str, serving: Serving) -> dict[str, Any]:
        """Have the runner serve another way; it starts its front workers anew, one after the other."""
        return self._ask(service, {"do": "serving", "serving": to_plain(serving)}, patience=_PATIENCE)

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


def _placed(slot: str) -> dict[str, Any]:
    name, major = slot_called(slot)
    return {"slot": name.value, "major": major}
