"""The protocol's model repository extension: what is resident here.

A Deployment is not a repository that callers fill: what its Slots hold changes by swaps, which control (or an order to
the runner) asks for and which have gates before them. So `index` tells, `load` confirms what is live, and everything
that would change a Slot is refused with that reason. Source:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from __future__ import annotations

from typing import Any

from keepfit.core.errors import Conflict, Invalid
from keepfit.serve.doors import Route, json
from keepfit.serve.doors.headers import expect_json
from keepfit.serve.messages import JSON, Answer, Request
from keepfit.serve.plane import Plane
from keepfit.serve.routing import Routing
from keepfit.serve.slot import Deployment
from keepfit.serve.wire.elements import parsed, refuse_duplicates


def routes(plane: Plane) -> list[Route]:
    """`/v2/repository`."""
    door = RepositoryDoor(plane)
    return [
        Route("POST", "/v2/repository/index", door.index),
        Route("POST", "/v2/repository/models/{model}/load", door.load),
        Route("POST", "/v2/repository/models/{model}/unload", door.unload),
    ]


class RepositoryDoor:
    """Tells what the Slots hold."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def index(self, request: Request, model: str = "") -> Answer:
        """Every resident Version with its state; with `{"ready": true}` only those that answer."""
        ready = _said(request).get("ready", False)
        if not isinstance(ready, bool):
            raise Invalid("'ready': expected true or false", code="wrong_type")
        entries = [entry for deployment in self._plane.slots.majors.values() for entry in resident(deployment)]
        return json(200, [entry for entry in entries if not ready or entry["state"] == "READY"])

    def load(self, request: Request, model: str) -> Answer:
        """Nothing to do where the model is live; refused where this would have to change what is."""
        deployment = self._plane.deployment(model)
        if _said(request).get("parameters"):
            raise Conflict(
                f"'{deployment.name}' takes no configuration or files; put a Bundle in the store and swap it in",
                code="swaps_only",
            )
        if deployment.live is None:
            raise Conflict(
                f"'{deployment.name}' has no live version, and a load cannot say which; swap one in", code="swaps_only"
            )
        return Answer(200, JSON, b"{}")

    def unload(self, request: Request, model: str) -> Answer:
        """Always refused: a caller must not end what other callers are answered by."""
        deployment = self._plane.deployment(model)
        _said(request)
        raise Conflict(
            f"'{deployment.name}' is not unloaded by its callers; Slots change by swaps, through control or the "
            "runner's orders (swap, rollback, clear, stop)",
            code="swaps_only",
        )


def resident(deployment: Deployment) -> list[dict[str, str]]:
    """The index entries of one Deployment: name, version, state, and in `reason` the Slot."""
    if deployment.live is None:
        state = "UNAVAILABLE" if deployment.between is None else "LOADING"
        missing = [_entry(deployment, None, state, "no live version; swap one in")]
    else:
        missing = []
    held: list[tuple[Routing | None, str, str]] = [
        (deployment.live, "READY", "live"),
        (deployment.canary, "READY", f"canary, {deployment.placed.share:.1%} of the requests"),
        (deployment.previous, "READY", "previous, answers where it is named"),
        (deployment.shadow, "UNAVAILABLE", "shadow, is never heard"),
    ]
    return missing + [_entry(deployment, routing, state, reason) for routing, state, reason in held if routing]


def _entry(deployment: Deployment, routing: Routing | None, state: str, reason: str) -> dict[str, str]:
    version = "" if routing is None else str(routing.version)
    return {"name": deployment.name, "version": version, "state": state, "reason": reason}


def _said(request: Request) -> dict[str, Any]:
    """The object in the body; none is an empty one."""
    expect_json(request)
    if not request.body.strip():
        return {}
    found = parsed(request.body)
    if not isinstance(found, dict):
        raise Invalid(f"expected an object, found {type(found).__name__}", code="invalid_request")
    refuse_duplicates(request.body)
    return found
