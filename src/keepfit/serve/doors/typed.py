"""Typed methods: `POST /model/methods/{name}` in protobuf or its JSON, and the contract at `GET /proto`."""

from __future__ import annotations

from functools import lru_cache
from weakref import WeakKeyDictionary

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import Signature
from keepfit.serve.doors import Found, Route
from keepfit.serve.doors.headers import content_type, deadline, traced, unsupported
from keepfit.serve.messages import JSON, Answer, Request
from keepfit.serve.plane import LONGEST_ID, Arrays, Exchange, Plane
from keepfit.serve.routing import Routing
from keepfit.serve.wire.rows import Batch
from keepfit.serve.wire.typed import Typed

_PROTOBUF = b"content-type: application/x-protobuf\r\n"
_TEXT = b"content-type: text/plain; charset=utf-8\r\n"
_IS_JSON = {
    b"application/x-protobuf": False,
    b"application/protobuf": False,
    b"application/octet-stream": False,
    b"application/json": True,
}
_kept: WeakKeyDictionary[Routing, Typed] = WeakKeyDictionary()


def routes(plane: Plane) -> list[Route]:
    """`/proto` and `/model/methods/{name}`."""
    door = TypedDoor(plane)
    return [Route("GET", "/proto", door.proto), Route("POST", "/model/methods/{name}", door.call)]


class TypedDoor:
    """Answers typed methods."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def proto(self, request: Request, model: str = "") -> Answer:
        """The `.proto` file that clients are generated from."""
        deployment = self._plane.deployment(model)
        routing = deployment.routing()
        text = typed_of(deployment.name, routing).proto.text
        return Answer(200, _TEXT + routing.headers.removeprefix(JSON), text.encode())

    def call(self, request: Request, name: str, model: str = "") -> Found:
        """Predict."""
        deployment = self._plane.deployment(model)
        routing = deployment.routing()
        typed = typed_of(deployment.name, routing)
        method = typed.method(name)
        is_json = _is_json(request)
        batch = typed.decode(method, request.body, json=is_json)
        ids = record_ids(self._plane, batch)
        answers_json = _wants_json(request, is_json)

        def encode(answering: Routing, outputs: Arrays) -> Answer:
            speaks = typed_of(deployment.name, answering)
            body = speaks.encode(speaks.method(name), ids, outputs, json=answers_json)
            named = answering.headers if answers_json else _PROTOBUF + answering.headers.removeprefix(JSON)
            return Answer(200, named, body)

        patience = deadline(request, self._plane.slots.serving.deadline)
        asked = Exchange(deployment, routing, ids, batch.inputs, False, patience, traced(request))
        return self._plane.answer(asked, encode)


def typed_of(name: str, routing: Routing) -> Typed:
    """The typed wire of a Version of the Deployment `name`; those with one Signature share it."""
    typed = _kept.get(routing)
    if typed is None:
        service, _, major = name.partition("@")
        typed = _kept[routing] = _typed(service, routing.bundle.signature, int(major or 1))
    return typed


@lru_cache(maxsize=32)
def _typed(service: str, signature: Signature, major: int) -> Typed:
    return Typed(service, signature, major)


def record_ids(plane: Plane, batch: Batch) -> list[str]:
    """The ids that came with the records, and new ones for those without."""
    ids = [id or plane.mint() for id in batch.ids]
    if any(len(id) > LONGEST_ID for id in ids):
        raise SignatureInvalid(f"a record id has more than {LONGEST_ID} characters", code="id_too_long")
    return ids


def _is_json(request: Request) -> bool:
    found = _IS_JSON.get(content_type(request))
    if found is None:
        raise unsupported(request, *(kind.decode() for kind in _IS_JSON))
    return found


def _wants_json(request: Request, same: bool) -> bool:
    """Whether to answer in JSON: the first form in Accept that there is, or the form that came."""
    for said in request.headers.get(b"accept", b"").split(b","):
        found = _IS_JSON.get(said.partition(b";")[0].strip().lower())
        if found is not None:
            return found
    return same
