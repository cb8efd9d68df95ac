"""MLflow's scoring server, for callers that move from it: `/invocations`, `/ping`, `/health`, `/version`."""

from __future__ import annotations

from importlib.metadata import version as version_of
from weakref import WeakKeyDictionary

from keepfit.core.errors import Unavailable
from keepfit.serve.doors import Found, Route
from keepfit.serve.doors.headers import content_type, deadline, expect_json, traced
from keepfit.serve.messages import Answer, Request
from keepfit.serve.plane import Arrays, Exchange, Plane
from keepfit.serve.routing import Routing
from keepfit.serve.wire.invocations import Invocations

_PLAIN = b"content-type: text/plain; charset=utf-8\r\n"


def routes(plane: Plane) -> list[Route]:
    """The scoring server's paths."""
    door = MlflowDoor(plane)
    return [
        Route("POST", "/invocations", door.invocations),
        Route("GET", "/ping", door.ping),
        Route("GET", "/health", door.ping),
        Route("GET", "/version", door.version),
    ]


class MlflowDoor:
    """Answers as MLflow's scoring server does."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._wires: WeakKeyDictionary[Routing, Invocations] = WeakKeyDictionary()

    def invocations(self, request: Request, model: str = "") -> Found:
        """Predict."""
        plane = self._plane
        deployment = plane.deployment(model)
        routing = deployment.routing()
        wire = self._wire(routing)
        if content_type(request) == b"text/csv":
            rows, inputs = wire.decode_csv(request.body)
        else:
            expect_json(request)
            rows, inputs = wire.decode(request.body)
        patience = deadline(request, plane.slots.serving.deadline)
        ids = [plane.mint() for _ in range(rows)]
        asked = Exchange(deployment, routing, ids, inputs, False, patience, traced(request))

        def encode(answering: Routing, outputs: Arrays) -> Answer:
            return Answer(200, answering.headers, self._wire(answering).encode(outputs))

        return plane.answer(asked, encode)

    def ping(self, request: Request, model: str = "") -> Answer:
        """Whether a Version answers."""
        deployment = self._plane.deployment(model)
        if deployment.live is None:
            raise Unavailable(f"'{deployment.name}' has no live version yet; swap one in", code="not_ready")
        return Answer(200, _PLAIN, b"\n")

    def version(self, request: Request, model: str = "") -> Answer:
        """The release that answers here: keepfit's."""
        return Answer(200, _PLAIN, version_of("keepfit").encode())

    def _wire(self, routing: Routing) -> Invocations:
        wire = self._wires.get(routing)
        if wire is None:
            wire = self._wires[routing] = Invocations(routing.bundle.signature)
        return wire
