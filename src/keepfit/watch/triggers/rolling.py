"""Rolling: performance against its own average."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import newest, require, worse


@dataclass(frozen=True)
class Rolling:
    """When the live metric is worse by `margin` than the average of its last `window` values, of whatever Version.

    It is taken every `stride` labels, and compared once half the window is there.
    """

    margin: float = 0.05
    window: int = 10
    stride: int = 100

    def __post_init__(self) -> None:
        require("Rolling.margin", self.margin, self.margin > 0, "a number above 0")
        require("Rolling.window", self.window, self.window >= 2, "at least 2")
        require("Rolling.stride", self.stride, self.stride >= 1, "at least 1")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire when the newest mark falls short of the average before it."""
        mark, before = newest(pulse, self.stride)
        before = before[-self.window :]
        if mark is None or len(before) < (self.window + 1) // 2:
            return Decision(False, f"{len(before)} of {(self.window + 1) // 2} values to average are there")
        usual = sum(one.value for one in before) / len(before)
        fire = worse(mark.value, usual, pulse) >= self.margin
        told = f"{pulse.metric} {mark.value:.4f}, {usual:.4f} on average of {len(before)} values before"
        return Decision(fire, f"{told}; {self.margin:g} worse {'is' if fire else 'would be'} the alarm")
