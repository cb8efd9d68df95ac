"""Page and Hinkley's test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, earliest_low, filtered, follow, moved, risen


@dataclass(frozen=True)
class PageHinkley:
    """Page's (1954) test after Hinkley: the summed distance from the running mean left its lowest by `threshold`.

    Alarms are river's; `two_sided` follows falls as well. `threshold` and `delta` are in standard deviations of the
    reference. p-value and effect are those of all detectors of sequences: see `keepfit.watch.sequential`.

    >>> PageHinkley().score(np.tile([0.0] * 9 + [1.0], 100), np.tile([0.0, 1.0], 200)).p_value < 0.01
    True
    """

    minimum: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    alpha: float = 0.9999
    two_sided: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1 or not self.threshold > 0:
            raise SpecInvalid(
                f"PageHinkley: expected alpha above 0 and at most 1 and threshold above 0, found {self.alpha}, "
                f"{self.threshold}"
            )

    def alarms(self, losses: NDArray[np.float64], calm: int = 0) -> tuple[Alarm, ...]:
        """The alarms over a sequence; `threshold` and `delta` are in its units."""
        return alarms(losses, self._first, calm=calm)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(
            reference, window, name="PageHinkley", raised=self._standardised, judge=moved if self.two_sided else risen
        )

    def _standardised(self, losses: NDArray[np.float64], rows: int) -> tuple[Alarm, ...]:
        spread = float(losses[:rows].std()) or float(losses.std()) or 1.0
        return self.alarms((losses - losses[:rows].mean()) / spread, rows)

    def _first(self, losses: NDArray[np.float64], calm: int) -> Alarm | None:
        n = np.arange(1, losses.size + 1)
        away = losses - losses.cumsum() / n
        upward = filtered(away - self.delta, self.alpha)
        best = self._over(upward, earliest_low(upward), calm)
        if self.two_sided:
            downward = filtered(away + self.delta, self.alpha)
            low = earliest_low(-downward)
            other = self._over(
                -np.where(downward[low] > -1, downward - downward[low], downward + 1), low, calm, whole=True
            )
            best = min((alarm for alarm in (best, other) if alarm), key=lambda alarm: alarm.at, default=None)
        return best

    def _over(
        self, sums: NDArray[np.float64], low: NDArray[np.int64], calm: int, *, whole: bool = False
    ) -> Alarm | None:
        over = (sums if whole else sums - sums[low]) > self.threshold
        over[: max(self.minimum - 1, calm)] = False
        at = int(np.argmax(over))
        return Alarm(at, int(low[at]) + 1) if over[at] else None
