"""The data plane: one way from decoded inputs to an answer, whatever door they came through.

A door decodes a request with the live Version's wires and hands over an Exchange; the plane chooses the canary where
it is its turn, predicts where the model lives (on the event loop, on a thread, in a process), gives the shadow its
copy, records what was answered, and has the door encode it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Conflict, DataInvalid, KeepfitError, NotFound, SignatureInvalid, Unavailable
from keepfit.core.nouns import RECORD_ID, Check, Finding, Severity
from keepfit.core.protocols import Remote
from keepfit.serve.cache import Cache
from keepfit.serve.capture import Capture
from keepfit.serve.events import Events
from keepfit.serve.forms import Numbered
from keepfit.serve.intake import Intake
from keepfit.serve.routing import Routing
from keepfit.serve.slot import Deployment, Slots
from keepfit.serve.tally import Answering, Tally
from keepfit.serve.wire.tables import numpy_type

_log = logging.getLogger(__name__)

LONGEST_ID = 200
_MIRRORED = 8  # copies the shadow may have before it; under load it is the first that goes without

OUT_OF_LINE = ("model", "version", "feature", "anomaly", "severity")
"""What rows that are out of line are counted by."""

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """A decoded request: `pinned` where the caller named the Version; `deadline` in seconds, None for the Service's."""

    deployment: Deployment
    routing: Routing
    ids: Sequence[str]
    inputs: Arrays
    pinned: bool = False
    deadline: float | None = None
    trace: str = ""


class _Begun(NamedTuple):
    """Who answers what, since when (microseconds since 1970), where that is counted, and its key in the cache."""

    routing: Routing
    inputs: Arrays
    micros: int
    counted: Answering
    key: bytes


