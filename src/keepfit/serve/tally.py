"""What a front worker counts: requests, answers of Versions, how long they took, and how much came together.

Under keepfit's own names and under those which MLServer gives the same things, so that its dashboards and alerts go on
working (https://docs.seldon.ai/mlserver/user-guide/metrics).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from math import log2
from typing import Any

from keepfit.serve.exposition import Text, merged

__all__ = ["Answering", "Sizes", "Tally", "Way", "merged"]

_STEPS = 8  # buckets per factor of two: a percentile is known to 9 %
_LEAST = 20  # the first bucket is 2^-20 s: one microsecond
_SIZE = (_LEAST + 6) * _STEPS  # the last one is 64 s
_EDGES = range(-13, 5)  # powers of two that Prometheus is told: 0.12 ms to 16 s
_SIZES = 13  # powers of two that sizes are counted by: 1 to 4096


class Way:
    """The answers to one kind of request: an HTTP method (or `GRPC`) and the pattern of a path."""

    __slots__ = ("counts", "method", "path", "seconds", "statuses")

    def __init__(self, method: str, path: str) -> None:
        self.method, self.path = method, path
        self.statuses: Counter[int] = Counter()
        self.counts = [0] * _SIZE
        self.seconds = 0.0


class Answering:
    """What one Version answered in one Slot."""

    __slots__ = ("failed", "requests", "rows", "seconds")

    def __init__(self) -> None:
        self.requests = self.rows = self.failed = 0
        self.seconds = 0.0

    def add(self, rows: int, seconds: float) -> None:
        """Count a request answered, its rows, and the seconds from decoded to predicted."""
        self.requests += 1
        self.rows += rows
        self.seconds += seconds

    def fail(self) -> None:
        """Count a request that the model, its queue or its deadline failed."""
        self.failed += 1


class Sizes:
    """How often something had which size: a queue when a request joined it, what was answered together."""

    def __init__(self) -> None:
        self.sum = 0
        self._counts = [0] * (_SIZES + 1)

    def add(self, size: int) -> None:
        """Count one."""
        self.sum += size
        self._counts[min(_SIZES, (size - 1).bit_length() if size > 1 else 0)] += 1

    def lines(self) -> Mapping[str, float]:
        """Values by the ends of their lines."""
        below = [*accumulate(self._counts)]
        edges = {f"_bucket {2**power}": below[power] for power in range(_SIZES)}
        return {**edges, "_bucket +Inf": below[-1], "_sum": self.sum, "_count": below[-1]}


class Tally:
    """Counts of one process; `tick` is called once a second, so that percentiles are those of the last ten."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers: Counter[int] = Counter()
        self._other = Way("", "")
        self._ways: dict[tuple[str, str], Way] = {}
        self._versions: dict[tuple[str, int, str], Answering] = {}
        self._sizes: dict[tuple[str, str], Sizes] = {}
        self._events: Counter[tuple[str, str, tuple[tuple[str, object], ...]]] = Counter()
        self._recent = [[0] * _SIZE for _ in range(10)]
        self._now = self._recent[-1]

    def way(self, method: str, path: str) -> Way:
        """Where answers to a method and the pattern of a path are counted; keep it, the look-up is the cost."""
        return self._ways.setdefault((method, path), Way(method, path))

    def version(self, model: str, version: int, slot: str) -> Answering:
        """Where the answers of a Version in a Slot are counted; keep it."""
        return self._versions.setdefault((model, version, slot), Answering())

    def sizes(self, name: str, help: str) -> Sizes:
        """A histogram of sizes; keep it."""
        return self._sizes.setdefault((name, help), Sizes())

    def count(self, name: str, help: str, by: int = 1, **labels: object) -> None:
        """Count something rare (`keepfit_swaps_total`), by its labels."""
        self._events[name, help, tuple(labels.items())] += by

    def add(self, status: int, seconds: float, way: Way | None = None) -> None:
        """Count one answer and the seconds it took."""
        self.requests += 1
        self.answers[status] += 1
        place = int((log2(seconds) + _LEAST) * _STEPS) if seconds > 1e-6 else 0
        if place >= _SIZE:
            place = -1
        self._now[place] += 1
        way = way or self._other
        way.statuses[status] += 1
        way.counts[place] += 1
        way.seconds += seconds

    def tick(self) -> None:
        """Turn to the next second."""
        oldest = self._recent.pop(0)
        oldest[:] = [0] * _SIZE
        self._recent.append(oldest)
        self._now = oldest

    @property
    def errors(self) -> int:
        """Answers with a status of 500 and above: the service's fault, not the caller's."""
        return sum(count for status, count in self.answers.items() if status >= 500)

    def percentiles(self, *shares: float) -> list[float | None]:
        """Seconds below which these shares of the last ten seconds' answers stayed; None without any."""
        counts = [sum(column) for column in zip(*self._recent, strict=True)]
        total = sum(counts)
        return [self._quantile(counts, share * total) if total else None for share in shares]

    def latest(self, share: float, least: int = 100) -> float | None:
        """Seconds below which this share of the latest answers stayed; None without any.

        Counted are as few whole seconds as hold `least` answers, at most nine: of fewer, p99 is the slowest.
        """
        counts, total = [0] * _SIZE, 0
        for second in reversed(self._recent[:-1]):
            counts = [a + b for a, b in zip(counts, second, strict=True)]
            total = sum(counts)
            if total >= least:
                break
        return self._quantile(counts, share * total) if total else None

    def _quantile(self, counts: list[int], rank: float) -> float:
        seen = 0
        for place, count in enumerate(counts):
            seen += count
            if seen >= rank and count:
                return float(2.0 ** ((place + 0.5) / _STEPS - _LEAST))
        return float(2.0 ** (_SIZE / _STEPS - _LEAST))

    @property
    def answered(self) -> list[dict[str, Any]]:
        """The requests that each Version answered and failed, by model and Slot, as plain data."""
        return [
            {"model": model, "version": version, "slot": slot, "requests": one.requests, "failed": one.failed}
            for (model, version, slot), one in self._versions.items()
        ]

    def tell(self, text: Text) -> None:
        """Write everything counted."""
        for way in (self._other, *self._ways.values()):
            if way.statuses or way is self._other:
                _tell_way(text, way)
        for (model, version, slot), answering in self._versions.items():
            _tell_version(text, answering, model=model, version=version, slot=slot)
        for (name, help), sizes in self._sizes.items():
            text.series(name, "histogram", help, sizes.lines())
        for (name, help, labels), value in self._events.items():
            text.number(name, value, help, **dict(labels))


