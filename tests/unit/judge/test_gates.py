"""Gates let in what the evidence shows, hold what it cannot tell, and refuse everything else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keepfit.core.nouns import Evaluation, Evidence, Measure, Outcome, Ruling
from keepfit.core.protocols import Gate
from keepfit.judge.gates import Better, Contract, Floor, Golden, Harmless, NotWorse, harmed, rule

PASS, HOLD, REFUSE = Outcome.PASS, Outcome.HOLD, Outcome.REFUSE


def _measure(difference: float, low: float, high: float, *, n: int = 1000, name: str = "all") -> Measure:
    return Measure("auc", name, n, 0.7 + difference, 0.7, difference, low, high)


def _evidence(*measures: Measure, incumbent: str | None = "a", confidence: float = 0.95) -> Evidence:
    return Evidence(Evaluation("d", "b", incumbent, confidence, 1000, measures), metric="auc")


@pytest.mark.parametrize(
    ("gate", "difference", "low", "high", "outcome"),
    [
        (Better(), 0.02, 0.01, 0.03, PASS),
        (Better(), 0.02, -0.01, 0.05, HOLD),
        (Better(), 0.0, 0.0, 0.0, REFUSE),
        (Better(), -0.01, -0.03, 0.01, REFUSE),
        (Better(), -0.2, -0.3, -0.1, REFUSE),
        (NotWorse(margin=0.01), 0.0, -0.005, 0.005, PASS),
        (NotWorse(margin=0.01), 0.0, -0.02, 0.02, HOLD),
        (NotWorse(margin=0.01), -0.015, -0.03, 0.001, REFUSE),
        (NotWorse(), 0.0, 0.0, 0.0, PASS),
        (Harmless(), -0.01, -0.03, 0.01, PASS),
        (Harmless(), -0.02, -0.03, -0.01, REFUSE),
        (Harmless(margin=0.05), -0.02, -0.03, -0.01, PASS),
    ],
)
def test_the_interval_decides(gate: Gate, difference: float, low: float, high: float, outcome: Outcome) -> None:
    """Pass, hold and refuse follow from where the interval of the difference lies."""
    ruling = gate.judge(_evidence(_measure(difference, low, high)))
    assert ruling.outcome is outcome
    assert "auc" in ruling.reason
    assert "1000 records" in ruling.reason


@pytest.mark.parametrize("gate", [Better(), NotWorse(), Harmless(), Floor("auc", 0.6)])
def test_too_few_records_hold(gate: Gate) -> None:
    """However good it looks, fewer records than the gate's minimum are not enough data."""
    ruling = gate.judge(_evidence(_measure(0.2, 0.1, 0.3, n=99)))
    assert (ruling.outcome, ruling.reason) == (HOLD, "not enough data: 99 records, expected at least 100")


@pytest.mark.parametrize("gate", [Better(), NotWorse(), Harmless()])
def test_a_first_version_has_nothing_to_beat(gate: Gate) -> None:
    """Where there is no incumbent, comparing gates pass and say so; an incumbent that was not measured refuses."""
    alone = Measure("auc", "all", 1000, 0.7, None, None, 0.68, 0.72)
    assert gate.judge(_evidence(alone, incumbent=None)).outcome is PASS
    assert gate.judge(_evidence(alone)).outcome is REFUSE


def test_better_asks_for_its_confidence() -> None:
    """An interval of less coverage than the gate asks for is no evidence."""
    seen = _measure(0.02, 0.01, 0.03)
    assert Better(confidence=0.99).judge(_evidence(seen)).outcome is REFUSE
    assert Better(confidence=0.99).judge(_evidence(seen, confidence=0.99)).outcome is PASS


def test_one_slice_that_is_surely_worse_refuses() -> None:
    """A candidate better overall but clearly harmful on one declared slice is refused, naming the slice."""
    measures = (_measure(0.02, 0.01, 0.03), _measure(-0.1, -0.13, -0.07, name="site=b", n=400))
    ruling = NotWorse().judge(_evidence(*measures))
    assert ruling.outcome is REFUSE
    assert "site=b" in ruling.reason
    assert NotWorse(slices=False).judge(_evidence(*measures)).outcome is PASS
    assert NotWorse(minimum_rows=500).judge(_evidence(*measures)).outcome is PASS


