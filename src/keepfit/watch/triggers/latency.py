"""Latency: how long data waits to be learnt."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import require


@dataclass(frozen=True)
class Latency:
    """When the labels that no update has learnt have together waited `label_seconds`.

    1,000 labels that have waited an hour each are 3,600,000 label-seconds: the area under the number of labels not yet
    incorporated (Böther et al. 2025). So it fires soon when much comes, late when little does, and always some day.
    """

    label_seconds: float

    def __post_init__(self) -> None:
        require("Latency.label_seconds", self.label_seconds, self.label_seconds > 0, "a number above 0")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once the labels have waited long enough."""
        fire = pulse.waited >= self.label_seconds
        told = f"{pulse.labels} labels have waited {pulse.waited:.0f} label-seconds"
        return Decision(fire, f"{told}, {self.label_seconds:.0f} {'were' if fire else 'are'} awaited")
