"""What a runner answers, without a framework in between.

`POST /v2/models/{m}[/versions/{v}]/infer` (Open Inference Protocol), `POST /predict` (plain rows), `POST /labels`,
`GET /metrics`, and the protocol's metadata and health. Every answer of a model names its Version and bundle digest.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as version_of
from time import perf_counter
from typing import Any

import msgspec
from numpy.typing import NDArray

from keepfit.core.errors import (
    Conflict,
    Invalid,
    KeepfitError,
    ModelFault,
    NotFound,
    SignatureInvalid,
    StorageFault,
    Unavailable,
)
from keepfit.core.signature import Field
from keepfit.serve.capture import Capture
from keepfit.serve.http import JSON, TEXT, Answer, refusal
from keepfit.serve.intake import Intake
from keepfit.serve.slot import Routing, Slot
from keepfit.serve.tally import Tally

_log = logging.getLogger(__name__)
_encode = msgspec.json.encode
_QUICK = 256  # rows a model in this process may answer on the event loop; more go to a thread
_LONGEST_ID = 200

Arrays = dict[str, NDArray[Any]]
Found = Answer | Awaitable[Answer]

_STATUS: tuple[tuple[type[KeepfitError], int], ...] = (
    (Invalid, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
    (ModelFault, 500),
    (StorageFault, 507),
)
_CODES = {"invalid_json": 400, "not_finite": 400, "empty_batch": 400, "method_not_allowed": 405}  # instead of their own


class Application:
    """Answers requests with what the Slot holds, records what it answered, takes labels, counts everything."""

    def __init__(
        self,
        slot: Slot,
        *,
        now: Callable[[], int],
        capture: Capture | None = None,
        intake: Intake | None = None,
        everyone: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self.tally = Tally()
        self._slot = slot
        self._now = now
        self._capture = capture
        self._intake = intake
        self._everyone = everyone
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="keepfit-predict")
        mark = secrets.token_hex(6)
        self._mint = map((mark + "-%x").__mod__, itertools.count()).__next__
        self._posts: dict[str, Callable[[bytes], Found]] = {
            f"/v2/models/{slot.service}/infer": lambda body: self._on_inference(body, self._live()),
            "/predict": self._on_rows,
            "/labels": self._on_labels,
        }
        self._gets: dict[str, Callable[[], Found]] = {
            "/v2": self._on_server,
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._on_ready,
            "/metrics": self._on_metrics,
        }

    def respond(self, method: str, path: str, body: bytes) -> Found:
        """The answer to one request: at once where nothing has to be waited for."""
        began = perf_counter()
        try:
            found = self._routed(method, path, body)
        except Exception as error:  # noqa: BLE001  # one request that fails must not end the others
            found = _told(error, path)
        if not isinstance(found, Answer):
            return self._later(found, began, path)
        self.tally.add(found.status, perf_counter() - began)
        return found

    async def _later(self, found: Awaitable[Answer], began: float, path: str) -> Answer:
        try:
            answer = await found
        except Exception as error:  # noqa: BLE001  # as above
            answer = _told(error, path)
        self.tally.add(answer.status, perf_counter() - began)
        return answer

    def metrics(self) -> str:
        """Everything counted, as Prometheus text."""
        labels = f'service="{self._slot.service}",worker="{os.getpid()}"'
        live = self._slot.live
        numbers = {
            "records_captured_total": self._capture.captured if self._capture else 0,
            "records_lost_total": self._capture.lost if self._capture else 0,
            "labels_total": self._intake.accepted if self._intake else 0,
            "model_faults_total": self.tally.answers[500],
            "ready": int(live is not None),
            "live_version": live.version if live else 0,
            "leases": live.leases if live else 0,
        }
        lines = self.tally.prometheus(labels)
        for name, value in numbers.items():
            lines.append(f"# TYPE keepfit_{name} {'counter' if name.endswith('_total') else 'gauge'}")
            lines.append(f"keepfit_{name}{{{labels}}} {value}")
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _live(self) -> Routing:
        live = self._slot.live
        if live is None:
            raise Unavailable(f"service '{self._slot.service}' has no live version yet; swap one in", code="not_ready")
        return live

    def _routed(self, method: str, path: str, body: bytes) -> Found:
        post = self._posts.get(path)
        if post is not None:
            _expect(method, "POST", path)
            return post(body)
        get = self._gets.get(path)
        if get is not None:
            _expect(method, "GET", path)
            return get()
        parts = path.strip("/").split("/")
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return self._model(method, parts[2:], path, body)
        raise NotFound(f"there is no {path} here")

    def _model(self, method: str, parts: list[str], path: str, body: bytes) -> Found:
        """`{m}[/versions/{v}][/ready|/infer]`."""
        if parts[0] != self._slot.service:
            raise NotFound(f"there is no model '{parts[0]}'; here is '{self._slot.service}'", code="unknown_model")
        if parts[-1] == "infer":
            _expect(method, "POST", path)
        else:
            _expect(method, "GET", path)
        match parts[1:]:
            case []:
                return self._on_metadata(self._live())
            case ["ready"]:
                return self._on_ready()
            case ["versions", version]:
                return self._on_metadata(self._version(version))
            case ["versions", version, "ready"]:
                return _json(200, {"name": self._slot.service, "ready": self._version(version).version > 0})
            case ["versions", version, "infer"]:
                return self._on_inference(body, self._version(version))
        raise NotFound(f"there is no {path} here")

    def _version(self, version: str) -> Routing:
        routing = self._slot.find(int(version)) if version.isdecimal() and len(version) < 10 else None
        if routing is None:
            resident = [str(r.version) for r in (self._slot.live, self._slot.previous) if r]
            raise NotFound(
                f"version '{version}' is not loaded here; there are: {', '.join(resident) or 'none'}",
                code="unknown_version",
            )
        return routing

    def _on_inference(self, body: bytes, routing: Routing) -> Found:
        call = routing.inference.decode(body)
        id = call.id or self._mint()
        ids = self._ids(id, call.rows)
        return self._predicted(routing, ids, call.inputs, lambda outputs: routing.inference.encode(call, id, outputs))

    def _on_rows(self, body: bytes) -> Found:
        routing = self._live()
        batch = routing.rows.decode(body)
        ids = [id or self._mint() for id in batch.ids]
        if any(len(id) > _LONGEST_ID for id in ids):
            raise _long_id()
        return self._predicted(
            routing, ids, batch.inputs, lambda outputs: routing.rows.encode(ids, outputs, single=batch.single)
        )

    def _predicted(self, routing: Routing, ids: list[str], inputs: Arrays, encode: Callable[[Arrays], bytes]) -> Found:
        """Answer with the routing the request began with, and record the exchange."""
        micros = self._now()

        def finished(outputs: Arrays) -> Answer:
            if self._capture is not None:
                self._capture.add(routing.form, ids, micros, inputs, outputs)
            return Answer(200, routing.headers, encode(outputs))

        if routing.predictor.inline and len(ids) <= _QUICK:
            return finished(routing.predictor.predict(inputs))
        self._slot.lease(routing)
        return self._threaded(routing, inputs, finished)

    async def _threaded(self, routing: Routing, inputs: Arrays, finished: Callable[[Arrays], Answer]) -> Answer:
        """Predict off the event loop, with a routing leased by the caller."""
        try:
            loop = asyncio.get_running_loop()
            return finished(await loop.run_in_executor(self._threads, routing.predictor.predict, inputs))
        finally:
            self._slot.release(routing)

    def _on_labels(self, body: bytes) -> Found:
        wire = self._live().labels
        if wire is None:
            raise Conflict(f"service '{self._slot.service}' declares no label, so none can be taken", code="no_label")
        ids, labels = wire.decode(body)
        if self._intake is None:
            raise Conflict("this runner records nothing (--no-capture), so it knows no record to label")
        return self._accepted(self._intake, ids, labels)

    async def _accepted(self, intake: Intake, ids: list[str], labels: list[Any]) -> Answer:
        await intake.accept(ids, labels)
        return _json(200, {"accepted": len(ids)})

    def _ids(self, id: str, rows: int) -> list[str]:
        if len(id) > _LONGEST_ID:
            raise _long_id()
        return [id] if rows == 1 else [f"{id}:{row}" for row in range(rows)]

    def _on_server(self) -> Answer:
        return _json(200, {"name": "keepfit", "version": version_of("keepfit"), "extensions": []})

    def _on_metrics(self) -> Found:
        """The counts of all front workers of the port where there are several, whichever was asked."""
        if self._everyone is None:
            return Answer(200, TEXT, self.metrics().encode())
        return self._gathered(self._everyone)

    async def _gathered(self, everyone: Callable[[], Awaitable[str]]) -> Answer:
        return Answer(200, TEXT, (await everyone()).encode())

    def _on_ready(self) -> Answer:
        ready = self._slot.live is not None
        return _json(200 if ready else 503, {"name": self._slot.service, "ready": ready})

    def _on_metadata(self, routing: Routing) -> Answer:
        resident = [str(r.version) for r in (self._slot.live, self._slot.previous) if r]
        body = {
            "name": self._slot.service,
            "versions": resident,
            "platform": f"keepfit-{routing.bundle.runtime}",
            "inputs": [_described(field) for field in routing.bundle.signature.inputs],
            "outputs": [_described(field) for field in routing.bundle.signature.outputs],
            "parameters": {"version": str(routing.version), "digest": routing.digest},
        }
        return Answer(200, routing.headers, _encode(body))


def _described(field: Field) -> dict[str, Any]:
    return {"name": field.name, "datatype": field.dtype, "shape": [-1, *field.shape]}


def _json(status: int, body: Any) -> Answer:
    return Answer(status, JSON, _encode(body))


def _told(error: Exception, path: str) -> Answer:
    if not isinstance(error, KeepfitError):
        _log.error("request.failed path=%s", path, exc_info=error)
        return refusal(500, "internal", f"an unexpected {type(error).__name__}")
    status = _CODES.get(error.code) or next((s for kind, s in _STATUS if isinstance(error, kind)), 500)
    return refusal(status, error.code, str(error))


def _expect(method: str, expected: str, path: str) -> None:
    if method != expected:
        raise Invalid(f"{path} takes {expected}, not {method}", code="method_not_allowed")


def _long_id() -> SignatureInvalid:
    return SignatureInvalid(f"a record id has more than {_LONGEST_ID} characters", code="id_too_long")
