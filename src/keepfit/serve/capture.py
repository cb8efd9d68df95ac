"""Capture: answered rows become Records of the Stream, off the hot path.

The event loop copies each exchange into a page; a thread makes Arrow batches of full or waiting pages and gives them to
a sink. What finds no room, or what the sink cannot take (a full disk), is counted as lost: serving goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Protocol

import pyarrow as pa

from keepfit.core.clock import SystemClock
from keepfit.core.errors import StorageFault
from keepfit.core.protocols import Clock
from keepfit.serve.courtesy import step_back
from keepfit.serve.forms import Arrays, Form, New, Sample, Together
from keepfit.serve.pages import Page

__all__ = ["Capture", "Form", "Limits", "Listener", "Sample", "Sink", "Together", "ticker"]

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 2**23  # bytes of a page
_SPARE = 8  # pages whose memory is kept for the next ones
_TOGETHER = 64  # exchanges that a listener hears of at once


class Sink(Protocol):
    """Where Records go."""

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep a batch, whose memory is used again afterwards; StorageFault where it cannot."""
        ...

    def close(self) -> None:
        """Finish what is open."""
        ...


class Listener(Protocol):
    """Who else is told of recorded exchanges."""

    def offer(self, together: Together, size: int) -> None:
        """Take exchanges of about so many bytes, or count them as dropped; may not wait."""
        ...


