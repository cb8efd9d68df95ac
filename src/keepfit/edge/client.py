"""A client of the control API: what the CLI and every program uses instead of opening the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

import httpx
import msgspec

from keepfit.core import errors
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.registry import from_plain, to_plain
from keepfit.edge import asked
from keepfit.edge.apply import Applying
from keepfit.edge.status import ServiceStatus, VersionStatus

T = TypeVar("T")

_ERRORS: dict[int, type[errors.KeepfitError]] = {
    404: errors.NotFound,
    409: errors.Conflict,
    422: errors.Invalid,
    503: errors.Unavailable,
    507: errors.Refused,
}
_MARGIN = 30.0  # seconds beyond what a caller waits for anyway


class Client:
    """Speaks with one control process; close it, or use it in a `with`."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=_MARGIN, trust_env=False)

    @classmethod
    def of(cls, places: Places) -> Client | None:
        """A client of the control process that runs this store now, or None."""
        try:
            said = msgspec.json.decode(places.control.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        client = cls(said["address"], said["token"])
        with suppress(httpx.TransportError, ValueError, AttributeError):  # somebody else may have the port now
            if client._http.get("/healthz", timeout=5.0).json().get("process") == said["pid"]:
                return client
        client.close()
        return None

    @classmethod
    def wait_for(cls, places: Places, patience: float = 60.0) -> Client:
        """A client as soon as the control process is up; Unavailable after `patience` seconds."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            client = cls.of(places)
            if client is not None:
                return client
            time.sleep(0.05)
        raise errors.Unavailable(f"no control process came up for {places.root} within {patience:g} s; see its log")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def services(self) -> list[str]:
        """The names of the applied Services."""
        return [one["service"] for one in self._get("/v1/services")]

    def apply(self, specification: Digest, *, actor: str) -> Applying:
        """Put a stored Specification in force."""
        return self._post("/v1/services", asked.Apply(specification=specification, actor=actor), Applying)

    def status(self, service: str) -> ServiceStatus:
        """Where a Service stands."""
        return from_plain(ServiceStatus, self._get(f"/v1/services/{service}/status"))

    def versions(self, service: str) -> tuple[VersionStatus, ...]:
        """All Versions of a Service, the newest last."""
        return from_plain(tuple[VersionStatus, ...], self._get(f"/v1/services/{service}/versions"))

    def runs(self, service: str) -> tuple[asked.RunStatus, ...]:
        """The latest Runs of a Service, the newest last."""
        return from_plain(tuple[asked.RunStatus, ...], self._get(f"/v1/services/{service}/runs"))

    def facts(self, service: str, kind: str = "", *, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """Facts as plain data with `seq` and `kind`, oldest first; ask again with the last `seq` for more."""
        found: list[dict[str, Any]] = self._get(
            f"/v1/services/{service}/facts", {"kind": kind, "after": after, "limit": limit}
        )
        return found

    def update(self, service: str, reason: str, *, actor: str, dataset: Digest = "", wait: int = 0) -> asked.Asked:
        """Ask for a candidate; with `wait`, for its end up to so many seconds."""
        wish = asked.Update(reason=reason, actor=actor, dataset=dataset)
        return self._post(f"/v1/services/{service}/updates", wish, asked.Asked, wait)

    def swap(self, service: str, wish: asked.Swap, *, wait: int = 60) -> asked.Asked:
        """Ask for a Version to go into a Slot; Conflict (`breaking`) lists what would break callers."""
        return self._post(f"/v1/services/{service}/swaps", wish, asked.Asked, wait)

    def rollback(self, service: str, wish: asked.Rollback, *, wait: int = 60) -> asked.Asked:
        """Ask for the Version before."""
        return self._post(f"/v1/services/{service}/rollbacks", wish, asked.Asked, wait)

    def promote(self, service: str, wish: asked.Promote, *, wait: int = 60) -> asked.Asked:
        """Ask for the canary or the shadow to go live."""
        return self._post(f"/v1/services/{service}/promotions", wish, asked.Asked, wait)

    def abort(self, service: str, wish: asked.Abort, *, wait: int = 60) -> asked.Asked:
        """Ask for a Slot to be emptied."""
        return self._post(f"/v1/services/{service}/aborts", wish, asked.Asked, wait)

    def register(self, service: str, wish: asked.Register, *, wait: int = 0) -> asked.Asked:
        """Ask for a Bundle of the store to become a Version; with `wait`, for its Verdict up to so many seconds."""
        return self._post(f"/v1/services/{service}/versions", wish, asked.Asked, wait)

    def forget(self, service: str, wish: asked.Forget, *, wait: int = 60) -> asked.Asked:
        """Ask for Records to be taken out of what learners remember."""
        return self._post(f"/v1/services/{service}/forgets", wish, asked.Asked, wait)

    def approve(self, service: str, version: int, *, yes: bool, reason: str, actor: str) -> VersionStatus:
        """Record a person's yes or no to a Version."""
        wish = asked.Approve(version=version, yes=yes, reason=reason, actor=actor)
        return self._post(f"/v1/services/{service}/approvals", wish, VersionStatus)

    def answer(self, service: str, request: str, *, wait: int = 0) -> asked.Asked:
        """How a request ended, if it did within `wait` seconds."""
        return from_plain(asked.Asked, self._get(f"/v1/services/{service}/requests/{request}", {"wait": wait}))

    def log(self, service: str, run: str, *, follow: bool = False) -> Iterator[str]:
        """The log of a Run in pieces; with `follow` until the Run has ended."""
        query = {"follow": int(follow)}
        with self._http.stream("GET", f"/v1/services/{service}/runs/{run}/log", params=query, timeout=None) as answer:
            if answer.status_code != 200:
                answer.read()
                _raise(answer)
            yield from answer.iter_text()

    def _get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        return self._said(lambda: self._http.get(path, params=query, timeout=_MARGIN + (query or {}).get("wait", 0)))

    def _post(self, path: str, wish: Any, kind: type[T], wait: int = 0) -> T:
        body = msgspec.json.encode(to_plain(wish))
        answer = self._said(lambda: self._http.post(path, content=body, params={"wait": wait}, timeout=_MARGIN + wait))
        return from_plain(kind, answer)

    def _said(self, ask: Any) -> Any:
        try:
            answer: httpx.Response = ask()
        except httpx.TransportError as error:
            raise errors.Unavailable(f"the control process at {self.address} does not answer: {error}") from error
        if answer.status_code >= 300:
            _raise(answer)
        return msgspec.json.decode(answer.content)


def _raise(answer: httpx.Response) -> None:
    try:
        said = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        said = {"error": f"the control process answered {answer.status_code}", "code": "error"}
    raise _ERRORS.get(answer.status_code, errors.KeepfitError)(said["error"], code=said["code"])
