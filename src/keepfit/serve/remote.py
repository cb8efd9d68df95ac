"""A Predictor in a process of its own, which answers together what waits together.

While the process is idle, a request goes to it at once; while it works, requests wait; when it has answered, those
that wait go together, as one batch, and its answer is split again. So nobody waits for others to come, and a model
that takes hardly longer for many rows than for one is asked as seldom as it can be.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from asyncio import AbstractEventLoop, Future
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, ModelFault, Refused, Unavailable
from keepfit.core.nouns import Bundle
from keepfit.core.service import Serving
from keepfit.serve.batches import Asked, Waiting, fail, share
from keepfit.serve.confine import Granted
from keepfit.serve.courtesy import Pace
from keepfit.serve.frames import Frame, Kind, Layout, Packed, framed
from keepfit.serve.line import Line
from keepfit.serve.spawn import Child, reap, spawn

_log = logging.getLogger(__name__)
_PAUSE = 1.0  # seconds between two starts of a process that keeps ending
_LEAVE = 10.0  # seconds that an event loop may take to let go
_PATIENCE = 240.0  # seconds that loading may take

Arrays = dict[str, NDArray[Any]]


class Remote:
    """A Bundle in a process of its own, started again when that dies.

    `ask` belongs to one event loop; `predict` may be called from any other thread, and before there is a loop. With
    `aside` the process never takes the processor from anything else.
    """

    inline = False

    def __init__(
        self,
        directory: Path,
        bundle: Bundle,
        *,
        serving: Serving = Serving(),
        aside: bool = False,
        patience: float = _PATIENCE,
    ) -> None:
        self._directory = directory.resolve()
        self._bundle = bundle
        self._serving = serving
        self._aside = aside
        self._patience = patience
        self._inputs = Layout(bundle.signature.inputs)
        self._outputs = Layout(bundle.signature.outputs)
        self._numbers = map((2**32 - 1).__and__, itertools.count(1))
        self._lock = threading.Lock()
        self._closed = False
        self._child: Child | None = None
        self._loading: Child | None = None
        self._began = -_PAUSE
        rows = serving.batch_rows if bundle.signature.batched else 1
        self._waiting = Waiting(limit=serving.queue, rows=rows)
        self._loop: AbstractEventLoop | None = None
        self._line: Line | None = None
        self._sent: list[Asked] = []
        self._number = 0
        self._sent_at = 0.0
        self._turn: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the process and wait until the Bundle is loaded; Refused with the reason where it cannot be."""
        with self._lock:
            self._start(Pace.ASIDE if self._aside else Pace.LOADING)

    @property
    def granted(self) -> Granted | None:
        """What holds the process, None while there is none; see `confine.Granted`."""
        return self._child.granted if self._child else None

    @property
    def process(self) -> int:
        """The operating system's id of the process, 0 while none answers."""
        return self._child.process.pid if self._child else 0

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer n records; see `Predictor.predict`. Blocks: not for the event loop."""
        loop = self._loop
        if loop is not None and loop.is_running():
            return asyncio.run_coroutine_threadsafe(self._awaited(inputs), loop).result()
        packed = self._inputs.pack(inputs, len(next(iter(inputs.values()))))
        with self._lock:
            return self._exchanged(packed)

    @property
    def waiting(self) -> int:
        """Requests that wait for the process to be idle."""
        return len(self._waiting)

    def ask(self, inputs: Arrays) -> Future[Arrays]:
        """Begin to answer n records, from the event loop; the Future ends as `predict` does.

        Raises Unavailable: `queue_full` at once; `deadline` is what the Future ends with where no turn came in time.
        """
        if self._closed:
            raise ModelFault("the model was unloaded")
        packed = self._inputs.pack(inputs, len(next(iter(inputs.values()))))
        loop = self._attached()
        asked = Asked(packed, loop.time(), loop.create_future())
        self._waiting.add(asked)
        if self._alarm is None:
            self._alarm = loop.call_later(self._serving.deadline, self._ring)
        if self._child is None:
            self._renew()
        elif self._turn is None and not self._sent:
            self._turn = loop.call_soon(self._go)  # with all that arrived in this turn of the loop
        return asked.answer

    def close(self) -> None:
        """End the process; those who wait for an answer get ModelFault. Blocks until the process is gone."""
        self._closed = True
        loop = self._loop
        if loop is not None and loop.is_running() and not _within(loop):
            asyncio.run_coroutine_threadsafe(self._detached(), loop).result(_LEAVE)
        elif loop is not None and not loop.is_closed():
            self._detach()
        if self._loading is not None:
            self._loading.end()
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.end()

    def _start(self, pace: Pace) -> Child:
        time.sleep(max(0.0, self._began + _PAUSE - time.monotonic()))
        self._began = time.monotonic()
        child = spawn(self._directory, memory=self._serving.memory, pace=pace)
        child.await_ready(self._patience)
        self._child = child
        self._log_start(child)
        return child

    def _log_start(self, child: Child) -> None:
        lacks = "; ".join(child.granted.missing) if child.granted else ""
        _log.info(
            "child.started service=%s pid=%d lacks=%s", self._bundle.service, child.process.pid, lacks or "nothing"
        )

    def _exchanged(self, packed: Packed) -> Arrays:
        if self._closed:
            raise ModelFault("the model was unloaded")
        try:
            child = self._child or self._start(self._pace)
        except Refused as error:
            raise ModelFault(f"the model's process cannot be started again: {error}") from error
        try:
            frame = child.exchange(next(self._numbers), packed, self._serving.deadline)
        except (EOFError, OSError, ValueError) as error:
            self._child = None
            child.end()
            raise ModelFault(self._reason(error)) from error
        return self._read(frame, packed.rows)

    @property
    def _pace(self) -> Pace:
        """Of a process that is started again: requests wait for it."""
        return Pace.ASIDE if self._aside else Pace.EVEN

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"the model's process did not answer within {self._serving.deadline:g} s and was ended"
        if isinstance(error, ValueError | MemoryError):
            return f"the model's process broke the protocol and was ended: {error}"
        return "the model's process died while answering; the next request finds a new one"

    def _read(self, frame: Frame, rows: int) -> Arrays:
        """The outputs in a frame; ModelFault where it tells of one, or does not fit the Signature."""
        if frame.kind is not Kind.ARRAYS:
            raise ModelFault(bytes(frame.body).decode(errors="replace").partition("\n")[2])
        try:
            if frame.rows != rows:
                raise ValueError(f"{frame.rows} rows where {rows} were asked for")
            return self._outputs.unpack(rows, frame.dims, frame.body)
        except (ValueError, MemoryError, KeepfitError) as error:
            raise ModelFault(f"the model's answer does not fit its Signature: {error}") from error

    async def _awaited(self, inputs: Arrays) -> Arrays:
        return await self.ask(inputs)

    def _attached(self) -> AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            with self._lock:  # a rehearsal that is not over yet goes first
                self._loop = loop
                self._turn = self._alarm = self._renewal = None
                self._waiting.clear()
                self._sent = []
                if self._child is not None:
                    self._hold(loop, self._child)
        return loop

    def _hold(self, loop: AbstractEventLoop, child: Child) -> None:
        self._child = child
        child.bring_back()  # for one that nobody rehearsed
        self._line = Line(loop, child.connection, heard=self._heard, lost=self._lost)

    def _go(self) -> None:
        """Send what waits, where the process is idle; later, where others may be waited for."""
        self._turn = None
        if self._sent or self._line is None or self._loop is None:
            return
        since, delay, now = self._waiting.since, self._serving.batch_delay, self._loop.time()
        if since is None:
            return
        if delay and now < since + delay and self._waiting.rows < self._serving.batch_rows:
            self._turn = self._loop.call_at(since + delay, self._go)
            return
        self._sent = self._waiting.take()
        self._number = next(self._numbers)
        self._sent_at = now
        self._line.say(framed(Kind.ARRAYS, self._number, [asked.packed for asked in self._sent]))

    def _heard(self, frame: Frame) -> None:
        if frame.number != self._number or not self._sent:
            self._lost(ValueError("an answer that nobody asked for"))
            return
        batch, self._sent = self._sent, []
        try:
            outputs = self._read(frame, sum(asked.packed.rows for asked in batch))
        except ModelFault as fault:
            if len(batch) > 1:  # one bad row must not fail the others
                self._waiting.give_back(batch)
            else:
                fail(batch, fault)
            self._go()
        else:
            self._go()  # before the answers are looked at: the process works meanwhile
            share(batch, outputs)

    def _lost(self, error: Exception) -> None:
        """The process is of no use any more: end it, and have a new one."""
        child, self._child = self._child, None
        if child is None or self._line is None:
            return
        self._line.close()
        self._line = None
        reason = self._reason(error)
        _log.error("child.lost service=%s pid=%d reason=%s", self._bundle.service, child.process.pid, reason)
        reap(child)
        batch, self._sent = self._sent, []
        fail(batch, ModelFault(reason))
        self._renew()

    def _ring(self) -> None:
        """The first deadline that somebody may have missed."""
        loop, deadline = self._loop, self._serving.deadline
        self._alarm = None
        if loop is None:
            return
        now = loop.time()
        if self._sent and now >= self._sent_at + deadline:
            self._lost(TimeoutError())
        late = Unavailable(f"its turn did not come within {deadline:g} s", code="deadline")
        fail(self._waiting.expire(now - deadline), late)
        since = self._waiting.since
        earliest = [moment for moment in (since, self._sent_at if self._sent else None) if moment is not None]
        if earliest:
            self._alarm = loop.call_at(min(earliest) + deadline, self._ring)

    def _renew(self) -> None:
        if self._renewal is None and self._loop is not None and not self._closed:
            self._renewal = self._loop.create_task(self._renewed(self._loop))

    async def _renewed(self, loop: AbstractEventLoop) -> None:
        """Start a new process, not sooner than a second after the one before; those who wait fail where it fails."""
        try:
            await asyncio.sleep(self._began + _PAUSE - time.monotonic())
            self._began = time.monotonic()
            child = self._loading = await loop.run_in_executor(None, self._spawned)
            if not self._closed:
                await loop.run_in_executor(None, child.await_ready, self._patience)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait have to hear of it
            _log.error("child.not_started service=%s error=%s", self._bundle.service, error)
            fail(self._waiting.clear(), ModelFault(f"the model's process cannot be started again: {error}"))
            return
        finally:
            self._loading = self._renewal = None
        if self._closed:
            reap(child)
            return
        self._log_start(child)
        self._hold(loop, child)
        self._go()

    def _spawned(self) -> Child:
        return spawn(self._directory, memory=self._serving.memory, pace=self._pace)

    async def _detached(self) -> None:
        self._detach()

    def _detach(self) -> None:
        """Leave the event loop; everybody who waits is told."""
        for handle in (self._turn, self._alarm):
            if handle is not None:
                handle.cancel()
        self._turn = self._alarm = None
        if self._line is not None:
            self._line.close()
            self._line = None
        batch, self._sent = [*self._sent, *self._waiting.clear()], []
        fail(batch, ModelFault("the model was unloaded"))


def _within(loop: AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