class Plane:
    """Answers Exchanges with what the Slots hold."""

    def __init__(
        self,
        slots: Slots,
        *,
        now: Callable[[], int],
        capture: Capture | None = None,
        shadow: Capture | None = None,
        intake: Intake | None = None,
        events: Events | None = None,
    ) -> None:
        self.slots = slots
        self.tally = Tally()
        self.capture = capture
        self.intake = intake
        self.events = events
        self.cache = Cache(slots.serving.cache) if slots.serving.cache else None
        self._queued = self.tally.sizes("parallel_request_queue", "As MLServer calls it.")
        self.mirrored = self.unmirrored = 0
        self.out_of_line: Counter[tuple[str, int, str, str, str]] = Counter()
        self._now = now
        self.shadow = shadow
        self._mirroring = 0
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="keepfit-predict")
        mark = secrets.token_hex(6)
        self.mint = map((mark + "-%x").__mod__, itertools.count()).__next__

    def deployment(self, name: str = "") -> Deployment:
        """The Deployment of a model name (`service`, `service@2`; "" is the first); NotFound (`unknown_model`)."""
        found = self.slots.named.get(name)
        if found is None:
            there = ", ".join(f"'{deployment.name}'" for deployment in self.slots.majors.values())
            raise NotFound(f"there is no model '{name}'; here is {there}", code="unknown_model")
        return found

    def ids(self, id: str, rows: int) -> Sequence[str]:
        """The Record ids of a request: its own where it has one row, numbered where it has more."""
        if len(id) > LONGEST_ID:
            raise SignatureInvalid(f"a record id has more than {LONGEST_ID} characters", code="id_too_long")
        return [id] if rows == 1 else Numbered(id, rows)

    def answer(self, asked: Exchange, encode: Callable[[Routing, Arrays], T]) -> T | Awaitable[T]:
        """Answer, at once where nothing has to be waited for; ModelFault, Unavailable (`queue_full`, `deadline`)."""
        routing, inputs, canary = asked.routing, asked.inputs, asked.deployment.canary
        if canary is not None and not asked.pinned and _drawn(asked):
            routing, inputs = canary, _widened(canary, inputs)
        if routing.screen is not None:
            self._note(asked.deployment.name, routing.version, routing.screen(inputs))
        micros = self._now()
        counted = routing.counted.get("canary" if routing is canary else "live") or self._counted(asked, routing)
        key = b""
        if self.cache is not None:
            key, known = self.cache.find(routing.digest, inputs)
            if known is not None:
                counted.add(len(asked.ids), 0.0)
                return self._finished(asked, routing, inputs, known, micros, encode)
        if len(asked.ids) > routing.quick:
            self.slots.lease(routing)
            return self._waited(asked, _Begun(routing, inputs, micros, counted, key), encode)
        began = perf_counter()
        try:
            outputs = routing.predictor.predict(inputs)
        except Exception:
            counted.fail()
            raise
        counted.add(len(asked.ids), perf_counter() - began)
        if self.cache is not None:
            self.cache.keep(key, outputs)
        return self._finished(asked, routing, inputs, outputs, micros, encode)

    def _note(self, model: str, version: int, findings: tuple[Finding, ...]) -> None:
        """Count what is out of line in a request; DataInvalid (`out_of_line`) where that is to be refused."""
        for one in findings:
            kind = (model, version, one.subject, one.anomaly, one.severity.value)
            if kind not in self.out_of_line:  # no values here: some are never to be written
                _log.warning("request.out_of_line model=%s version=%d feature=%s anomaly=%s severity=%s", *kind)
            self.out_of_line[kind] += one.count
            labels = dict(zip(OUT_OF_LINE, kind, strict=True))
            self.tally.count("keepfit_out_of_line_rows_total", "Rows that the schema objects to.", one.count, **labels)
        grave = [one.sentence for one in findings if one.severity is Severity.ERROR]
        if grave and self.slots.serving.check == Check.REFUSE:
            raise DataInvalid("; ".join(grave), code="out_of_line")

    def _counted(self, asked: Exchange, routing: Routing) -> Answering:
        slot = "canary" if routing is asked.deployment.canary else "live"
        found = routing.counted[slot] = self.tally.version(asked.deployment.name, routing.version, slot)
        return found

    async def until(self, done: asyncio.Future[None]) -> None:
        """Wait, as long as a request may, for a swap that holds only one Version at a time."""
        try:
            await asyncio.wait_for(asyncio.shield(done), self.slots.serving.deadline)
        except TimeoutError as error:
            raise Unavailable("the version that comes next is still being loaded", code="deadline") from error

    def accept(self, deployment: Deployment, body: bytes) -> Awaitable[int]:
        """Take labels; their number when they are on disk, without those of requests that the sample left out."""
        wire = deployment.routing().labels
        if wire is None:
            raise Conflict(
                f"'{deployment.name}' declares no label, so none can be taken; "
                "onboard its model with --task and --label",
                code="no_label",
            )
        ids, labels = wire.decode(body)
        if self.intake is None:
            raise Conflict("this runner records nothing (--no-capture), so it knows no record to label")
        return self._accepted(self.intake, ids, labels)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _accepted(self, intake: Intake, ids: list[str], labels: list[Any]) -> int:
        if self.capture is not None:  # whoever labels everything need not know the sample
            sampled = [self.capture.takes(id) for id in ids]
            ids, labels = list(itertools.compress(ids, sampled)), list(itertools.compress(labels, sampled))
        if ids:
            await intake.accept(ids, labels)
        return len(ids)

    async def _waited(self, asked: Exchange, begun: _Begun, encode: Callable[[Routing, Arrays], T]) -> T:
        """Predict off the event loop, with a Routing leased until that has ended, whoever still waits for it."""
        routing, inputs, micros, counted, key = begun
        began = perf_counter()
        try:
            outputs = await self._awaited(asked, routing, inputs)
        except Exception:
            counted.fail()
            raise
        counted.add(len(asked.ids), perf_counter() - began)
        if self.cache is not None:
            self.cache.keep(key, outputs)
        return self._finished(asked, routing, inputs, outputs, micros, encode)

    async def _awaited(self, asked: Exchange, routing: Routing, inputs: Arrays) -> Arrays:
        inline, patience = routing.predictor.inline, asked.deadline or self.slots.serving.deadline
        try:
            answering = self._elsewhere(routing, inputs)
        except BaseException:
            self.slots.release(routing)
            raise
        answering.add_done_callback(lambda _: self.slots.release(routing))
        try:
            if not inline and asked.deadline is None:  # a Remote keeps the Service's deadline by itself
                return await answering
            # a thread cannot be stopped, a request that waits for a process can be taken back
            return await asyncio.wait_for(asyncio.shield(answering) if inline else answering, patience)
        except TimeoutError as error:
            raise Unavailable(f"no answer within {patience:g} s", code="deadline") from error

    def _elsewhere(self, routing: Routing, inputs: Arrays) -> asyncio.Future[Arrays]:
        if routing.predictor.inline:
            return asyncio.get_running_loop().run_in_executor(self._threads, routing.predictor.predict, inputs)
        self._queued.add(getattr(routing.predictor, "waiting", 0))
        return cast("Remote", routing.predictor).ask(inputs)

    def _finished(
        self,
        asked: Exchange,
        routing: Routing,
        inputs: Arrays,
        outputs: Arrays,
        micros: int,
        encode: Callable[[Routing, Arrays], T],
    ) -> T:
        if self.capture is not None:
            self.capture.add(routing.form, asked.ids, micros, inputs, outputs, asked.trace)
        if asked.deployment.shadow is not None:
            self._mirror(asked, asked.deployment.shadow, micros)
        return encode(routing, outputs)

    def _mirror(self, asked: Exchange, shadow: Routing, micros: int) -> None:
        """Have the shadow answer too; nobody waits for it, and it goes without where it does not keep up."""
        if self._mirroring >= _MIRRORED:
            self.unmirrored += 1
            return
        inputs = _widened(shadow, asked.inputs)
        try:
            answering = cast("Remote", shadow.predictor).ask(inputs)
        except KeepfitError:
            self.unmirrored += 1
            return
        self._mirroring += 1
        self.slots.lease(shadow)
        answering.add_done_callback(partial(self._mirrored, asked, shadow, inputs, micros))

    def _mirrored(
        self, asked: Exchange, shadow: Routing, inputs: Arrays, micros: int, answered: asyncio.Future[Arrays]
    ) -> None:
        self._mirroring -= 1
        self.slots.release(shadow)
        if answered.cancelled() or answered.exception() is not None:
            self.unmirrored += 1
            self.tally.version(asked.deployment.name, shadow.version, "shadow").fail()
            return
        self.mirrored += 1
        self.tally.version(asked.deployment.name, shadow.version, "shadow").add(len(asked.ids), 0.0)
        if self.shadow is not None:
            self.shadow.add(shadow.form, asked.ids, micros, inputs, answered.result(), asked.trace)


def _drawn(asked: Exchange) -> bool:
    """Whether it is the canary's turn: at random, or always the same for one value of the key (of the first row)."""
    share, key = asked.deployment.placed.share, asked.deployment.placed.key
    if not key:
        return random.random() < share
    value = asked.ids[0] if key == RECORD_ID else asked.inputs[key].reshape(-1)[:1].tolist()[0]
    return zlib.crc32(str(value).encode()) < share * 2**32


def _widened(routing: Routing, inputs: Arrays) -> Arrays:
    """Inputs that were decoded for the live Version, in the types of one whose Signature may be wider."""
    return {
        field.name: np.asarray(inputs[field.name]).astype(numpy_type(field.dtype), copy=False)
        for field in routing.bundle.signature.inputs
    }
