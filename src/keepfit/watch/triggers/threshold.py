"""Threshold: performance against a fixed bound."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import newest, require, worse


@dataclass(frozen=True)
class Threshold:
    """When the live metric is worse than `bound` on the newest labels; it is taken every `stride` labels."""

    bound: float
    stride: int = 100

    def __post_init__(self) -> None:
        require("Threshold.stride", self.stride, self.stride >= 1, "at least 1")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire when the newest mark since the last update is worse than the bound."""
        mark, _ = newest(pulse, self.stride)
        if mark is None:
            return Decision(False, f"no {pulse.metric or 'metric'} of {self.stride} labels since the last update yet")
        fire = worse(mark.value, self.bound, pulse) > 0
        told = f"{pulse.metric} {mark.value:.4f} on the newest {mark.rows} labels"
        return Decision(fire, f"{told} is {'worse than' if fire else 'within'} the bound {self.bound:g}")
