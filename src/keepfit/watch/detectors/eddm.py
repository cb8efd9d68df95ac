"""EDDM, the early drift detection method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.sequential import Alarm, alarms, as_errors, follow, latest_low, risen


@dataclass(frozen=True)
class EDDM:
    """Baena-García et al.'s (2006) early drift detection method: errors come closer together than they ever were apart.

    Alarms are river's. Follows errors (0 and 1); of other losses the highest four tenths of the reference's count as
    errors. p-value and effect are those of all detectors of sequences: see `keepfit.watch.sequential`.

    >>> EDDM().score(np.tile([0.0] * 9 + [1.0], 100), np.tile([0.0, 1.0], 200)).p_value < 0.01
    True
    """

    warm_start: int = 30
    beta: float = 0.9

    def __post_init__(self) -> None:
        if self.warm_start < 1 or not 0 < self.beta < 1:
            raise SpecInvalid(
                f"EDDM: expected warm_start of at least 1 and beta between 0 and 1, found "
                f"{self.warm_start}, {self.beta}"
            )

    def alarms(self, errors: NDArray[np.float64], calm: int = 0) -> tuple[Alarm, ...]:
        """The alarms over a sequence of 0 and 1."""
        return alarms(errors, self._first, calm=calm)

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window after the reference; see Detector. SpecInvalid for text."""
        return follow(
            reference,
            window,
            name="EDDM",
            raised=lambda all_, rows: self.alarms(as_errors(all_, rows), rows),
            judge=risen,
        )

    def _first(self, errors: NDArray[np.float64], calm: int) -> Alarm | None:
        places = np.flatnonzero(errors == 1)
        n = np.arange(1, places.size + 1)
        apart = np.diff(places, prepend=-1).astype(np.float64)
        mean = apart.cumsum() / n
        squares = (apart * apart).cumsum() - n * mean * mean
        level = mean + 2 * np.sqrt(np.maximum(squares, 0.0) / np.maximum(n - 1, 1))
        begun = int(np.searchsorted(places, self.warm_start))
        level, n = level[begun:], n[begun:]
        if not level.size:
            return None
        high = latest_low(-level)
        over = (n > self.warm_start) & (places[begun:] >= calm) & (level / level[high] < self.beta)
        at = int(np.argmax(over))
        return Alarm(int(places[begun + at]), int(places[begun + high[at]]) + 1) if over[at] else None
