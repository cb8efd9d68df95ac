"""Every: when some time is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import rounded


@dataclass(frozen=True)
class Every:
    """When `interval` has passed since the last update."""

    interval: timedelta

    def __post_init__(self) -> None:
        if self.interval <= timedelta(0):
            raise SpecInvalid(f"Every.interval: expected a timedelta above zero, found {self.interval!r}")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once the interval is over."""
        passed = pulse.now - pulse.since
        if passed >= self.interval:
            return Decision(True, f"{rounded(passed)} passed since the last update, {self.interval} is the interval")
        return Decision(False, f"{rounded(passed)} of {self.interval} passed since the last update")
