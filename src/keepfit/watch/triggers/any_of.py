"""AnyOf: one of several."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.core.protocols import Trigger
from keepfit.watch.triggers.series import require_some


@dataclass(frozen=True)
class AnyOf:
    """When one of several triggers fires."""

    triggers: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        require_some("AnyOf", self.triggers)

    def decide(self, pulse: Pulse) -> Decision:
        """Fire with the reasons of those which fire."""
        decisions = [trigger.decide(pulse) for trigger in self.triggers]
        fired = [decision for decision in decisions if decision.fire]
        return Decision(bool(fired), " or ".join(decision.reason for decision in fired or decisions))
