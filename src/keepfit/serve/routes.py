"""The HTTP door of a runner: an RSGI application without a framework in between.

`POST /v2/models/{m}[/versions/{v}]/infer` (Open Inference Protocol), `POST /predict` (plain rows), `POST /labels`,
`GET /metrics`, and the protocol's metadata and health. Every answer of a model names its Version and bundle digest.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as version_of
from time import perf_counter
from typing import Any, NamedTuple

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
from keepfit.serve.capture import Capture, Exchange
from keepfit.serve.intake import Intake
from keepfit.serve.slot import Routing, Slot
from keepfit.serve.tally import Tally

_log = logging.getLogger(__name__)
_encode = msgspec.json.encode
_JSON = [("content-type", "application/json")]
_TEXT = [("content-type", "text/plain; version=0.0.4; charset=utf-8")]
_QUICK = 256  # rows a model in this process may answer on the event loop; more go to a thread
_LONGEST_ID = 200

STATUS: dict[str, int] = {
    "invalid_json": 400,
    "not_finite": 400,
    "empty_batch": 400,
    "body_too_large": 413,
    "method_not_allowed": 405,
}
"""Statuses of codes that differ from their error's own."""

_STATUS_OF: tuple[tuple[type[KeepfitError], int], ...] = (
    (Invalid, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
    (ModelFault, 500),
    (StorageFault, 507),
)


class Answer(NamedTuple):
    """What goes back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Application:
    """Answers requests with what the Slot holds, records what it answered, takes labels, counts everything."""

    def __init__(
        self,
        slot: Slot,
        *,
        now: Callable[[], int],
        capture: Capture | None,
        intake: Intake | None,
        limit: int = 16 * 2**20,
    ) -> None:
        self.tally = Tally()
        self._slot = slot
        self._now = now
        self._capture = capture
        self._intake = intake
        self._limit = limit
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="keepfit-predict")
        mark = secrets.token_hex(6)
        self._mint = map((mark + "-%x").__mod__, itertools.count()).__next__
        self._infer = f"/v2/models/{slot.service}/infer"
        self._posts = {"/predict": self._on_rows, "/labels": self._on_labels}
        self._gets: dict[str, Callable[[], Answer]] = {
            "/v2": self._on_server,
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": self._on_ready,
            "/metrics": lambda: Answer(200, _TEXT, self.metrics().encode()),
        }

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request; called by the server."""
        began = perf_counter()
        try:
            if scope.path == self._infer and scope.method == "POST":
                answer = await self._on_inference(await self._body(scope, protocol), self._live())
            else:
                answer = await self._routed(scope, protocol)
        except KeepfitError as error:
            answer = _told(error)
        except Exception as error:  # noqa: BLE001  # one request that fails must not end the others
            _log.exception("request.failed path=%s", scope.path)
            answer = _json(500, {"error": f"an unexpected {type(error).__name__}", "code": "internal"})
        self.tally.add(answer.status, perf_counter() - began)
        protocol.response_bytes(*answer)

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

    async def _body(self, scope: Any, protocol: Any) -> bytes:
        length = scope.headers.get("content-length")
        if length is not None and length.isdigit() and int(length) <= self._limit:
            return await protocol()  # type: ignore[no-any-return]  # the server's type is Any
        parts: list[bytes] = []
        size = 0
        async for chunk in protocol:  # read to the end all the same: who is cut off in mid-sentence sees no answer
            size += len(chunk)
            if size <= self._limit:
                parts.append(chunk)
            elif parts:
                parts.clear()
            if size > 16 * self._limit:
                break
        if size > self._limit:
            raise SignatureInvalid(
                f"the body has more than {self._limit} bytes; send fewer rows at a time", code="body_too_large"
            )
        return b"".join(parts)

    async def _routed(self, scope: Any, protocol: Any) -> Answer:
        path, method = scope.path, scope.method
        post = self._posts.get(path)
        if post is not None:
            _expect(method, "POST", path)
            return await post(await self._body(scope, protocol))
        get = self._gets.get(path)
        if get is not None:
            _expect(method, "GET", path)
            return get()
        parts = path.strip("/").split("/")
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return await self._model(parts[2:], path, scope, protocol)
        raise NotFound(f"there is no {path} here")

    async def _model(self, parts: list[str], path: str, scope: Any, protocol: Any) -> Answer:
        """`{m}[/versions/{v}][/ready|/infer]`."""
        if parts[0] != self._slot.service:
            raise NotFound(f"there is no model '{parts[0]}'; here is '{self._slot.service}'", code="unknown_model")
        match parts[1:]:
            case ["infer"]:
                _expect(scope.method, "POST", path)
                return await self._on_inference(await self._body(scope, protocol), self._live())
            case ["versions", version, "infer"]:
                _expect(scope.method, "POST", path)
                routing = self._version(version)
                return await self._on_inference(await self._body(scope, protocol), routing)
            case []:
                _expect(scope.method, "GET", path)
                return self._on_metadata(self._live())
            case ["ready"]:
                _expect(scope.method, "GET", path)
                return self._on_ready()
            case ["versions", version]:
                _expect(scope.method, "GET", path)
                return self._on_metadata(self._version(version))
            case ["versions", version, "ready"]:
                _expect(scope.method, "GET", path)
                return _json(200, {"name": self._slot.service, "ready": self._version(version).version > 0})
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

    async def _on_inference(self, body: bytes, routing: Routing) -> Answer:
        with self._slot.lease(routing):
            call = routing.inference.decode(body)
            id = call.id or self._mint()
            ids = self._ids(id, call.rows)
            outputs = await self._answered(routing, ids, call.inputs)
            return Answer(200, routing.headers, routing.inference.encode(call, id, outputs))

    async def _on_rows(self, body: bytes) -> Answer:
        routing = self._live()
        with self._slot.lease(routing):
            batch = routing.rows.decode(body)
            ids = [id or self._mint() for id in batch.ids]
            if any(len(id) > _LONGEST_ID for id in ids):
                raise _long_id()
            outputs = await self._answered(routing, ids, batch.inputs)
            return Answer(200, routing.headers, routing.rows.encode(ids, outputs, single=batch.single))

    async def _answered(
        self, routing: Routing, ids: list[str], inputs: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        micros = self._now()
        if routing.predictor.inline and len(ids) <= _QUICK:
            outputs = routing.predictor.predict(inputs)
        else:
            loop = asyncio.get_running_loop()
            outputs = await loop.run_in_executor(self._threads, routing.predictor.predict, inputs)
        if self._capture is not None:
            self._capture.add(Exchange(routing.form, ids, micros, inputs, outputs))
        return outputs

    async def _on_labels(self, body: bytes) -> Answer:
        ids, labels = self._live().labels.decode(body)
        if self._intake is None:
            raise Conflict("this runner records nothing (--no-capture), so it knows no record to label")
        await self._intake.accept(ids, labels)
        return _json(200, {"accepted": len(ids)})

    def _ids(self, id: str, rows: int) -> list[str]:
        if len(id) > _LONGEST_ID:
            raise _long_id()
        return [id] if rows == 1 else [f"{id}:{row}" for row in range(rows)]

    def _on_server(self) -> Answer:
        return _json(200, {"name": "keepfit", "version": version_of("keepfit"), "extensions": []})

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
    return Answer(status, _JSON, _encode(body))


def _told(error: KeepfitError) -> Answer:
    status = STATUS.get(error.code) or next((s for kind, s in _STATUS_OF if isinstance(error, kind)), 500)
    return _json(status, {"error": str(error), "code": error.code})


def _expect(method: str, expected: str, path: str) -> None:
    if method != expected:
        raise Invalid(f"{path} takes {expected}, not {method}", code="method_not_allowed")


def _long_id() -> SignatureInvalid:
    return SignatureInvalid(f"a record id has more than {_LONGEST_ID} characters", code="id_too_long")
