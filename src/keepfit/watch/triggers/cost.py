"""Cost: an update is bought once waiting for it has cost as much."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import regret, require


@dataclass(frozen=True)
class Cost:
    """When what staleness has cost since the last update reaches what an update costs, in wrong answers.

    An update costs `update` wrong answers, and `per_cpu_second` for each CPU-second the last ones took. Staleness costs
    the answers that a fresh Version would have given rightly (see Avoidable). This is the rule of one who rents skis
    until the rent has reached their price (Karlin et al. 1988): with models that only grow worse with age, and
    staleness looked at after every label, it never costs more than twice what the best schedule in hindsight does.
    """

    update: float
    per_cpu_second: float = 0.0
    expected: float | None = None
    stride: int = 100

    def __post_init__(self) -> None:
        require("Cost.update", self.update, self.update >= 0, "a number of wrong answers, at least 0")
        require("Cost.per_cpu_second", self.per_cpu_second, self.per_cpu_second >= 0, "a number, at least 0")
        require("Cost.update", self.update, self.update + self.per_cpu_second > 0, "a price above 0")
        require("Cost.stride", self.stride, self.stride >= 1, "at least 1")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once waiting has cost as much as an update."""
        lost = regret(pulse, self.expected)
        price = self.update + self.per_cpu_second * _usual(pulse.costs)
        if lost is None or price <= 0:
            return Decision(False, f"an update costs {price:.1f} wrong answers; nothing is known of staleness yet")
        told = f"staleness has cost {lost:.1f} wrong answers, an update costs {price:.1f}"
        return Decision(lost >= price, told)


def _usual(costs: tuple[float, ...]) -> float:
    """The mean of the last three."""
    return sum(costs[-3:]) / len(costs[-3:]) if costs else 0.0
