"""Estimated: performance before any label comes."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import ClassVar

from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import require


@dataclass(frozen=True)
class Estimated:
    """When the live Version's own probabilities promise `drop` less accuracy than they did on its training data.

    Needs no labels: of probabilities that mean what they say, the largest is the expected accuracy, and its change the
    change of accuracy (Guillory et al. 2021). It is taken every `stride` Records. What the model does not know of, a
    rule that changed behind the same inputs, cannot be seen so: have a trigger on labels beside it.
    """

    drop: float = 0.05
    stride: int = 500
    on_records: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require("Estimated.drop", self.drop, 0 < self.drop < 1, "a share between 0 and 1")
        require("Estimated.stride", self.stride, self.stride >= 1, "at least 1")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire when the newest promise since the last update falls short."""
        known = [mark for mark in pulse.marks if mark.time > pulse.since and not isnan(mark.promise)]
        if not known:
            return Decision(False, f"no probabilities of {self.stride} records since the last update yet")
        mark = known[-1]
        told = f"its probabilities promise accuracy {mark.promise:.4f}, {mark.released:.4f} at release"
        return Decision(mark.released - mark.promise >= self.drop, f"{told}; the alarm is at {self.drop:g} less")
