"""The Open Inference Protocol v2 over HTTP: inference, metadata, health."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

from keepfit.core.signature import Field, Signature
from keepfit.serve.doors import Found, Route, json
from keepfit.serve.http import Answer, Request
from keepfit.serve.plane import Arrays, Exchange, Plane
from keepfit.serve.routing import Routing


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
        call = routing.inference.decode(request.body)
        id = call.id or plane.mint()
        asked = Exchange(deployment, routing, plane.ids(id, call.rows), call.inputs, bool(version))

        def encode(answering: Routing, outputs: Arrays) -> Answer:
            return Answer(200, answering.headers, answering.inference.encode(call, id, outputs))

        return plane.answer(asked, encode)

    def server(self, request: Request, model: str = "") -> Answer:
        """What answers here."""
        return json(200, {"name": "keepfit", "version": version_of("keepfit"), "extensions": []})

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
