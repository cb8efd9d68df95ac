"""Spread: one piece of work on each of many things, on several processes of this machine or on a Ray cluster.

Results come in the order of the things, whoever made them, so that joining them gives the same bytes everywhere.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from keepfit.core.errors import Conflict, KeepfitError, MissingExtra, Unavailable
from keepfit.core.imports import do_without

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Does work elsewhere."""

    def map(self, work: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
        """What `work` makes of each thing, in order; an error is raised where its result would come."""
        ...


@dataclass(frozen=True)
class Processes:
    """So many processes of this machine."""

    count: int

    def map(self, work: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
        """Unavailable (`lost`) where a process ends before its work does."""
        from concurrent.futures import ProcessPoolExecutor  # these take 20 ms, which nobody else should wait for
        from concurrent.futures.process import BrokenProcessPool
        from multiprocessing import get_context

        pool = ProcessPoolExecutor(
            min(self.count, len(things)),
            mp_context=get_context("spawn"),
            initializer=do_without,
            initargs=("pandas",),
        )
        with pool:
            try:
                yield from pool.map(work, things)
            except BrokenProcessPool as error:
                raise Unavailable(
                    "a worker process ended before its work did: was memory short?", code="lost"
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Ray:
    """A Ray cluster (extra `ray`): the one at `address` (`host:port`), or without one a local one for the moment.

    Whoever reaches a cluster that asks for no token runs what he likes on it, so an address is refused (`no_token`)
    unless Ray's token authentication is on here (RAY_AUTH_MODE=token), or it is `forced`.
    """

    address: str = ""
    forced: bool = False

    def map(self, work: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
        """Errors of keepfit's are raised as they were there; Unavailable (`lost`) for what the cluster lost."""
        require_token(self.address, forced=self.forced)
        with joining(self.address) as ray:
            task, shared = ray.remote(_done), ray.put(work)
            most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
            waiting: deque[Any] = deque()
            for thing in things:
                waiting.append(task.remote(shared, thing))
                if len(waiting) >= most:  # the cluster's store of objects stays small
                    yield _taken(ray, waiting.popleft())
            while waiting:
                yield _taken(ray, waiting.popleft())


@contextmanager
def joining(address: str) -> Iterator[Any]:
    """Ray, connected as long as the context lasts; a connection that is there already is used, and stays."""
    where = {"address": address} if address else _local()
    ray = imported()
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(log_to_driver=False, configure_logging=False, **where)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Unavailable(f"the Ray cluster '{address}' cannot be joined: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _local() -> dict[str, Any]:
    """What a cluster of this process alone is started with: a secret of its own, and no door to other machines."""
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}


def imported() -> Any:
    """The package; MissingExtra where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of every cluster
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    return ray


def require_token(address: str, *, forced: bool) -> None:
    """Conflict (`no_token`) where a cluster would be joined without a token."""
    if address and not forced and os.environ.get("RAY_AUTH_MODE") != "token":
        raise Conflict(
            f"the Ray cluster {address} would be joined without a token, and whoever reaches such a cluster runs what "
            "he likes on it; start it with RAY_AUTH_MODE=token and set that here as well (RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH), or force it",
            code="no_token",
        )


def _done(work: Callable[[T], R], thing: T) -> R:
    return work(thing)


def _taken(ray: Any, result: Any) -> Any:
    try:
        return ray.get(result)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, KeepfitError) else error from error
    except ray.exceptions.RayError as error:
        raise Unavailable(f"the Ray cluster lost a piece of work: {error}", code="lost") from error
