"""What waits for a model's own process, and which of it goes there together."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, Unavailable
from keepfit.serve.frames import Packed


@dataclass(slots=True, eq=False)
class Asked:
    """A request that waits since `since` (seconds of the loop's clock); `alone` where it must not go with others."""

    packed: Packed
    since: float
    answer: Future[dict[str, NDArray[Any]]]
    alone: bool = False


class Waiting:
    """The queue before one model: at most `limit` requests, taken in the order they came, up to `rows` rows at once."""

    def __init__(self, *, limit: int, rows: int) -> None:
        self._limit = limit
        self._most = rows
        self._asked: deque[Asked] = deque()

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def rows(self) -> int:
        """Of all that wait."""
        return sum(asked.packed.rows for asked in self._asked)

    @property
    def since(self) -> float | None:
        """When the first of them came; None where nothing waits."""
        while self._asked and self._asked[0].answer.done():  # its caller went away
            self._asked.popleft()
        return self._asked[0].since if self._asked else None

    def add(self, asked: Asked) -> None:
        """Put a request at the end; Unavailable (`queue_full`) where too many wait."""
        if len(self._asked) >= self._limit:
            self._asked = deque(other for other in self._asked if not other.answer.done())
            if len(self._asked) >= self._limit:
                raise Unavailable(
                    f"{len(self._asked)} requests wait for this model already; ask again later", code="queue_full"
                )
        self._asked.append(asked)

    def take(self) -> list[Asked]:
        """The next request, with those right behind it that can be answered together with it."""
        taken: list[Asked] = []
        rows = 0
        while self._asked:
            following = self._asked[0]
            if not following.answer.done():
                rows += following.packed.rows
                if taken and (rows > self._most or not _fit(taken[0], following)):
                    break
                taken.append(following)
            self._asked.popleft()
        return taken

    def give_back(self, asked: Sequence[Asked]) -> None:
        """Put requests to the front again, to be answered one by one."""
        for one in asked:
            one.alone = True
        self._asked.extendleft(reversed(asked))

    def expire(self, before: float) -> list[Asked]:
        """Take out those that came before that moment."""
        expired = [asked for asked in self._asked if asked.since <= before]
        if expired:
            self._asked = deque(asked for asked in self._asked if asked.since > before)
        return expired

    def clear(self) -> list[Asked]:
        """Take out everything."""
        everything = list(self._asked)
        self._asked.clear()
        return everything


def fail(batch: Sequence[Asked], error: KeepfitError) -> None:
    """Tell everyone who still waits; each gets an error of their own, because an error collects tracebacks."""
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(type(error)(str(error), code=error.code))


def share(batch: Sequence[Asked], outputs: dict[str, NDArray[Any]]) -> None:
    """Give everyone who still waits the rows that are theirs."""
    end = 0
    for asked in batch:
        begin, end = end, end + asked.packed.rows
        if not asked.answer.done():
            own = {name: values[begin:end] for name, values in outputs.items()} if len(batch) > 1 else outputs
            asked.answer.set_result(own)


def _fit(first: Asked, other: Asked) -> bool:
    return not (first.alone or other.alone) and first.packed.dims == other.packed.dims
