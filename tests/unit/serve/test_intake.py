"""Intake: labels of known Records, all or none of a request, on disk before they are acknowledged."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from keepfit.core.clock import ManualClock
from keepfit.core.errors import NotFound, StorageFault
from keepfit.serve.intake import Intake

NOW = datetime(2013, 1, 1, tzinfo=UTC)


class Book:
    """Knows some ids, learns more when flushed, keeps labels, and can be held up or broken."""

    def __init__(self, *known: str, after_flush: Sequence[str] = ()) -> None:
        self.ids = set(known)
        self.after_flush = after_flush
        self.kept: list[tuple[str, Any]] = []
        self.appends = self.flushes = 0
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()

    def known(self, ids: Sequence[str]) -> list[bool]:
        return [id in self.ids for id in ids]

    def append(self, ids: Sequence[str], labels: Sequence[Any], time: datetime) -> None:
        self.gate.wait()
        assert time == NOW
        if self.broken:
            raise StorageFault("no room")
        self.appends += 1
        self.kept += zip(ids, labels, strict=True)

    def flush(self) -> None:
        self.flushes += 1
        self.ids |= set(self.after_flush)


def deliver(book: Book, *requests: list[tuple[str, Any]], grace: float = 0.0) -> list[BaseException | None]:
    """Deliver all requests at once; what each of them got."""

    async def run() -> list[BaseException | None]:
        intake = Intake(book, book, clock=ManualClock(NOW), flush=book.flush, grace=grace)
        waiting = [intake.accept([id for id, _ in request], [label for _, label in request]) for request in requests]
        asyncio.get_running_loop().call_later(0.05, book.gate.set)
        try:
            return list(await asyncio.gather(*waiting, return_exceptions=True))
        finally:
            intake.close()

    return asyncio.run(run())


def test_known_records_are_labelled() -> None:
    """And nothing need be flushed for it."""
    book = Book("a", "b")
    assert deliver(book, [("a", 1), ("b", 0)]) == [None]
    assert book.kept == [("a", 1), ("b", 0)]
    assert book.flushes == 0


def test_all_or_none_of_a_request() -> None:
    """One unknown record refuses its whole request, and no other."""
    book = Book("a", "b")
    refused, taken = deliver(book, [("a", 1), ("x", 1)], [("b", 1)])
    assert isinstance(refused, NotFound)
    assert refused.code == "unknown_record"
    assert "x" in str(refused)
    assert taken is None
    assert book.kept == [("b", 1)]


def test_a_record_still_on_its_way_is_known() -> None:
    """A label right after its answer makes the capture hurry."""
    book = Book("a", after_flush=["b"])
    assert deliver(book, [("b", 1)]) == [None]
    assert book.flushes == 1


def test_a_record_of_another_worker_gets_a_moment() -> None:
    """With a grace the request comes again before it is refused, and is refused once."""
    book = Book("a")
    (refused,) = deliver(book, [("b", 1)], grace=0.05)
    assert isinstance(refused, NotFound)
    assert book.flushes == 2


def test_requests_that_arrive_together_are_written_together() -> None:
    """One append, and so one fsync, for those who came while the last one was written."""
    book = Book(*(str(i) for i in range(50)))
    book.gate.clear()
    assert deliver(book, *([(str(i), i)] for i in range(50))) == [None] * 50
    assert book.appends <= 2
    assert sorted(label for _, label in book.kept) == list(range(50))


def test_a_disk_that_fails_is_told_to_all_who_wait() -> None:
    """Nothing is acknowledged that was not written."""
    book = Book("a", "b")
    book.broken = True
    assert [type(found) for found in deliver(book, [("a", 1)], [("b", 1)])] == [StorageFault, StorageFault]


@pytest.mark.parametrize("error", [OSError("disk"), ValueError("odd")])
def test_any_failure_is_told(error: Exception) -> None:
    """Whatever a sink raises, nobody waits for ever."""
    book = Book("a")

    def fail(ids: Sequence[str], labels: Sequence[Any], time: datetime) -> None:
        raise error

    book.append = fail  # type: ignore[method-assign]
    (found,) = deliver(book, [("a", 1)])
    assert isinstance(found, StorageFault)
