"""The control API: one table of doors to the desk, one table from errors to status codes."""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from keepfit.core import errors
from keepfit.core.registry import to_plain
from keepfit.edge import asked
from keepfit.edge.apply import Applying
from keepfit.edge.desk import Desk
from keepfit.edge.reception import Reception
from keepfit.edge.status import ServiceStatus, VersionStatus

STATUS: dict[type[errors.KeepfitError], int] = {
    errors.Invalid: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Refused: 409,
    errors.Unavailable: 503,
    errors.MissingExtra: 501,
    errors.KeepfitError: 500,
}
"""The HTTP status of every error: the entry of the nearest ancestor counts."""

REFUSALS = {"insufficient_memory": 507}
"""The HTTP status of a runner's refusal by its code, where it is not 409."""

LARGEST = 1 << 20
"""Bytes a request body may have; data travels as files in the store, not through this API."""

_POLL = 0.05  # seconds between two looks for an answer or for more of a log


@dataclass(frozen=True)
class Ask:
    """A request as an act sees it: path and query parameters, and the decoded body."""

    service: str
    path: dict[str, str]
    query: dict[str, str]
    body: Any = None

    def number(self, name: str, otherwise: int) -> int:
        """A whole number from the query or the path."""
        given = self.path.get(name) or self.query.get(name)
        if given is None:
            return otherwise
        if not given.isdecimal():
            raise errors.Invalid(f"{name}: expected a whole number, found {given!r}")
        return int(given)


@dataclass(frozen=True)
class Door:
    """One route: what it does, what it takes, what it gives; `status` is that of success."""

    method: str
    path: str
    does: str
    act: Callable[[Desk, Ask], Any]
    takes: type | None = None
    gives: Any = dict
    status: int = 200


_S = "/v1/services/{service}"

DOORS = (
    Door("GET", "/v1/services", "All services.", lambda desk, ask: desk.services(), gives=list),
    Door("POST", "/v1/services", "Apply.", lambda desk, ask: desk.apply(ask.body), asked.Apply, Applying, 201),
    Door("GET", _S, "The specification in force.", lambda desk, ask: desk.service(ask.service)),
    Door("GET", f"{_S}/status", "Status.", lambda desk, ask: desk.status(ask.service), gives=ServiceStatus),
    Door("GET", f"{_S}/versions", "All versions.", lambda d, a: d.versions(a.service), gives=list[VersionStatus]),
    Door("GET", f"{_S}/versions/{{n}}", "One version.", lambda d, a: d.version(a.service, a.number("n", 0))),
    Door(
        "GET",
        f"{_S}/facts",
        "Facts; query: kind, after, limit, newest.",
        lambda desk, ask: desk.facts(
            ask.service,
            ask.query.get("kind", ""),
            after=ask.number("after", 0),
            limit=ask.number("limit", 1000),
            newest=bool(ask.number("newest", 0)),
        ),
        gives=list,
    ),
    Door(
        "GET",
        f"{_S}/findings",
        "Findings of monitors; query: after, limit.",
        lambda desk, ask: desk.findings(ask.service, after=ask.number("after", 0), limit=ask.number("limit", 1000)),
        gives=list,
    ),
    Door(
        "GET",
        f"{_S}/decisions",
        "Decisions of the loop; query: after, limit.",
        lambda desk, ask: desk.decisions(ask.service, after=ask.number("after", 0), limit=ask.number("limit", 1000)),
        gives=list,
    ),
    Door(
        "GET",
        f"{_S}/runs",
        "Runs; query: limit.",
        lambda desk, ask: desk.runs(ask.service, limit=ask.number("limit", 100)),
        gives=list[asked.RunStatus],
    ),
    Door("POST", f"{_S}/updates", "Update.", lambda d, a: d.update(a.service, a.body), asked.Update, asked.Asked, 202),
    Door("POST", f"{_S}/swaps", "Swap.", lambda d, a: d.swap(a.service, a.body), asked.Swap, asked.Asked, 202),
    Door(
        "POST",
        f"{_S}/rollbacks",
        "Swap back.",
        lambda desk, ask: desk.rollback(ask.service, ask.body),
        asked.Rollback,
        asked.Asked,
        202,
    ),
    Door(
        "POST",
        f"{_S}/promotions",
        "Have the canary or the shadow go live.",
        lambda desk, ask: desk.promote(ask.service, ask.body),
        asked.Promote,
        asked.Asked,
        202,
    ),
    Door(
        "POST",
        f"{_S}/aborts",
        "Empty the canary or the shadow slot, or take a major away.",
        lambda desk, ask: desk.abort(ask.service, ask.body),
        asked.Abort,
        asked.Asked,
        202,
    ),
    Door(
        "POST",
        f"{_S}/versions",
        "Make a bundle of the store a version, and judge it.",
        lambda desk, ask: desk.register(ask.service, ask.body),
        asked.Register,
        asked.Asked,
        202,
    ),
    Door(
        "POST",
        f"{_S}/forgets",
        "Take records out of what learners remember.",
        lambda desk, ask: desk.forget(ask.service, ask.body),
        asked.Forget,
        asked.Asked,
        202,
    ),
    Door(
        "POST",
        f"{_S}/approvals",
        "Approve or disapprove.",
        lambda desk, ask: desk.approve(ask.service, ask.body),
        asked.Approve,
        VersionStatus,
        201,
    ),
    Door(
        "GET",
        f"{_S}/requests/{{request}}",
        "How a request ended.",
        lambda desk, ask: desk.answer(ask.service, ask.path["request"]),
        gives=asked.Asked,
    ),
)
"""Every door but health, the log of a run (a stream) and this table itself (`/openapi.json`)."""


