"""Reception: the doors for what was answered elsewhere: `POST` and `GET …/records`, and `POST …/labels`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from threading import Lock

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from keepfit.core.errors import Invalid, NotFound
from keepfit.core.nouns import Digest
from keepfit.core.registry import to_plain
from keepfit.edge.apply import specification_at
from keepfit.edge.desk import Desk
from keepfit.edge.payloads import Contract
from keepfit.edge.records import Inbox, Received, events_of
from keepfit.serve.wire import Labels
from keepfit.store.streams import LabelWriter, Stream

_LARGEST = 32 * 2**20  # bytes of one request: an event has the body of a whole inference request in it

Act = Callable[[Request], Awaitable[Response]]


class Reception:
    """Takes Records and Labels of Services that are served elsewhere; each Service has an inbox once it is needed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = Lock()
        self._contracts: dict[Digest, Contract] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._labels: dict[str, tuple[Stream, LabelWriter]] = {}

    def routes(self, path: str) -> list[tuple[str, str, Act]]:
        """Method, path and act of every door under a Service's path."""
        return [
            ("POST", f"{path}/records", self._on_records),
            ("GET", f"{path}/records", self._on_counts),
            ("POST", f"{path}/labels", self._on_labels),
        ]

    def take(self, service: str, headers: dict[str, str], body: bytes) -> Received:
        """Keep what a logger tells; Invalid names the event that is wrong, and none is kept."""
        contract = self._contract(service)
        return self._inbox(service).take(events_of(headers, body), contract)

    def label(self, service: str, body: bytes) -> int:
        """Keep labels of Records of the Service's Stream durably; NotFound (`unknown_record`) where one is none."""
        specification = self._contract(service).specification
        ids, labels = Labels(specification.label, specification.task, specification.classes).decode(body)
        with self._lock:
            if service not in self._labels:
                root = self._desk.places.stream(service)
                self._labels[service] = Stream(root), LabelWriter(root, "control")
            stream, writer = self._labels[service]
            known = stream.known(ids)
            if not all(known):
                stranger = ids[known.index(False)]
                raise NotFound(f"'{service}' has no record '{stranger:.200}'; no label was kept", code="unknown_record")
            writer.append(ids, labels, self._desk.clock.now())
        return len(ids)

    def _contract(self, service: str) -> Contract:
        applied = self._desk.histories.of(service).applied
        assert applied is not None  # noqa: S101  # Histories knows only applied Services
        digest = applied.specification
        if digest not in self._contracts:
            self._contracts[digest] = Contract(specification_at(digest, self._desk.places))
        return self._contracts[digest]

    def _inbox(self, service: str) -> Inbox:
        with self._lock:
            if service not in self._inboxes:
                self._inboxes[service] = Inbox(self._desk.places.stream(service), now=self._desk.clock.now)
            return self._inboxes[service]

    async def _on_records(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await _body(request)
        received = await run_in_threadpool(self.take, request.path_params["service"], headers, body)
        return _json(to_plain(received), 202)

    async def _on_counts(self, request: Request) -> Response:
        service = request.path_params["service"]
        await run_in_threadpool(self._contract, service)
        received = await run_in_threadpool(lambda: self._inbox(service).counts())
        return _json(to_plain(received), 200)

    async def _on_labels(self, request: Request) -> Response:
        body = await _body(request)
        accepted = await run_in_threadpool(self.label, request.path_params["service"], body)
        return _json({"accepted": accepted}, 200)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _LARGEST:
            raise Invalid(f"the body is larger than {_LARGEST} bytes; send fewer events at once", code="body_too_large")
        parts.append(chunk)
    return b"".join(parts)


def _json(thing: object, status: int) -> Response:
    return Response(msgspec.json.encode(thing), status, media_type="application/json")
