"""Capture: answered rows become Records of the Stream, off the hot path.

The event loop only keeps what it has at hand, and copies the columns of a few dozen requests at once, while they are
still in the processor's cache; a thread makes Arrow batches of full or waiting pages and gives them to a sink. What
finds no room, or what the sink cannot take (a full disk), is counted as lost: serving goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Protocol

import numpy as np
import pyarrow as pa

from keepfit.core.clock import SystemClock
from keepfit.core.errors import StorageFault
from keepfit.core.nouns import OUTPUT_PREFIX
from keepfit.core.protocols import Clock
from keepfit.serve.courtesy import step_back
from keepfit.serve.forms import Arrays, Column, Form, New, Sample, Together

__all__ = ["Capture", "Form", "Limits", "Listener", "Sample", "Sink", "Together", "ticker"]

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 2**23  # bytes of a page


class Sink(Protocol):
    """Where Records go."""

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep a batch; StorageFault where it cannot."""
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


class _Page:
    """Records of one Form on their way, column by column."""

    def __init__(self, form: Form, traced: bool) -> None:
        self.form = form
        self.count = self.size = 0
        self._traced = traced
        self._ids: list[str] = []
        self._times: list[int] = []
        self._traces: list[str | None] = []
        self._inputs = [Column(field) for field in form.kept_inputs]
        self._outputs = [Column(field, OUTPUT_PREFIX) for field in form.kept_outputs]

    def join(self, together: Together) -> None:
        """Copy requests in, all of them or (whatever is raised) none."""
        inputs, outputs = together.inputs, together.outputs
        pieces = [column.joined([arrays[column.name] for arrays in inputs]) for column in self._inputs]
        pieces += [column.joined([arrays[column.name] for arrays in outputs]) for column in self._outputs]
        for column, piece in zip((*self._inputs, *self._outputs), pieces, strict=True):
            column.pieces.append(piece)
            self.size += column.size_of(piece)
        self._ids += together.ids
        self._times += together.each(together.micros)
        if self._traced:
            self._traces += [trace or None for trace in together.each(together.traces)]
        self.count += len(together.ids)
        self.size += together.size

    def batch(self) -> pa.RecordBatch:
        """The Records."""
        columns = {column.place: column.arrow() for column in (*self._inputs, *self._outputs)}
        times = np.array(self._times, dtype=np.int64)
        return self.form.batch(self._ids, times, columns, self._traces if self._traced else None)


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
        self._new: list[New] = []
        self._page: _Page | None = None
        self._full: deque[_Page] = deque()
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

    def add(self, form: Form, ids: list[str], micros: int, inputs: Arrays, outputs: Arrays, trace: str = "") -> None:
        """Remember an answered request of that time (microseconds since 1970). Called from the event loop.

        The arrays are read a little later: nobody may write to them any more.
        """
        new = self._new
        new.append((form, ids, micros, inputs, outputs, trace))
        if len(new) >= form.together or len(ids) > form.many:
            with self._lock:
                self._gather()

    def _gather(self) -> None:
        """Copy what is new into pages. Only who holds the lock removes from `_new`; appending needs no lock."""
        found = self._new[:]
        del self._new[: len(found)]
        if len(set(map(itemgetter(0), found))) == 1:
            self._take(Together.of(self._sampled(found)))
        else:
            for _, some in groupby(found, itemgetter(0)):
                self._take(Together.of(self._sampled(list(some))))

    def _sampled(self, found: list[New]) -> list[New]:
        if self._sample is None:
            return found
        kept = [chosen for new in found if (chosen := self._sample.of(new)) is not None]
        self.skipped += sum(len(new[1]) for new in found) - sum(len(new[1]) for new in kept)
        return kept

    def _take(self, together: Together | None) -> None:
        if together is None:
            return
        rows, page = len(together.ids), self._page
        if (
            page is None
            or page.form is not together.form
            or page.count + rows > self._rows
            or page.size + together.size > self._page_size
            or (not self._traced and any(together.traces))
        ):
            page = self._turned(together)
        before = page.size if page is not None else 0
        try:
            if page is not None:
                page.join(together)
        except Exception as error:  # noqa: BLE001  # a Record that cannot be kept is no reason to answer badly
            _log.error("capture.lost rows=%d error=%s: %s", rows, type(error).__name__, error)
            page = None
        if page is None:
            self._refused += rows
        elif self._listener is not None:
            self._listener.offer(together, page.size - before)

    def _turned(self, together: Together) -> _Page | None:
        """A new page with room for these; the one before goes to the thread. None where there is no room."""
        page = self._page
        waiting = self._turned_rows - self._gone_rows + (page.count if page else 0)
        weight = self._turned_size - self._gone_size + (page.size if page else 0)
        if (
            waiting + max(self._rows, len(together.ids)) > self._room
            or weight + max(self._page_size, together.size) > self._size
            or (self._first is not None and self._first.half_full)
        ):
            return None
        self._traced = self._traced or any(together.traces)  # it stays: every change of columns begins a new segment
        self._put_away()
        if page is not None:
            self._wake.set()
        self._page = _Page(together.form, self._traced)
        return self._page

    def _put_away(self) -> None:
        page, self._page = self._page, None
        if page is not None:
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
            self._gather()
            self._put_away()
        while self._full:
            page = self._full[0]
            self._keep(page)
            self._gone_rows += page.count
            self._gone_size += page.size
            self._full.popleft()

    def _keep(self, page: _Page) -> None:
        try:
            self._sink.append(page.batch())
        except Exception as error:  # noqa: BLE001  # losing Records must never end their being recorded
            self._failed += page.count
            _log.error("capture.lost rows=%d error=%s: %s", page.count, type(error).__name__, error)
        self._taken += page.count
