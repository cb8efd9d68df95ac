"""Vote: an ensemble of triggers."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Pulse
from keepfit.core.protocols import Trigger
from keepfit.watch.triggers.series import require_some


@dataclass(frozen=True)
class Vote:
    """When at least `at_least` of several triggers fire; 0 means the majority of them."""

    triggers: tuple[Trigger, ...]
    at_least: int = 0

    def __post_init__(self) -> None:
        require_some("Vote", self.triggers)
        if not 0 <= self.at_least <= len(self.triggers):
            raise SpecInvalid(
                f"Vote.at_least: expected 1 to {len(self.triggers)}, or 0 for the majority, found {self.at_least}"
            )

    def decide(self, pulse: Pulse) -> Decision:
        """Fire with the reasons of those which vote for it; else with those of the others."""
        decisions = [trigger.decide(pulse) for trigger in self.triggers]
        wanted = self.at_least or len(decisions) // 2 + 1
        fire = sum(decision.fire for decision in decisions) >= wanted
        told = "; ".join(decision.reason for decision in decisions if decision.fire is fire)
        votes = sum(decision.fire for decision in decisions)
        return Decision(fire, f"{votes} of {len(decisions)} triggers fire, {wanted} are needed: {told}")
