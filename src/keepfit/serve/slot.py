"""The Slot of a front worker: which Version answers, and how another one takes its place without losing a request.

A Version is prepared off the event loop (loaded, held against its golden examples, warmed up), then committed by one
assignment. Every request is answered by the Routing it began with: in one go on the event loop, or, where it
leaves the loop, under a lease. A Routing is closed when it has left the Slot and its last
lease is returned. The Version before the live one stays resident, so that going back is one assignment as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from keepfit.core import registry
from keepfit.core.errors import Conflict, Invalid, KeepfitError, ModelFault, Refused
from keepfit.core.nouns import Bundle, Digest
from keepfit.core.protocols import Predictor
from keepfit.core.signature import Compatibility, compare
from keepfit.serve.capture import Form
from keepfit.serve.courtesy import step_back
from keepfit.serve.http import JSON
from keepfit.serve.loading import load, rehearse
from keepfit.serve.manifest import manifest
from keepfit.serve.wire import Inference, Labels, Rows

T = TypeVar("T")


class Routing:
    """One loaded Version and everything that answering with it needs."""

    def __init__(self, service: str, version: int, digest: Digest, bundle: Bundle, predictor: Predictor) -> None:
        self.version = version
        self.digest = digest
        self.bundle = bundle
        self.predictor = predictor
        self.inference = Inference(service, version, digest, bundle.signature)
        self.rows = Rows(bundle.signature)
        self.labels = Labels(bundle.label, bundle.task, bundle.classes) if bundle.label else None
        self.form = Form(version, bundle.signature)
        self.headers = JSON + b"keepfit-version: %d\r\nkeepfit-bundle: %s\r\n" % (version, digest.encode())
        self.leases = 0
        self.retired = False


def open_routing(service: str, version: int, digest: Digest, directory: Path) -> Routing:
    """Load a Version, run its golden examples and warm it up; Refused with the reason where it may not answer.

    Blocks: not for the event loop.
    """
    bundle, predictor = load(directory)
    try:
        if bundle.service != service:
            raise Refused(f"the Bundle was made for service '{bundle.service}', not '{service}'", code="wrong_service")
        error = rehearse(directory, bundle, predictor)  # which also warms it up
        if not error <= bundle.tolerance:
            raise Refused(
                f"v{version} misses its golden examples by {error:.3g}; at most {bundle.tolerance:g} is allowed",
                code="golden",
            )
        return Routing(service, version, digest, bundle, predictor)
    except (ModelFault, Invalid) as error:
        predictor.close()
        raise Refused(f"v{version} fails on its golden examples: {error}", code="golden") from error
    except KeepfitError:
        predictor.close()
        raise


class Slot:
    """Holds the live Routing, the one before it, and the one prepared; used from one event loop."""

    def __init__(self, service: str, verified: Callable[[Digest], Path]) -> None:
        self.service = service
        self.live: Routing | None = None
        self.previous: Routing | None = None
        self._prepared: Routing | None = None
        self._verified = verified
        self._closing: set[asyncio.Future[None]] = set()
        self._threads = ThreadPoolExecutor(2, "keepfit-load", initializer=step_back)

    def find(self, version: int) -> Routing | None:
        """The resident Routing of a Version number."""
        return next((r for r in (self.live, self.previous) if r is not None and r.version == version), None)

    def lease(self, routing: Routing) -> None:
        """Keep `routing` loaded while a request that began with it is answered off the event loop."""
        routing.leases += 1

    def release(self, routing: Routing) -> None:
        """Give a lease back; the last one of a Version that left lets it go."""
        routing.leases -= 1
        if routing.retired and not routing.leases:
            self._close(routing)

    async def prepare(self, version: int, digest: Digest, *, back: bool = False) -> None:
        """First phase: have the Version loaded and proved; Refused where it may not take the live one's place.

        Going `back` to the Version before is never refused for its Signature: its callers are the older ones.
        """
        await self.discard()
        resident = self.find(version)
        if resident is not None:
            if resident.digest != digest:
                raise Conflict(f"v{version} is resident with digest {resident.digest[:12]}, not {digest[:12]}")
            self._prepared = resident
            return
        routing = await self._opened(version, digest)
        if self.live is not None and not back:
            relation = compare(self.live.bundle.signature, routing.bundle.signature)
            if relation.kind is Compatibility.BREAKING:
                await self._aside(routing.predictor.close)
                raise Refused(
                    f"v{version} would break callers of v{self.live.version}: {'; '.join(relation.changes)}",
                    code="breaking",
                )
        self._prepared = routing

    def commit(self, version: int) -> None:
        """Second phase: one assignment; the Version that left stays resident, the one before it is let go."""
        routing = self._prepared
        if routing is None or routing.version != version:
            raise Conflict(f"v{version} is not prepared")
        self._prepared = None
        if routing is self.live:
            return
        gone, self.previous, self.live = self.previous, self.live, routing
        if gone is not None and gone is not routing:
            self._retire(gone)

    async def discard(self) -> None:
        """Let go of what was prepared and not committed."""
        routing, self._prepared = self._prepared, None
        if routing is not None and routing is not self.live and routing is not self.previous:
            await self._aside(routing.predictor.close)

    async def keep(self, version: int, digest: Digest) -> None:
        """Load a Version as the previous one: what a rollback after a restart goes back to."""
        if self.previous is None:
            self.previous = await self._opened(version, digest)

    async def close(self) -> None:
        """Let go of everything."""
        await self.discard()
        for routing in (self.live, self.previous):
            if routing is not None:
                self._retire(routing)
        self.live = self.previous = None
        await asyncio.gather(*self._closing)
        self._threads.shutdown(wait=False)

    async def _aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do what takes long, or waits, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _opened(self, version: int, digest: Digest) -> Routing:
        directory = await self._aside(self._verified, digest)
        runtime = registry.load("keepfit.runtimes", manifest(directory).runtime)
        # A process that a model is given inherits how nice the thread is which starts it, and it has to answer.
        aside = self._aside if getattr(runtime, "inline", False) else asyncio.to_thread
        return await aside(open_routing, self.service, version, digest, directory)

    def _retire(self, routing: Routing) -> None:
        routing.retired = True
        if not routing.leases:
            self._close(routing)

    def _close(self, routing: Routing) -> None:
        closing = asyncio.ensure_future(self._aside(routing.predictor.close))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