def ticker(clock: Clock) -> Callable[[], int]:
    """A function that tells a clock's time in microseconds since 1970."""
    if isinstance(clock, SystemClock):
        return lambda: time.time_ns() // 1000
    return lambda: (clock.now() - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Limits:
    """At most `room` rows and about `size` bytes wait, in pages of `rows`, `interval` seconds at the longest."""

    room: int = 200_000
    size: int = 2**27
    rows: int = 4096
    interval: float = 0.2


class Capture:
    """The pages and the thread that empties them.

    `sample` is the share that is recorded. A Capture that lets another go `first` takes nothing while that one is half
    full. The `listener` hears of every exchange that is recorded, and of no other.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        limits: Limits = Limits(),
        sample: float = 1.0,
        first: Capture | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._sink = sink
        self._room, self._size, self._rows = limits.room, limits.size, limits.rows
        self._page_size = min(_PAGE, limits.size // 2)
        self._interval = limits.interval
        self._sample = Sample(sample) if sample < 1.0 else None
        self._first = first
        self._listener = listener
        self._lock = threading.Lock()
        self._heard: list[New] = []
        self._page: Page | None = None
        self._full: deque[Page] = deque()
        self._spare: deque[Page] = deque(maxlen=_SPARE)
        self._turned_rows = self._turned_size = self._refused = self.skipped = 0  # written under the lock
        self._gone_rows = self._gone_size = self._taken = self._failed = 0  # written by the thread
        self._traced = False
        self._wake = threading.Event()
        self._turn = threading.Condition()
        self._turns = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="keepfit-capture", daemon=True)
        self._thread.start()

    @property
    def captured(self) -> int:
        """Rows the sink took."""
        return self._taken - self._failed

    @property
    def lost(self) -> int:
        """Rows that found no room, or which the sink could not take; not those `skipped` because of the sample."""
        return self._refused + self._failed

    @property
    def half_full(self) -> bool:
        """Whether half of the room is taken by pages that wait for the sink."""
        rows, size = self._turned_rows - self._gone_rows, self._turned_size - self._gone_size
        return 2 * rows >= self._room or 2 * size >= self._size

    def takes(self, id: str) -> bool:
        """Whether an exchange with this id is recorded at all, by the sample."""
        return self._sample is None or self._sample.takes(id)

    def add(
        self, form: Form, ids: Sequence[str], micros: int, inputs: Arrays, outputs: Arrays, trace: str = ""
    ) -> None:
        """Remember an answered request of that time (microseconds since 1970). Called from the event loop.

        A listener reads the arrays a little later: nobody may write to them any more.
        """
        with self._lock:
            if self._sample is not None:
                chosen = self._sample.of((form, ids, micros, inputs, outputs, trace))
                self.skipped += len(ids) - (len(chosen[1]) if chosen else 0)
                if chosen is None:
                    return
                form, ids, micros, inputs, outputs, trace = chosen
            page, rows = self._page, len(ids)
            if (
                page is None
                or page.form is not form
                or page.count + rows > page.room
                or page.full
                or (trace and not page.traced)
            ):
                page = self._turned(form, rows, trace)
            try:
                if page is not None:
                    page.put(ids, micros, inputs, outputs, trace)
            except Exception as error:  # noqa: BLE001  # a Record that cannot be kept is no reason to answer badly
                _log.error("capture.lost rows=%d error=%s: %s", rows, type(error).__name__, error)
                page = None
            if page is None:
                self._refused += rows
            elif self._listener is not None:
                self._heard.append((form, ids, micros, inputs, outputs, trace))
                if len(self._heard) >= _TOGETHER or rows > 1:
                    self._tell()

    def _tell(self) -> None:
        """Let the listener hear of what was recorded since the last time."""
        heard, self._heard = self._heard, []
        for _, some in groupby(heard, itemgetter(0)):
            together = Together.of(list(some))
            if together is not None and self._listener is not None:
                self._listener.offer(together, together.size)

    def _turned(self, form: Form, rows: int, trace: str) -> Page | None:
        """A new page with room for these; the one before goes to the thread. None where there is no room."""
        page, size = self._page, form.weight + form.width * rows
        waiting = self._turned_rows - self._gone_rows + (page.count if page else 0)
        weight = self._turned_size - self._gone_size + (page.size if page else 0)
        if (
            waiting + max(self._rows, rows) > self._room
            or weight + max(self._page_size, size) > self._size
            or (self._first is not None and self._first.half_full)
        ):
            return None
        self._traced = self._traced or bool(trace)  # it stays: every change of columns begins a new segment
        self._put_away()
        if page is not None:
            self._wake.set()
        room = max(rows, min(self._rows, self._page_size // (form.weight + form.width) + 1))
        self._page = self._cleared(form, room) or Page(form, room, most=self._page_size, traced=self._traced)
        return self._page

    def _cleared(self, form: Form, room: int) -> Page | None:
        """A page whose memory the thread is through with."""
        while self._spare:
            page = self._spare.popleft()
            if page.form is form and page.room >= room:
                page.clear(self._traced)
                return page
        return None

    def _put_away(self) -> None:
        page, self._page = self._page, None
        if page is not None and page.count:
            self._turned_rows += page.count
            self._turned_size += page.size
            self._full.append(page)

    def flush(self) -> None:
        """Wait until everything added so far is with the sink. Blocks: not for the event loop."""
        with self._turn:
            goal = self._turns + 2  # the turn that runs now may have missed the latest rows
            while self._turns < goal and self._thread.is_alive():
                self._wake.set()
                self._turn.wait(0.05)

    def close(self) -> None:
        """Write what waits and close the sink."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        try:
            self._sink.close()
        except StorageFault as error:
            _log.error("capture.close_failed error=%s", error)

    def _run(self) -> None:
        step_back()
        while not self._stopping:
            self._wake.wait(self._interval)
            self._wake.clear()
            self._write()
            with self._turn:
                self._turns += 1
                self._turn.notify_all()
        self._write()

    def _write(self) -> None:
        with self._lock:
            self._tell()
            self._put_away()
        while self._full:
            page = self._full[0]
            self._keep(page)
            self._gone_rows += page.count
            self._gone_size += page.size
            self._spare.append(self._full.popleft())

    def _keep(self, page: Page) -> None:
        try:
            self._sink.append(page.batch())
        except Exception as error:  # noqa: BLE001  # losing Records must never end their being recorded
            self._failed += page.count
            _log.error("capture.lost rows=%d error=%s: %s", page.count, type(error).__name__, error)
        self._taken += page.count
