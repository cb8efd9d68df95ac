"""The Slots of a front worker: which Versions answer, and how others take their place without losing a request.

Versions are prepared off the event loop (loaded, held against their golden examples, warmed up), then a whole new
set of Slots is committed by one assignment: swap, rollback, promotion and abort are the same act. Every request is
answered by the Routing it began with: in one go on the event loop, or, where it leaves the loop, under a lease. A
Routing is closed when it is in no Slot any more and its last lease is returned. The Version that was live before stays
resident, so that going back is one assignment as well; it is let go before a third one is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from keepfit.core import registry
from keepfit.core.errors import Conflict, KeepfitError, NotFound, Refused, Unavailable
from keepfit.core.nouns import RECORD_ID, Digest, Held, Placement, Preserve, SlotName
from keepfit.core.service import Serving
from keepfit.core.signature import Compatibility, compare
from keepfit.serve.courtesy import step_back
from keepfit.serve.manifest import manifest
from keepfit.serve.routing import Routing, open_routing

_log = logging.getLogger(__name__)

T = TypeVar("T")
_Key = tuple[int, Digest, bool]  # version, digest, and whether it is loaded aside


class Between(Exception):
    """Not an error: the Version that answered was let go to make room, and `done` ends when another one answers."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        super().__init__("a swap is under way")
        self.done = done


@dataclass(frozen=True)
class Deployment:
    """The loaded Slots behind one contract: `service`, or `service@2` where a second major is served beside it."""

    name: str
    placed: Placement = Placement()
    live: Routing | None = None
    previous: Routing | None = None
    canary: Routing | None = None
    shadow: Routing | None = None
    between: asyncio.Future[None] | None = None

    def routing(self, version: str = "") -> Routing:
        """The live Routing, or the one of a Version number; Unavailable (`not_ready`), NotFound, or Between."""
        if not version:
            if self.live is not None:
                return self.live
            if self.between is not None:
                raise Between(self.between)
            raise Unavailable(f"'{self.name}' has no live version yet; swap one in", code="not_ready")
        found = next((r for r in self.resident if str(r.version) == version), None)
        if found is None:
            there = ", ".join(str(routing.version) for routing in self.resident) or "none"
            raise NotFound(f"version '{version}' is not loaded here; there are: {there}", code="unknown_version")
        return found

    @property
    def resident(self) -> tuple[Routing, ...]:
        """The Routings a caller may ask for by number: a shadow is never heard."""
        return tuple(r for r in (self.live, self.canary, self.previous) if r is not None)

    @property
    def all(self) -> tuple[Routing, ...]:
        """Every Routing in a Slot."""
        return (*self.resident, self.shadow) if self.shadow is not None else self.resident


