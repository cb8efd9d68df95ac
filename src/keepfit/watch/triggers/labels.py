"""Labels: when enough has been learnt of the truth."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Pulse


@dataclass(frozen=True)
class Labels:
    """When `count` labels have arrived since the last update."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SpecInvalid(f"Labels.count: expected at least 1, found {self.count}")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once there are enough labels."""
        if pulse.labels >= self.count:
            return Decision(True, f"{pulse.labels} labels arrived since the last update, {self.count} were awaited")
        return Decision(False, f"{pulse.labels} of {self.count} labels arrived since the last update")
