"""Avoidable: wrong answers that an update would have prevented."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import regret, require


@dataclass(frozen=True)
class Avoidable:
    """When about `count` answers since the last update were wrong that a fresh Version would have given rightly.

    A fresh Version is right as often as the live one was when it was judged, or in `expected` of the answers; with
    `lately`, at least as often as in the best third of so many strides before, of whatever Version: so a Version that
    was made amid a change is not taken for the best there can be. For numbers it is the metric's excess over that at
    release, summed over labels. Counted anew every `stride` labels.
    """

    count: float
    expected: float | None = None
    stride: int = 100
    lately: int = 0

    def __post_init__(self) -> None:
        require("Avoidable.count", self.count, self.count > 0, "a number above 0")
        require("Avoidable.stride", self.stride, self.stride >= 1, "at least 1")
        require("Avoidable.lately", self.lately, self.lately >= 0, "a number of strides, at least 0")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once there are as many."""
        found = regret(pulse, self.expected, lately=self.lately)
        if found is None:
            return Decision(False, "no labels to compare the live version with its release yet")
        told = f"about {found:.1f} answers since the last update could have been right"
        return Decision(found >= self.count, f"{told}, {self.count:g} were awaited")