class Slots:
    """Every Deployment of a front worker by its major; used from one event loop."""

    def __init__(self, service: str, verified: Callable[[Digest], Path], serving: Serving = Serving()) -> None:
        self.service = service
        self.serving = serving
        self.majors: Mapping[int, Deployment] = {}
        self.named: dict[str, Deployment] = {}
        self.swaps = self.breaches = 0
        self._verified = verified
        self._loaded: dict[_Key, Routing] = {}
        self._prepared: dict[int, Deployment] | None = None
        self._draining: dict[Routing, float] = {}
        self._late: set[Routing] = set()
        self._closing: set[asyncio.Future[None]] = set()
        self._calm = asyncio.Event()
        self._threads = ThreadPoolExecutor(2, "keepfit-load", initializer=step_back)
        self._become({1: Deployment(service)})

    @property
    def placements(self) -> dict[int, Placement]:
        """What every major's Slots hold."""
        return {major: deployment.placed for major, deployment in self.majors.items()}

    @property
    def draining(self) -> int:
        """The Versions that left and still have requests to answer."""
        return len(self._draining)

    def lease(self, routing: Routing) -> None:
        """Keep `routing` loaded while a request that began with it is answered off the event loop."""
        routing.leases += 1

    def release(self, routing: Routing) -> None:
        """Give a lease back; the last one of a Version that left lets it go."""
        routing.leases -= 1
        if not routing.leases and routing in self._draining:
            del self._draining[routing]
            self._late.discard(routing)
            self._close(routing)
            self._calm.set()

    def tick(self) -> None:
        """Report, once each, the Versions that have been answering for too long after they left."""
        for routing, since in self._draining.items():
            if routing not in self._late and monotonic() - since > self.serving.drain:
                self._late.add(routing)
                self.breaches += 1
                _log.error(
                    "slot.drain_breached version=%d leases=%d limit=%g",
                    routing.version,
                    routing.leases,
                    self.serving.drain,
                )

    async def prepare(self, wanted: Mapping[int, Placement]) -> None:
        """First phase: have every wanted Version loaded and proved; Refused where one may not answer.

        What a Slot held before comes back where it fails. Going back to the Version before is never refused for its
        Signature: its callers are the older ones.
        """
        await self.discard()
        now, before = self.majors, self.placements
        try:
            await self._make_room(wanted)
            prepared = {major: await self._filled(major, placed) for major, placed in wanted.items()}
            for major, deployment in prepared.items():
                _expect_key(deployment)
                if major in now:
                    _expect_compatible(now[major], deployment)
        except BaseException:
            await self._restore(before)
            raise
        self._prepared = prepared

    def commit(self) -> None:
        """Second phase: one assignment; what is in no Slot any more is let go."""
        if self._prepared is None:
            raise Conflict("nothing is prepared")
        majors, self._prepared = self._prepared, None
        self._become(majors)
        self.swaps += 1

    async def discard(self) -> None:
        """Let go of what was prepared and not committed."""
        if self._prepared is not None:
            self._prepared = None
            await self._restore(self.placements)

    async def keep(self, wanted: Mapping[int, Placement]) -> None:
        """Load what is there to go back to, after a start."""
        for major, placed in wanted.items():
            if placed.previous is not None and self.majors[major].previous is None:
                previous = await self._missed(placed.previous)
                self._become({**self.majors, major: replace(self.majors[major], placed=placed, previous=previous)})

    async def close(self) -> None:
        """Let go of everything."""
        self._prepared = None
        self._become({})
        await asyncio.gather(*self._closing)
        self._threads.shutdown(wait=False)

    async def _make_room(self, wanted: Mapping[int, Placement]) -> None:
        """Let go of the Versions to go back to which nobody wants any more, and, to save memory, of live ones too."""
        needed = {held for placed in wanted.values() for held in _held(placed)}
        missing = needed - {held for placed in self.placements.values() for held in _held(placed)}
        if not missing:
            return
        majors = dict(self.majors)
        for major, deployment in self.majors.items():
            if (deployment.placed.previous, False) not in needed:
                majors[major] = replace(majors[major], previous=None)
            if (
                self.serving.preserve is Preserve.RESOURCES
                and wanted.get(major) != deployment.placed
                and deployment.live
            ):
                done = asyncio.get_running_loop().create_future()
                majors[major] = replace(majors[major], live=None, previous=None, between=done)
        self._become(majors)
        if self.serving.preserve is Preserve.RESOURCES:
            await self._emptied()

    async def _emptied(self) -> None:
        """Wait, as long as draining may take, until what left is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.serving.drain):
                while self._draining:
                    self._calm.clear()
                    await self._calm.wait()
        await asyncio.gather(*self._closing)

    async def _restore(self, placements: Mapping[int, Placement]) -> None:
        """Have again what was let go for a swap that did not happen, and forget what was loaded for it."""
        try:
            self._become({major: await self._filled(major, placed) for major, placed in placements.items()})
        except KeepfitError as error:
            _log.error("slot.not_restored service=%s error=%s", self.service, error)
            self._become({major: replace(d, between=None) for major, d in self.majors.items()})

    async def _filled(self, major: int, placed: Placement) -> Deployment:
        """A Deployment with everything loaded that is not yet."""
        return Deployment(
            f"{self.service}@{major}" if major > 1 else self.service,
            placed,
            live=await self._opened(placed.live),
            previous=await self._missed(placed.previous),
            canary=await self._opened(placed.canary),
            shadow=await self._opened(placed.shadow, aside=True),
        )

    async def _missed(self, held: Held | None) -> Routing | None:
        """The Version to go back to: one that cannot be loaded is only missed."""
        try:
            return await self._opened(held)
        except KeepfitError as error:
            _log.warning("slot.previous_lost version=%d error=%s", held.version if held else 0, error)
            return None

    async def _opened(self, held: Held | None, *, aside: bool = False) -> Routing | None:
        if held is None:
            return None
        key = (held.version, held.digest, aside)
        if key not in self._loaded:
            other = next((k for k in self._loaded if k[0] == held.version and k[1] != held.digest), None)
            if other is not None:
                raise Conflict(f"v{held.version} is resident with digest {other[1][:12]}, not {held.digest[:12]}")
            directory = await self._aside(self._verified, held.digest)
            runtime = registry.load("keepfit.runtimes", manifest(directory).runtime)
            # A process that a model is given inherits how nice the thread is which starts it, and it has to answer.
            beside = self._aside if getattr(runtime, "inline", False) and not aside else asyncio.to_thread
            self._loaded[key] = await beside(open_routing, self.service, held, directory, aside, self.serving)
        return self._loaded[key]

    def _become(self, majors: Mapping[int, Deployment]) -> None:
        """Make these the Slots; whoever waited for a Version goes on."""
        before, self.majors = self.majors, majors
        self.named = {deployment.name: deployment for deployment in majors.values()}
        if 1 in majors:
            self.named[""] = majors[1]
        kept = {routing for deployment in majors.values() for routing in deployment.all}
        for key, routing in list(self._loaded.items()):
            if routing not in kept:
                del self._loaded[key]
                self._let_go(routing)
        for deployment in before.values():
            if deployment.between is not None and deployment.between not in {d.between for d in majors.values()}:
                deployment.between.set_result(None)

    def _let_go(self, routing: Routing) -> None:
        if routing.leases:
            self._draining[routing] = monotonic()
        else:
            self._close(routing)

    def _close(self, routing: Routing) -> None:
        # Not on a thread that steps back: a large model is freed under the interpreter's lock, the sooner the better.
        closing = asyncio.ensure_future(asyncio.to_thread(routing.predictor.close))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do what takes long, or waits, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _held(placed: Placement) -> Iterator[tuple[Held, bool]]:
    """The Versions of all Slots, each with whether it is loaded aside."""
    for held in (placed.live, placed.previous, placed.canary):
        if held is not None:
            yield held, False
    if placed.shadow is not None:
        yield placed.shadow, True


def _expect_key(then: Deployment) -> None:
    """Refused (`unknown_input`) where the canary is to be chosen by the value of an input that does not exist."""
    key = then.placed.key
    if then.canary is None or then.live is None or key in ("", RECORD_ID):
        return
    names = [field.name for field in then.live.bundle.signature.inputs]
    if key not in names:
        raise Refused(
            f"the canary's key '{key}' is no input of '{then.name}'; expected {RECORD_ID} or one of: "
            + ", ".join(names),
            code="unknown_input",
        )


def _expect_compatible(now: Deployment, then: Deployment) -> None:
    """Refused (`breaking`) where a Version that comes in would break the callers of the one that is live."""
    if now.live is None:
        return
    for name in SlotName:
        routing, held = getattr(then, name), getattr(then.placed, name)
        back = name is SlotName.LIVE and held == now.placed.previous
        if routing is None or back or held == getattr(now.placed, name):
            continue
        relation = compare(now.live.bundle.signature, routing.bundle.signature)
        if relation.kind is Compatibility.BREAKING:
            raise Refused(
                f"v{routing.version} would break callers of v{now.live.version}: {'; '.join(relation.changes)}; "
                "it can be served beside it under a major of its own (--major)",
                code="breaking",
            )
