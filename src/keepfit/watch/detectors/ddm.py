"""DDM, the drift detection method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, as_errors, follow, latest_low, risen


@dataclass(frozen=True)
class DDM:
    """Gama et al.'s (2004) drift detection method: an error rate so many deviations above its lowest.

    Alarms are river's. Follows errors (0 and 1); of other losses the highest four tenths of the reference's count as
    errors. p-value and effect are those of all detectors of sequences: see `keepfit.watch.sequential`.

    >>> DDM().score(np.tile([0.0] * 9 + [1.0], 100), np.tile([0.0, 1.0], 200)).since
    1
    """

    warm_start: int = 30
    threshold: float = 3.0

    def __post_init__(self) -> None:
        if self.warm_start < 1 or not self.threshold > 0:
            raise SpecInvalid(
                f"DDM: expected warm_start of at least 1 and threshold above 0, found "
                f"{self.warm_start}, {self.threshold}"
            )

    def alarms(self, errors: NDArray[np.float64], calm: int = 0) -> tuple[Alarm, ...]:
        """The alarms over a sequence of 0 and 1."""
        return alarms(errors, self._first, calm=calm)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(
            reference,
            window,
            name="DDM",
            raised=lambda all_, rows: self.alarms(as_errors(all_, rows), rows),
            judge=risen,
        )

    def _first(self, errors: NDArray[np.float64], calm: int) -> Alarm | None:
        n = np.arange(1, errors.size + 1)
        rate = errors.cumsum() / n
        spread = np.sqrt(rate * (1 - rate) / n)
        level = (rate + spread)[self.warm_start :]
        if not level.size:
            return None
        low = latest_low(level) + self.warm_start
        over = level > rate[low] + self.threshold * spread[low]
        over[: max(0, calm - self.warm_start)] = False
        at = int(np.argmax(over))
        return Alarm(at + self.warm_start, int(low[at]) + 1) if over[at] else None