def test_many_slices_are_allowed_for() -> None:
    """A slice just beyond its own interval refuses alone, and is what chance gives among twenty."""
    edge = _measure(-0.02, -0.039, -0.001, name="site=b")
    quiet = [_measure(0.0, -0.02, 0.02, name=f"site={i}") for i in range(19)]
    overall = _measure(0.02, 0.01, 0.03)
    assert [pair.slice for pair in harmed(Evaluation("d", "b", "a", 0.95, 1000, (edge,)), "auc")] == ["site=b"]
    assert NotWorse().judge(_evidence(overall, edge)).outcome is REFUSE
    assert NotWorse().judge(_evidence(overall, edge, *quiet)).outcome is PASS


@pytest.mark.parametrize(
    ("gate", "value", "outcome"),
    [
        (Floor("auc", 0.7), 0.7, PASS),
        (Floor("auc", 0.7), 0.69, REFUSE),
        (Floor("log_loss", 0.5), 0.4, PASS),
        (Floor("log_loss", 0.5), 0.6, REFUSE),
        (Floor("auc", 0.7), float("nan"), REFUSE),
    ],
)
def test_floor_knows_which_way_is_better(gate: Floor, value: float, outcome: Outcome) -> None:
    """A floor is a minimum, or a maximum where less is better."""
    seen = Measure(gate.metric, "all", 500, value, None, None, 0.0, 1.0)
    assert gate.judge(_evidence(seen)).outcome is outcome


@pytest.mark.parametrize(
    ("contract", "outcome"),
    [("identical", PASS), ("widening", PASS), ("breaking", REFUSE), ("", REFUSE), ("?", REFUSE)],
)
def test_contract(contract: str, outcome: Outcome) -> None:
    """Only a Signature known to be identical or wider passes."""
    ruling = Contract().judge(Evidence(contract=contract, contract_changes=("input 'x' was removed",)))
    assert ruling.outcome is outcome
    assert ("'x'" in ruling.reason) == (contract in {"widening", "breaking"})


@pytest.mark.parametrize(
    ("error", "outcome"), [(0.0, PASS), (1e-4, PASS), (2e-4, REFUSE), (float("nan"), REFUSE), (None, REFUSE)]
)
def test_golden(error: float | None, outcome: Outcome) -> None:
    """Golden examples pass within the tolerance; NaN and examples never run do not."""
    assert Golden().judge(Evidence(golden_error=error)).outcome is outcome


class Broken:
    """A plug-in gate with a bug."""

    def judge(self, evidence: Evidence) -> Ruling:
        raise ZeroDivisionError("division by zero")


def test_the_verdict_is_the_strictest_ruling() -> None:
    """One refusal refuses, else one hold holds; silence and a gate that raises refuse, with the reason kept."""
    good, wide = _measure(0.02, 0.01, 0.03), _measure(0.02, -0.01, 0.05)
    evidence = replace(_evidence(good), golden_error=0.0, contract="identical")
    assert rule([Better(), Golden(), Contract()], evidence).outcome is PASS
    assert rule([Better(), Golden()], replace(_evidence(wide), golden_error=0.0)).outcome is HOLD
    assert rule([Better(), Golden()], _evidence(wide)).outcome is REFUSE
    assert rule([], evidence).outcome is REFUSE
    verdict = rule([Golden(), Broken()], evidence)
    assert verdict.outcome is REFUSE
    assert verdict.rulings[1].reason == "the gate failed: ZeroDivisionError: division by zero"


def test_a_gate_may_name_its_own_metric() -> None:
    """The gate's metric goes before the Service's; one that was not evaluated, or none at all, is no evidence."""
    evidence = _evidence(_measure(0.02, 0.01, 0.03))
    assert Better("auc").judge(replace(evidence, metric="f1")).outcome is PASS
    assert "f1 is not defined" in Better("f1").judge(evidence).reason
    assert Better().judge(replace(evidence, metric="")).outcome is REFUSE
