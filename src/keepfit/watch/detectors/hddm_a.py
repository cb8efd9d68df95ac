"""HDDM-A, Hoeffding's bound on averages."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, as_shares, follow, latest_low, moved, risen


@dataclass(frozen=True)
class HDDMA:
    """Frías-Blanco et al.'s (2015) A-test: the mean of losses in [0, 1] rose beyond Hoeffding's bound.

    Alarms are river's. Losses that are not 0 and 1 are followed as their place among the reference's. p-value and
    effect are those of all detectors of sequences: see `keepfit.watch.sequential`.

    >>> HDDMA().score(np.tile([0.0] * 9 + [1.0], 100), np.tile([0.0, 1.0], 200)).p_value < 0.01
    True
    """

    confidence: float = 0.001
    two_sided: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise SpecInvalid(f"HDDMA.confidence: expected between 0 and 1, found {self.confidence}")

    def alarms(self, losses: NDArray[np.float64], calm: int = 0) -> tuple[Alarm, ...]:
        """The alarms over a sequence of losses in [0, 1]."""
        return alarms(losses, self._first, calm=calm)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(
            reference,
            window,
            name="HDDMA",
            raised=lambda all_, rows: self.alarms(as_shares(all_, rows), rows),
            judge=moved if self.two_sided else risen,
        )

    def _first(self, losses: NDArray[np.float64], calm: int) -> Alarm | None:
        n = np.arange(1.0, losses.size + 1)
        mean = losses.cumsum() / n
        bound = np.sqrt(log(1 / self.confidence) / (2 * n))
        best: Alarm | None = None
        for sign in (1, -1)[: 1 + self.two_sided]:
            cut = latest_low(sign * mean + bound)
            apart = (n - n[cut]) / n[cut] / n
            over = (cut < n - 1) & (sign * (mean - mean[cut]) >= np.sqrt(apart / 2 * log(2 / self.confidence)))
            over[:calm] = False
            at = int(np.argmax(over))
            if over[at] and (best is None or at < best.at):
                best = Alarm(at, int(cut[at]) + 1)
        return best
