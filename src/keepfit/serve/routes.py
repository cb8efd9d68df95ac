"""What a runner answers: every door's Routes, one table from errors to statuses, everything counted."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from urllib.parse import unquote

from keepfit.core.errors import (
    Conflict,
    Invalid,
    KeepfitError,
    ModelFault,
    NotFound,
    StorageFault,
    Unavailable,
)
from keepfit.serve.doors import Found, Route, inference, mlflow, openapi, repository, rows, typed
from keepfit.serve.measured import measured
from keepfit.serve.messages import TEXT, Answer, Request, refusal
from keepfit.serve.plane import Plane
from keepfit.serve.slot import Between
from keepfit.serve.tally import Way
from keepfit.serve.trace import Trace, begun, received

_log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[KeepfitError], int], ...] = (
    (Invalid, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
    (ModelFault, 500),
    (StorageFault, 507),
)
CODES = {
    "invalid_json": 400,
    "invalid_framing": 400,
    "invalid_encoding": 400,
    "invalid_csv": 400,
    "not_utf8": 400,
    "invalid_timeout": 400,
    "too_deep": 400,
    "duplicate_key": 400,
    "invalid_protobuf": 400,
    "not_finite": 400,
    "empty_batch": 400,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "too_many_rows": 413,
    "unsupported_media_type": 415,
    "queue_full": 429,
    "deadline": 504,
    "insufficient_memory": 507,
}
"""The status of an error by its code, where it is not that of its class."""

_DOORS = (inference.routes, rows.routes, repository.routes, mlflow.routes, openapi.routes, typed.routes)


def status_of(error: KeepfitError) -> int:
    """The HTTP status of an error."""
    return CODES.get(error.code) or next((status for kind, status in STATUS if isinstance(error, kind)), 500)


class Application:
    """Answers requests by path; `everyone` gives the metrics of all front workers of the port."""

    def __init__(self, plane: Plane, *, everyone: Callable[[], Awaitable[str]] | None = None) -> None:
        self._plane = plane
        self._everyone = everyone
        self._exact: dict[str, dict[str, Callable[..., Found]]] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self._tracing = bool(plane.slots.serving.sink)  # who is told of exchanges is told which belong together
        self._patterns: list[tuple[list[str], str, Callable[..., Found]]] = []
        for route in (Route("GET", "/metrics", self._metrics), *(r for door in _DOORS for r in door(plane))):
            self._join(route)

    def respond(self, request: Request) -> Found:
        """The answer to one request: at once where nothing has to be waited for."""
        began = perf_counter()
        trace = None
        if self._tracing or b"traceparent" in request.headers:
            request, trace = _continued(request)
        try:
            found = self._found(request)
        except Between as swap:
            return self._later(self._again(request, swap), began, request, trace)
        except Exception as error:  # noqa: BLE001  # one request that fails must not end the others
            found = _told(error, request.path)
        if not isinstance(found, Answer):
            return self._later(found, began, request, trace)
        self._plane.tally.add(found.status, perf_counter() - began, self._ways.get((request.method, request.path)))
        return found if trace is None else found._replace(headers=found.headers + trace.headers)

    async def _later(self, found: Awaitable[Answer], began: float, request: Request, trace: Trace | None) -> Answer:
        try:
            answer = await found
        except Exception as error:  # noqa: BLE001  # as above
            answer = _told(error, request.path)
        self._plane.tally.add(answer.status, perf_counter() - began, self._ways.get((request.method, request.path)))
        return answer if trace is None else answer._replace(headers=answer.headers + trace.headers)

    async def _again(self, request: Request, swap: Between) -> Answer:
        """Answer when the swap that makes room for the new Version by letting the old one go is through."""
        await self._plane.until(swap.done)
        found = self._found(request)
        return found if isinstance(found, Answer) else await found

    def _join(self, route: Route) -> None:
        """A path that has no names, or only this service's, is looked up at once; others are compared one by one."""
        path = route.pattern.replace("{model}", self._plane.slots.service)
        if "{" not in path:
            function = (
                partial(route.function, model=self._plane.slots.service) if path != route.pattern else route.function
            )
            self._exact.setdefault(path, {})[route.method] = function
            self._ways[route.method, path] = self._plane.tally.way(route.method, path)
        if "{" in route.pattern:
            self._patterns.append((route.pattern.split("/"), route.method, route.function))

    def _found(self, request: Request) -> Found:
        methods = self._exact.get(request.path)
        if methods is not None:
            function = methods.get(request.method)
            return function(request) if function is not None else _of_method(methods, request)(request)
        path, names = request.path, {}
        if path.startswith("/@"):
            major, slash, rest = path[2:].partition("/")
            path, names = slash + rest, {"model": f"{self._plane.slots.service}@{major}"}
            methods = self._exact.get(path)
            if methods is not None:
                return _of_method(methods, request)(request, **names)
        return self._compared(request, path.split("/"), names)

    def _compared(self, request: Request, segments: list[str], names: dict[str, str]) -> Found:
        methods: dict[str, Callable[..., Found]] = {}
        for pattern, method, function in self._patterns:
            given = _given(pattern, segments)
            if given is not None:
                methods[method] = partial(function, **(names | given))
        if not methods:
            raise NotFound(f"there is no {request.path:.200} here")
        return _of_method(methods, request)(request)

    def _metrics(self, request: Request, model: str = "") -> Found:
        """The counts of all front workers of the port where there are several, whichever was asked."""
        if self._everyone is None:
            return Answer(200, TEXT, measured(self._plane).encode())
        return self._gathered(self._everyone)

    async def _gathered(self, everyone: Callable[[], Awaitable[str]]) -> Answer:
        return Answer(200, TEXT, (await everyone()).encode())


def _given(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """The names in a path, None where it is another."""
    if len(pattern) != len(segments):
        return None
    names = {}
    for expected, found in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            names[expected[1:-1]] = unquote(found)
        elif expected != found:
            return None
    return names


def _of_method(methods: dict[str, Callable[..., Found]], request: Request) -> Callable[..., Found]:
    function = methods.get(request.method)
    if function is None:
        told = f"{request.path:.200} takes {' and '.join(methods)}, not {request.method}"
        refused = refusal(405, "method_not_allowed", told)
        allow = b"allow: %b\r\n" % ", ".join(methods).encode()  # RFC 9110, 15.5.6
        return lambda *_, **__: refused._replace(headers=refused.headers + allow)
    return function


def _continued(request: Request) -> tuple[Request, Trace]:
    """A request whose header names our own span, and its trace from here on."""
    trace = received(request.headers) or begun()
    headers = {**request.headers, b"traceparent": trace.parent.encode()}  # others may have been asked with the same
    return request._replace(headers=headers), trace


def _told(error: Exception, path: str) -> Answer:
    if not isinstance(error, KeepfitError):
        _log.error("request.failed path=%s", path, exc_info=error)
        return refusal(500, "internal", f"an unexpected {type(error).__name__}")
    return refusal(status_of(error), error.code, str(error))
