"""Decayed: when a Monitor found the live Version worse."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Decision, FindingKind, Pulse, Severity


@dataclass(frozen=True)
class Decayed:
    """When late labels said that the live Version became worse."""

    def decide(self, pulse: Pulse) -> Decision:
        """Fire on a decay found since the last update."""
        found = [
            finding
            for finding in pulse.findings
            if finding.kind is FindingKind.DECAY and finding.severity is not Severity.INFO
        ]
        if found:
            return Decision(True, f"decay: {found[-1].sentence}")
        return Decision(False, f"no decay in {pulse.labels} labels since the last update")