def _tell_way(text: Text, way: Way) -> None:
    labels = {"method": way.method, "path": way.path} if way.path else {}
    theirs = {"app_name": "keepfit", "method": way.method, "path": way.path}
    for status, count in sorted(way.statuses.items()):
        text.number("keepfit_requests_total", count, "Requests answered.", **labels, status=status)
        if way.path:
            text.number("rest_server_requests_total", count, "As MLServer calls it.", **theirs, status_code=status)
    below, total = [0, *accumulate(way.counts)], sum(way.counts)
    lines: dict[str, float] = {f"_bucket {2.0**edge:g}": below[(edge + _LEAST) * _STEPS] for edge in _EDGES}
    lines |= {"_bucket +Inf": total, "_sum": round(way.seconds, 6), "_count": total}
    text.series("keepfit_request_seconds", "histogram", "From a request's last byte to its answer.", lines, **labels)
    if way.path:
        name, help = "rest_server_requests_duration_seconds", "As MLServer calls it."
        text.series(name, "histogram", help, lines, **theirs)


def _tell_version(text: Text, answering: Answering, *, model: str, version: int, slot: str) -> None:
    ours = {"model": model, "version": version, "slot": slot}
    text.number("keepfit_answers_total", answering.requests, "Requests a Version answered in a Slot.", **ours)
    text.number("keepfit_answered_rows_total", answering.rows, "Records a Version answered in a Slot.", **ours)
    text.number("keepfit_failed_total", answering.failed, "Requests a Version failed in a Slot.", **ours)
    if slot == "shadow":  # whose answers nobody gets: MLServer has no name for that
        return
    lines = {"_count": answering.requests, "_sum": round(answering.seconds, 6)}
    theirs = {"model": model, "version": version, **({"slot": slot} if slot != "live" else {})}
    text.number("model_infer_request_success_total", answering.requests, "As MLServer calls it.", **theirs)
    text.number("model_infer_request_failure_total", answering.failed, "As MLServer calls it.", **theirs)
    text.series("model_infer_request_duration", "summary", "As MLServer calls it.", lines, **theirs)
