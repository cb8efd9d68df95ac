"""What waits goes together where it can, in the order it came."""

from __future__ import annotations

import asyncio

import pytest

from keepfit.core.errors import Unavailable
from keepfit.serve.batches import Asked, Waiting
from keepfit.serve.frames import Packed


def _asked(rows: int = 1, *, dims: tuple[int, ...] = (), since: float = 0.0) -> Asked:
    return Asked(Packed(rows, dims, b"", b""), since, asyncio.Future(loop=_LOOP))


_LOOP = asyncio.new_event_loop()
_LOOP.close()  # only its name is needed: these Futures are never awaited


def _waiting(*asked: Asked, limit: int = 100, rows: int = 4) -> Waiting:
    waiting = Waiting(limit=limit, rows=rows)
    for one in asked:
        waiting.add(one)
    return waiting


def _taken(waiting: Waiting) -> list[list[int]]:
    """Rows of what goes together, batch by batch."""
    batches = []
    while batch := waiting.take():
        batches.append([asked.packed.rows for asked in batch])
    return batches


def test_a_batch_has_at_most_so_many_rows() -> None:
    """A request that is larger than that goes alone, and none is torn apart."""
    assert _taken(_waiting(*map(_asked, (1, 2, 1, 3, 2, 9, 1)))) == [[1, 2, 1], [3], [2], [9], [1]]


def test_only_equal_shapes_go_together() -> None:
    """Requests of other free dimensions wait for the next batch."""
    assert _taken(_waiting(_asked(dims=(2,)), _asked(dims=(2,)), _asked(dims=(3,)), _asked(dims=(2,)))) == [
        [1, 1],
        [1],
        [1],
    ]


def test_what_failed_together_goes_again_alone_and_first() -> None:
    """The order stays, and those behind are not made to wait for one another."""
    waiting = _waiting(*map(_asked, (1, 2)))
    batch = waiting.take()
    waiting.add(_asked(3))
    waiting.add(_asked(1))
    waiting.give_back(batch)
    assert _taken(waiting) == [[1], [2], [3, 1]]


def test_who_went_away_is_not_answered() -> None:
    """A cancelled request costs no place in a batch, nor in a queue that is full."""
    gone, first = _asked(4), _asked()
    waiting = _waiting(gone, first, limit=2)
    with pytest.raises(Unavailable) as caught:
        waiting.add(_asked())
    assert caught.value.code == "queue_full"
    gone.answer.cancel()
    waiting.add(_asked(2))
    assert waiting.since == 0.0
    assert _taken(waiting) == [[1, 2]]


def test_those_that_came_too_long_ago_are_taken_out() -> None:
    """The others stay, in order."""
    waiting = _waiting(_asked(1, since=1.0), _asked(2, since=2.0), _asked(1, since=3.0))
    assert [asked.packed.rows for asked in waiting.expire(2.0)] == [1, 2]
    assert waiting.since == 3.0
    assert len(waiting) == 1
