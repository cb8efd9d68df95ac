"""Law suites for plug-ins: `check_*` raises AssertionError where an implementation breaks its protocol."""

# ruff: noqa: S101 - these are assertions about somebody else's code, for use in tests

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepfit.core.protocols import Gate


def check_gate(gate: Gate) -> None:
    """A gate lets nothing in without evidence or on NaN, is repeatable, says why, and can be stored."""
    from keepfit.core.nouns import Evaluation, Evidence, Measure, Outcome
    from keepfit.core.protocols import Gate as Protocol
    from keepfit.core.registry import from_plain, to_plain

    metric = str(getattr(gate, "metric", "")) or "auc"
    hollow = Measure(metric, "all", 100_000, nan, nan, nan, nan, nan)
    blind = {
        "no evidence": Evidence(),
        "an empty evaluation": Evidence(Evaluation("d", "b", "a", 0.95, 1000, ()), metric=metric),
        "measures that are NaN": Evidence(
            Evaluation("d", "b", "a", 0.999, 1000, (hollow,)), metric=metric, golden_error=nan, contract="unknown"
        ),
    }
    for what, evidence in blind.items():
        ruling = gate.judge(evidence)
        assert ruling.outcome is not Outcome.PASS, f"{gate!r} lets a candidate in on {what}"
        assert ruling == gate.judge(evidence), f"{gate!r} does not rule the same on the same evidence"
        assert ruling.gate, f"{gate!r} does not name itself in its ruling"
        assert ruling.reason, f"{gate!r} gives no reason"
    again = from_plain(tuple[Protocol, ...], to_plain((gate,)))
    assert again == (gate,), f"{gate!r} does not come back from plain data: {again!r}"
