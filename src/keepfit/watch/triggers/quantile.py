"""Quantile: performance against what it usually was."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import newest, require, worse


@dataclass(frozen=True)
class Quantile:
    """When the live metric falls among the worst `share` of its last `window` values, of whatever Version.

    It is taken every `stride` labels, and compared once there are ten values.
    """

    share: float = 0.05
    window: int = 30
    stride: int = 100

    def __post_init__(self) -> None:
        require("Quantile.share", self.share, 0 < self.share < 1, "a share between 0 and 1")
        require("Quantile.window", self.window, self.window >= _FEWEST, f"at least {_FEWEST}")
        require("Quantile.stride", self.stride, self.stride >= 1, "at least 1")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire when at most `share` of the earlier marks are as bad as the newest one."""
        mark, before = newest(pulse, self.stride)
        before = before[-self.window :]
        if mark is None or len(before) < _FEWEST:
            return Decision(False, f"{len(before)} of {_FEWEST} values of the metric to compare with are there")
        as_bad = sum(worse(one.value, mark.value, pulse) >= 0 for one in before)
        fire = as_bad <= self.share * len(before)
        told = f"{pulse.metric} {mark.value:.4f}: {as_bad} of {len(before)} values before were as bad"
        return Decision(fire, f"{told}, {self.share:.3g} of them {'is' if fire else 'would be'} the alarm")


_FEWEST = 10