def application(desk: Desk, *, token: str, process: int) -> Starlette:
    """The ASGI application; all but `/healthz` and `/openapi.json` need the token."""

    async def health(request: Request) -> Response:
        return _json({"ok": True, "process": process})

    async def described(request: Request) -> Response:
        return _json(openapi())

    def guarded(door: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not _granted(given, token):
                return _problem(401, "unauthorized", "expected the token of control.json as 'Authorization: Bearer …'")
            try:
                response: Response = await door(request)
            except errors.KeepfitError as error:
                return _problem(status_code(error), error.code, str(error))
            return response

        return endpoint

    async def log(request: Request) -> Response:
        run = request.path_params["run"]
        path = await run_in_threadpool(desk.log, request.path_params["service"], run)
        follow = request.query_params.get("follow", "0") != "0"
        return StreamingResponse(_lines(path, desk, run if follow else ""), media_type="text/plain; charset=utf-8")

    routes = [Route("/healthz", health), Route("/openapi.json", described)]
    routes.append(Route(f"{_S}/runs/{{run}}/log", guarded(log)))
    routes += [Route(door.path, guarded(_endpoint(door, desk)), methods=[door.method]) for door in DOORS]
    routes += [Route(path, guarded(act), methods=[method]) for method, path, act in Reception(desk).routes(_S)]
    return Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})


def _granted(given: str, token: str) -> bool:
    """Whether a caller has the token, also as a password: other people's loggers know only `http://me:token@host/`."""
    if given.startswith("Basic "):
        with suppress(ValueError):
            given = f"Bearer {base64.b64decode(given[6:], validate=True).decode().partition(':')[2]}"
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _no_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _problem(status, "no_route", f"{request.method} {request.url.path}: no such door; see /openapi.json")


def status_code(error: errors.KeepfitError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def _endpoint(door: Door, desk: Desk) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        body = await _body(request, door.takes) if door.takes else None
        path = {key: str(value) for key, value in request.path_params.items()}
        ask = Ask(path.get("service", ""), path, dict(request.query_params), body)
        given = await run_in_threadpool(door.act, desk, ask)
        if isinstance(given, asked.Asked) and given.done is None:
            given = await _answered(desk, ask.service, given, ask.number("wait", 0))
        if isinstance(given, asked.Asked) and given.code:
            return _problem(REFUSALS.get(given.code, 409), given.code, given.reason)
        done = isinstance(given, asked.Asked) and given.done is not None
        return _json(to_plain(given), 200 if done else door.status)

    return endpoint


async def _answered(desk: Desk, service: str, deed: asked.Asked, wait: int) -> asked.Asked:
    """The request's end, if it comes within `wait` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while deed.done is None and loop.time() < deadline:
        await asyncio.sleep(_POLL)
        deed = await run_in_threadpool(desk.answer, service, deed.request)
    return deed


async def _body(request: Request, kind: type) -> Any:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST:
            raise errors.Invalid(f"the body is larger than {LARGEST} bytes", code="body_too_large")
    try:
        return msgspec.convert(msgspec.json.decode(raw), kind)
    except msgspec.MsgspecError as error:
        raise errors.Invalid(f"the body does not fit {kind.__name__}: {error}", code="invalid_body") from error


async def _lines(path: Path, desk: Desk, run: str) -> AsyncIterator[bytes]:
    """A log as it is; with a run, also what is added until that Run has ended."""
    with path.open("rb") as file:
        while True:
            over = not run or await run_in_threadpool(desk.ended, run)
            while chunk := file.read(65536):
                yield chunk
            if over:
                return
            await asyncio.sleep(_POLL)


def _json(thing: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(thing), status, media_type="application/json")


def _problem(status: int, code: str, sentence: str) -> Response:
    return _json({"error": sentence, "code": code}, status)


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 description of the table of doors."""
    kinds = [kind for door in DOORS for kind in (door.takes, door.gives) if kind]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    found = iter(schemas)
    paths: dict[str, Any] = {}
    for door in DOORS:
        takes = next(found) if door.takes else None
        paths.setdefault(door.path, {})[door.method.lower()] = _operation(door, takes, next(found))
    return {
        "openapi": "3.1.0",
        "info": {"title": "keepfit control", "version": "1"},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _operation(door: Door, takes: dict[str, Any] | None, gives: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": gives}}
    names = [part[1:-1] for part in door.path.split("/") if part.startswith("{")]
    operation: dict[str, Any] = {
        "summary": door.does,
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "responses": {str(door.status): {"description": "done", "content": content}},
    }
    if takes:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": takes}}}
    return operation
