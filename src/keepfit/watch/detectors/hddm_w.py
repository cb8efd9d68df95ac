"""HDDM-W, McDiarmid's bound on weighted averages."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, as_shares, earliest_low, filtered, follow, moved, risen


@dataclass(frozen=True)
class HDDMW:
    """Frías-Blanco et al.'s (2015) W-test: the exponentially weighted mean of losses in [0, 1] rose beyond its bound.

    Alarms are river's for the same parameters; river's own `fading` of 0.05 forgets too soon to see a shift by one
    deviation every time. Losses that are not 0 and 1 are followed as their place among the reference's. p-value and
    effect are those of all detectors of sequences: see `keepfit.watch.sequential`.

    >>> HDDMW().score(np.tile([0.0] * 9 + [1.0], 100), np.tile([0.0, 1.0], 200)).p_value < 0.01
    True
    """

    confidence: float = 0.001
    fading: float = 0.03
    two_sided: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1 or not 0 < self.fading < 1:
            raise SpecInvalid(
                f"HDDMW: expected confidence and fading between 0 and 1, found {self.confidence}, {self.fading}"
            )

    def alarms(self, losses: NDArray[np.float64], calm: int = 0) -> tuple[Alarm, ...]:
        """The alarms over a sequence of losses in [0, 1]."""
        return alarms(losses, self._first, calm=calm)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(
            reference,
            window,
            name="HDDMW",
            raised=lambda all_, rows: self.alarms(as_shares(all_, rows), rows),
            judge=moved if self.two_sided else risen,
        )

    def _first(self, losses: NDArray[np.float64], calm: int) -> Alarm | None:
        keep = 1 - self.fading
        index = np.arange(losses.size, dtype=np.float64)
        mean = self._means(losses)
        variance = self._bounds(index + 1.0)
        bound = np.sqrt(variance * log(1 / self.confidence) / 2)
        best: Alarm | None = None
        for sign in (1, -1)[: 1 + self.two_sided]:
            cut = earliest_low(sign * mean + bound)
            begun = np.minimum(cut + 1, losses.size - 1)
            since = mean + keep ** np.maximum(index - begun, 0) * (losses[begun] - mean[begun])
            reach = np.sqrt((variance[cut] + self._bounds(index - cut)) * log(1 / self.confidence) / 2)
            over = (index > cut) & (sign * (since - mean[cut]) > reach)
            over[:calm] = False
            at = int(np.argmax(over))
            if over[at] and (best is None or at < best.at):
                best = Alarm(at, int(cut[at]) + 1)
        return best

    def _means(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weighted mean, which begins with the first loss."""
        steps = self.fading * losses
        steps[0] = losses[0]
        return filtered(steps, 1 - self.fading)

    def _bounds(self, n: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of the squared weights of a mean of n losses, as river has it: the recurrence starts at one."""
        square = (1 - self.fading) ** 2
        limit = self.fading**2 / (1 - square)
        found: NDArray[np.float64] = limit + square**n * (1 - limit)
        return found
