"""Capture: every answered row becomes a Record of the Stream, off the hot path.

The event loop only puts what it has at hand into a bounded queue; a thread makes typed Arrow batches of it and gives
them to a sink. What does not fit the queue, or what the sink cannot take (a full disk), is counted as lost: serving
goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.clock import SystemClock
from keepfit.core.errors import StorageFault
from keepfit.core.nouns import OUTPUT_PREFIX, RECORD_ID, RECORD_TIME, RECORD_VERSION
from keepfit.core.protocols import Clock
from keepfit.core.signature import Signature
from keepfit.serve.wire.tables import arrow_type, to_batch

_log = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = pa.timestamp("us", tz="UTC")


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


class Exchange(NamedTuple):
    """One answered request: who answered, the ids of its rows, microseconds since 1970, what came and went."""

    form: Form
    ids: list[str]
    micros: int
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]


def ticker(clock: Clock) -> Callable[[], int]:
    """A function that tells a clock's time in microseconds since 1970."""
    if isinstance(clock, SystemClock):
        return lambda: time.time_ns() // 1000
    return lambda: (clock.now() - _EPOCH) // timedelta(microseconds=1)


def batch_of(form: Form, exchanges: list[Exchange]) -> pa.RecordBatch:
    """The Records of exchanges of one Form."""
    ids = [id for exchange in exchanges for id in exchange.ids]
    counts = [len(exchange.ids) for exchange in exchanges]
    times = np.repeat(np.array([exchange.micros for exchange in exchanges], dtype=np.int64), counts)
    inputs = {f.name: np.concatenate([e.inputs[f.name] for e in exchanges]) for f in form.inputs}
    outputs = {f.name: np.concatenate([e.outputs[f.name] for e in exchanges]) for f in form.outputs}
    columns = [
        pa.array(ids, pa.string()),
        pa.array(times).cast(_MOMENT),
        pa.array(np.full(len(ids), form.version, dtype=np.int32)),
        *to_batch(form.inputs, inputs).columns,
        *to_batch(form.outputs, outputs).columns,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=form.schema)


class Capture:
    """The queue and the thread behind it; `room` rows wait at most, `interval` seconds at the longest."""

    def __init__(self, sink: Sink, *, room: int = 200_000, rows: int = 4096, interval: float = 0.2) -> None:
        self._sink = sink
        self._room = room
        self._rows = rows
        self._interval = interval
        self._queue: deque[Exchange] = deque()
        self._added = self._taken = self._refused = self._failed = 0  # each is written by one thread only
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

    def add(self, exchange: Exchange) -> None:
        """Remember an answered request. Never blocks, never raises; called from the event loop."""
        rows = len(exchange.ids)
        waiting = self._added - self._taken
        if waiting + rows > self._room:
            self._refused += rows
            return
        self._queue.append(exchange)
        self._added += rows
        if waiting >= self._rows:
            self._wake.set()

    def flush(self) -> None:
        """Wait until everything added so far is with the sink. Blocks: not for the event loop."""
        with self._turn:
            goal = self._turns + 2  # the turn that runs now may have missed the latest rows
            self._wake.set()
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
        while not self._stopping:
            self._wake.wait(self._interval)
            self._wake.clear()
            self._write()
            with self._turn:
                self._turns += 1
                self._turn.notify_all()
        self._write()

    def _write(self) -> None:
        waiting = [self._queue.popleft() for _ in range(len(self._queue))]
        for form, exchanges in groupby(waiting, key=lambda exchange: exchange.form):
            for part in _portions(list(exchanges), self._rows):
                rows = sum(len(exchange.ids) for exchange in part)
                try:
                    self._sink.append(batch_of(form, part))
                except Exception as error:  # noqa: BLE001  # losing Records must never end their being recorded
                    self._failed += rows
                    _log.error("capture.lost rows=%d error=%s: %s", rows, type(error).__name__, error)
                self._taken += rows


def _portions(exchanges: list[Exchange], rows: int) -> Iterator[list[Exchange]]:
    """Parts of about `rows` rows, so that making a batch of one never takes long."""
    start, count = 0, 0
    for place, exchange in enumerate(exchanges):
        count += len(exchange.ids)
        if count >= rows:
            yield exchanges[start : place + 1]
            start, count = place + 1, 0
    if count:
        yield exchanges[start:]
