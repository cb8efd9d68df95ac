"""Plain rows in, plain rows out; and their labels."""

from __future__ import annotations

from collections.abc import Awaitable

from keepfit.core.errors import SignatureInvalid
from keepfit.serve.doors import Found, Route, json
from keepfit.serve.doors.headers import deadline, expect_json, traced
from keepfit.serve.messages import Answer, Request
from keepfit.serve.plane import LONGEST_ID, Arrays, Exchange, Plane
from keepfit.serve.routing import Routing


def routes(plane: Plane) -> list[Route]:
    """`/predict` and `/labels`."""
    door = RowsDoor(plane)
    return [Route("POST", "/predict", door.predict), Route("POST", "/labels", door.labels)]


class RowsDoor:
    """Answers rows, takes labels."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def predict(self, request: Request, model: str = "") -> Found:
        """Predict rows."""
        deployment = self._plane.deployment(model)
        routing = deployment.routing()
        expect_json(request)
        batch = routing.rows.decode(request.body)
        ids = [id or self._plane.mint() for id in batch.ids]
        if any(len(id) > LONGEST_ID for id in ids):
            raise SignatureInvalid(f"a record id has more than {LONGEST_ID} characters", code="id_too_long")

        patience = deadline(request, self._plane.slots.serving.deadline)

        def encode(answering: Routing, outputs: Arrays) -> Answer:
            return Answer(200, answering.headers, answering.rows.encode(ids, outputs, single=batch.single))

        asked = Exchange(deployment, routing, ids, batch.inputs, False, patience, traced(request))
        return self._plane.answer(asked, encode)

    def labels(self, request: Request, model: str = "") -> Found:
        """Take labels, durably."""
        expect_json(request)
        return self._taken(self._plane.accept(self._plane.deployment(model), request.body))

    async def _taken(self, accepted: Awaitable[int]) -> Answer:
        return json(200, {"accepted": await accepted})
