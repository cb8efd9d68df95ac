"""Intake: labels of known Records, durable before they are acknowledged.

Requests that arrive together are written together: one look-up and one fsync for all of them, on a thread of its own.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from keepfit.core.errors import KeepfitError, NotFound, StorageFault
from keepfit.core.protocols import Clock

_MOST = 256  # requests written together


class Known(Protocol):
    """Says which Records exist."""

    def known(self, ids: Sequence[str]) -> list[bool]:
        """Whether each id is a Record's."""
        ...


class LabelSink(Protocol):
    """Where labels go."""

    def append(self, ids: Sequence[str], labels: Sequence[Any], time: datetime) -> None:
        """Keep labels durably; StorageFault where it cannot."""
        ...


class _Delivery:
    def __init__(self, ids: list[str], labels: list[Any], grace: float) -> None:
        self.ids = ids
        self.labels = labels
        self.grace = grace
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def settle(self, error: Exception | None) -> None:
        self.loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Intake:
    """Takes labels; `grace` seconds is how long another front worker may take to write a Record it just answered."""

    def __init__(
        self, known: Known, sink: LabelSink, *, clock: Clock, flush: Callable[[], None], grace: float = 0.0
    ) -> None:
        self.accepted = 0
        self._known = known
        self._sink = sink
        self._clock = clock
        self._flush = flush
        self._grace = grace
        self._queue: queue.SimpleQueue[_Delivery | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="keepfit-labels", daemon=True)
        self._thread.start()

    async def accept(self, ids: list[str], labels: list[Any]) -> None:
        """Return when the labels are on disk; NotFound (`unknown_record`), and none is kept, where an id is unknown."""
        delivery = _Delivery(ids, labels, self._grace)
        self._queue.put(delivery)
        await delivery.done

    def close(self) -> None:
        """Finish what was delivered."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            together, last = [first], False
            while len(together) < _MOST and not last:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    last = True
                else:
                    together.append(item)
            self._take(together)
            if last:
                return

    def _take(self, together: list[_Delivery]) -> None:
        try:
            ready = self._recognised(together)
            if not ready:
                return
            ids = [id for delivery in ready for id in delivery.ids]
            self._sink.append(ids, [label for delivery in ready for label in delivery.labels], self._clock.now())
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait are told
            fault = error if isinstance(error, KeepfitError) else StorageFault(f"labels cannot be written: {error}")
            for delivery in together:
                delivery.settle(fault)
            return
        self.accepted += len(ids)
        for delivery in ready:
            delivery.settle(None)

    def _recognised(self, together: list[_Delivery]) -> list[_Delivery]:
        """Those whose Records all exist; the others are told, or come again when they may only be too early."""
        strangers = self._strangers(together)
        if any(strangers):
            self._flush()
            strangers = self._strangers(together)
        ready = []
        for delivery, stranger in zip(together, strangers, strict=True):
            if stranger is None:
                ready.append(delivery)
            elif delivery.grace > 0:
                wait, delivery.grace = delivery.grace, 0.0
                delivery.loop.call_soon_threadsafe(self._later, delivery, wait)
            else:
                delivery.settle(
                    NotFound(f"no record '{stranger}' was answered here; no label was kept", code="unknown_record")
                )
        return ready

    def _later(self, delivery: _Delivery, wait: float) -> None:
        delivery.loop.call_later(wait, self._queue.put, delivery)

    def _strangers(self, together: list[_Delivery]) -> list[str | None]:
        known = iter(self._known.known([id for delivery in together for id in delivery.ids]))
        found = []
        for delivery in together:
            flags = [next(known) for _ in delivery.ids]
            found.append(None if all(flags) else delivery.ids[flags.index(False)])
        return found
