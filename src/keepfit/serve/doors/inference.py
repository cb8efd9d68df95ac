"""The Open Inference Protocol v2 over HTTP: inference with JSON and raw tensors, metadata, health."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

from keepfit.core.signature import Field, Signature
from keepfit.serve.doors import Found, Route, json
from keepfit.serve.doors.headers import deadline, expect_json
from keepfit.serve.messages import JSON, Answer, Request
from keepfit.serve.plane import Arrays, Exchange, Plane
from keepfit.serve.routing import Routing

EXTENSIONS = ("binary_tensor_data", "model_repository")
_USUAL = b"application/json"
_RAW = b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"


def routes(plane: Plane) -> list[Route]:
    """The protocol's paths."""
    door = InferenceDoor(plane)
    return [
        Route("POST", "/v2/models/{model}/infer", door.infer),
        Route("POST", "/v2/models/{model}/versions/{version}/infer", door.infer),
        Route("GET", "/v2", door.server),
        Route("GET", "/v2/health/live", door.live),
        Route("GET", "/v2/health/ready", door.ready),
        Route("GET", "/v2/models/{model}", door.metadata),
        Route("GET", "/v2/models/{model}/ready", door.ready),
        Route("GET", "/v2/models/{model}/versions/{version}", door.metadata),
        Route("GET", "/v2/models/{model}/versions/{version}/ready", door.ready),
    ]


class InferenceDoor:
    """Answers the protocol's requests."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def infer(self, request: Request, model: str = "", version: str = "") -> Found:
        """Predict."""
        plane = self._plane
        deployment = plane.deployment(model)
        routing = deployment.routing(version)
        headers = request.headers
        if headers.get(b"content-type", _USUAL) != _USUAL:
            expect_json(request)
        call = routing.inference.decode(request.body, headers.get(b"inference-header-content-length"))
        id = call.id or plane.mint()
        patience = None
        if call.timeout or b"x-request-timeout" in headers:
            patience = deadline(request, plane.slots.serving.deadline, call.timeout)
        trace = headers[b"traceparent"].decode() if b"traceparent" in headers else ""
        asked = Exchange(deployment, routing, plane.ids(id, call.rows), call.inputs, bool(version), patience, trace)

        def encode(answering: Routing, outputs: Arrays) -> Answer:
            if call.binary:
                body, length = answering.inference.encode_binary(call, id, outputs)
                return Answer(200, _RAW % length + answering.headers[len(JSON) :], body)
            return Answer(200, answering.headers, answering.inference.encode(call, id, outputs))

        return plane.answer(asked, encode)

    def server(self, request: Request, model: str = "") -> Answer:
        """What answers here."""
        return json(200, {"name": "keepfit", "version": version_of("keepfit"), "extensions": EXTENSIONS})

    def live(self, request: Request, model: str = "") -> Answer:
        """Whether the process lives: it does."""
        return json(200, {"live": True})

    def ready(self, request: Request, model: str = "", version: str = "") -> Answer:
        """Whether a Version answers."""
        deployment = self._plane.deployment(model)
        ready = deployment.routing(version) is not None if version else deployment.live is not None
        return json(200 if ready else 503, {"name": deployment.name, "ready": ready})

    def metadata(self, request: Request, model: str = "", version: str = "") -> Answer:
        """The Signature of a Version, and which there are."""
        deployment = self._plane.deployment(model)
        routing = deployment.routing(version)
        signature = routing.bundle.signature
        body = {
            "name": deployment.name,
            "versions": [str(resident.version) for resident in deployment.resident],
            "platform": f"keepfit-{routing.bundle.runtime}",
            "inputs": [_described(field, signature) for field in signature.inputs],
            "outputs": [_described(field, signature) for field in signature.outputs],
            "parameters": {"version": str(routing.version), "digest": routing.digest},
        }
        return json(200, body, routing.headers)


def _described(field: Field, signature: Signature) -> dict[str, Any]:
    leading = [-1] if signature.batched else []
    return {"name": field.name, "datatype": field.dtype, "shape": [*leading, *field.shape]}
