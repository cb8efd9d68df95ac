"""AllOf: several together."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.core.protocols import Trigger
from keepfit.watch.triggers.series import require_some


@dataclass(frozen=True)
class AllOf:
    """When several triggers fire together."""

    triggers: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        require_some("AllOf", self.triggers)

    def decide(self, pulse: Pulse) -> Decision:
        """Fire with all reasons; else with the reasons of those which do not."""
        decisions = [trigger.decide(pulse) for trigger in self.triggers]
        waiting = [decision for decision in decisions if not decision.fire]
        return Decision(not waiting, " and ".join(decision.reason for decision in waiting or decisions))
