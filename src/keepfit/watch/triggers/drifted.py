"""Drifted: when the data moved."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, FindingKind, Pulse, Severity

_CHANGES = frozenset({FindingKind.DRIFT, FindingKind.SKEW, FindingKind.ALIVE, FindingKind.DEAD})


@dataclass(frozen=True)
class Drifted:
    """When at least `at_least` subjects drifted from an earlier Span or from training, woke up or went still.

    Each must have been found by `looks` looks of a Monitor in a row: one bad batch raises an alarm, but nothing is
    trained on it; what lasts is. Recorded values that are wrong (an anomaly) are none of it: they are to be put right.
    """

    at_least: int = 1
    looks: int = 2

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise SpecInvalid(f"Drifted.at_least: expected at least 1, found {self.at_least}")
        if self.looks < 1:
            raise SpecInvalid(f"Drifted.looks: expected at least 1, found {self.looks}")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once enough subjects were found to have moved since the last update, and to have stayed there."""
        found = {
            finding.subject: finding
            for finding in pulse.findings
            if finding.kind in _CHANGES and finding.severity is not Severity.INFO and not finding.anomaly
        }
        moved = {name: finding for name, finding in found.items() if finding.looks >= self.looks}
        if len(moved) < self.at_least:
            once = (
                f"; {len(found) - len(moved)} more for less than {self.looks} looks" if len(found) > len(moved) else ""
            )
            return Decision(False, f"{len(moved)} of {self.at_least} subjects drifted since the last update{once}")
        more = f" (and {len(moved) - 3} more)" if len(moved) > 3 else ""
        told = "; ".join(finding.sentence for finding in list(moved.values())[:3])
        return Decision(True, f"{len(moved)} subjects drifted, {self.at_least} were awaited: {told}{more}")
