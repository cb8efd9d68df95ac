"""Capture: every answered row becomes a Record of the Stream, off the hot path.

The event loop copies what it has at hand into a page of typed columns, which is cheaper than keeping the objects of a
request alive; a thread makes Arrow batches of full or waiting pages and gives them to a sink. What finds no room, or
what the sink cannot take (a full disk), is counted as lost: serving goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.clock import SystemClock
from keepfit.core.errors import StorageFault
from keepfit.core.nouns import OUTPUT_PREFIX, RECORD_ID, RECORD_TIME, RECORD_VERSION
from keepfit.core.protocols import Clock
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.courtesy import step_back
from keepfit.serve.wire.tables import arrow_type, numpy_type, to_batch

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = pa.timestamp("us", tz="UTC")
Arrays = dict[str, NDArray[Any]]


class Sink(Protocol):
    """Where Records go."""

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep a batch; StorageFault where it cannot."""
        ...

    def close(self) -> None:
        """Finish what is open."""
        ...


class Form:
    """How Records that one Version answered are laid out."""

    def __init__(self, version: int, signature: Signature) -> None:
        self.version = version
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        self.schema = pa.schema(
            [
                (RECORD_ID, pa.string()),
                (RECORD_TIME, _MOMENT),
                (RECORD_VERSION, pa.int32()),
                *((field.name, arrow_type(field)) for field in signature.inputs),
                *((OUTPUT_PREFIX + field.name, arrow_type(field)) for field in signature.outputs),
            ]
        )


def ticker(clock: Clock) -> Callable[[], int]:
    """A function that tells a clock's time in microseconds since 1970."""
    if isinstance(clock, SystemClock):
        return lambda: time.time_ns() // 1000
    return lambda: (clock.now() - _EPOCH) // timedelta(microseconds=1)


class _Page:
    """Records of one Form on their way, column by column."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.count = 0
        self._ids: list[str] = []
        self._times: list[int] = []
        self._counts: list[int] = []
        self._inputs = [_Column(field) for field in form.inputs]
        self._outputs = [_Column(field) for field in form.outputs]
        self._from = [(column.field.name, column.extend) for column in self._inputs]
        self._back = [(column.field.name, column.extend) for column in self._outputs]

    def put(self, ids: list[str], micros: int, inputs: Arrays, outputs: Arrays) -> None:
        """Copy rows in."""
        self.count += len(ids)
        self._ids += ids
        self._times.append(micros)
        self._counts.append(len(ids))
        for name, extend in self._from:
            extend(inputs[name])
        for name, extend in self._back:
            extend(outputs[name])

    def batch(self) -> pa.RecordBatch:
        """The Records."""
        times = np.repeat(np.array(self._times, dtype=np.int64), self._counts)
        columns = [
            pa.array(self._ids, pa.string()),
            pa.array(times).cast(_MOMENT),
            pa.array(np.full(self.count, self.form.version, dtype=np.int32)),
            *(column.arrow() for column in (*self._inputs, *self._outputs)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.form.schema)


class _Column:
    """The values of one Field: bytes end to end, which is the quickest to add to, or a list where they have no size."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._loose: list[Any] = []
        self._bytes = bytearray()
        self.extend: Callable[[NDArray[Any]], None] = self._bytes.extend
        if -1 in field.shape:
            self.extend = lambda values: self._loose.extend(row.reshape(-1).tolist() for row in values)
        elif field.dtype is DType.BYTES:
            self.extend = lambda values: self._loose.extend(values.reshape(-1).tolist())

    def arrow(self) -> pa.Array:
        """The column."""
        if -1 in self.field.shape:
            return pa.array(self._loose, arrow_type(self.field))
        if self.field.dtype is DType.BYTES:
            values = np.array(self._loose, dtype=object)
        else:
            values = np.frombuffer(self._bytes, numpy_type(self.field.dtype))
        shaped = values.reshape(-1, *self.field.shape)
        return to_batch([self.field], {self.field.name: shaped}).column(0)


class Capture:
    """The pages and the thread that empties them; `room` rows wait at most, `interval` seconds at the longest."""

    def __init__(self, sink: Sink, *, room: int = 200_000, rows: int = 4096, interval: float = 0.2) -> None:
        self._sink = sink
        self._rows = rows
        self._most = max(2, room // rows)
        self._interval = interval
        self._lock = threading.Lock()
        self._page: _Page | None = None
        self._full: deque[_Page] = deque()
        self._taken = self._refused = self._failed = 0  # each is written by one thread only
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
        """Rows that found no room, or which the sink could not take."""
        return self._refused + self._failed

    def add(self, form: Form, ids: list[str], micros: int, inputs: Arrays, outputs: Arrays) -> None:
        """Remember an answered request of that time (microseconds since 1970). Called from the event loop."""
        rows = len(ids)
        with self._lock:
            page = self._page
            if page is None or page.form is not form or page.count + rows > self._rows:
                if len(self._full) >= self._most:
                    self._refused += rows
                    return
                page = self._turned(form)
            page.put(ids, micros, inputs, outputs)

    def _turned(self, form: Form) -> _Page:
        """A new page; the one before goes to the thread."""
        if self._page is not None:
            self._full.append(self._page)
            self._wake.set()
        self._page = _Page(form)
        return self._page

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
            page, self._page = self._page, None
            if page is not None:
                self._full.append(page)
        while self._full:
            self._keep(self._full[0])
            self._full.popleft()

    def _keep(self, page: _Page) -> None:
        try:
            self._sink.append(page.batch())
        except Exception as error:  # noqa: BLE001  # losing Records must never end their being recorded
            self._failed += page.count
            _log.error("capture.lost rows=%d error=%s: %s", page.count, type(error).__name__, error)
        self._taken += page.count
