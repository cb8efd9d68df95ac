"""What a front worker counts: requests, errors, and how long answers took; as Prometheus text too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import log2

_STEPS = 8  # buckets per factor of two: a percentile is known to 9 %
_LEAST = 20  # the first bucket is 2^-20 s: one microsecond
_SIZE = (_LEAST + 6) * _STEPS  # the last one is 64 s
_EDGES = range(-13, 5)  # powers of two that Prometheus is told: 0.12 ms to 16 s


class Tally:
    """Counts of one process; `tick` is called once a second, so that percentiles are those of the last ten."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers: Counter[int] = Counter()
        self.seconds = 0.0
        self._total = [0] * _SIZE
        self._recent = [[0] * _SIZE for _ in range(10)]
        self._now = self._recent[-1]

    def add(self, status: int, seconds: float) -> None:
        """Count one answer and the seconds it took."""
        self.requests += 1
        self.answers[status] += 1
        self.seconds += seconds
        place = int((log2(seconds) + _LEAST) * _STEPS) if seconds > 1e-6 else 0
        self._now[place if place < _SIZE else -1] += 1

    def tick(self) -> None:
        """Turn to the next second."""
        self._total = [a + b for a, b in zip(self._total, self._now, strict=True)]
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

    def _quantile(self, counts: list[int], rank: float) -> float:
        seen = 0
        for place, count in enumerate(counts):
            seen += count
            if seen >= rank and count:
                return float(2.0 ** ((place + 0.5) / _STEPS - _LEAST))
        return float(2.0 ** (_SIZE / _STEPS - _LEAST))

    def prometheus(self, labels: str) -> list[str]:
        """Counter and histogram lines, with `labels` (`service="x"`) on each."""
        lines = ["# TYPE keepfit_requests_total counter"]
        lines += [
            f'keepfit_requests_total{{{labels},status="{status}"}} {count}'
            for status, count in sorted(self.answers.items())
        ]
        lines.append("# TYPE keepfit_request_seconds histogram")
        counts = [a + b for a, b in zip(self._total, self._now, strict=True)]
        for edge in _EDGES:
            below = sum(counts[: (edge + _LEAST) * _STEPS])
            lines.append(f'keepfit_request_seconds_bucket{{{labels},le="{2.0**edge:g}"}} {below}')
        lines.append(f'keepfit_request_seconds_bucket{{{labels},le="+Inf"}} {self.requests}')
        lines.append(f"keepfit_request_seconds_sum{{{labels}}} {self.seconds:.6f}")
        lines.append(f"keepfit_request_seconds_count{{{labels}}} {self.requests}")
        return lines


def merged(texts: Iterable[str]) -> str:
    """One Prometheus text of several: the lines of a metric together, its type said once."""
    families: dict[str, list[str]] = {}
    for text in texts:
        family: list[str] = []
        for line in text.splitlines():
            if line.startswith("#"):
                family = families.setdefault(line, [])
            else:
                family.append(line)
    return "".join(f"{head}\n" + "".join(f"{line}\n" for line in lines) for head, lines in families.items())
