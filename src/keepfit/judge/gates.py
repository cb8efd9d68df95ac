"""Gates: rules over evidence. Absent evidence refuses, too little holds, and every ruling says why with the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from statistics import NormalDist

from keepfit.core.nouns import Evaluation, Evidence, Measure, Outcome, Ruling, Verdict
from keepfit.core.protocols import Gate
from keepfit.core.signature import Compatibility
from keepfit.judge import metrics
from keepfit.judge.slices import ALL


@dataclass(frozen=True)
class Better:
    """The candidate beats the incumbent: the whole interval of the difference lies above zero.

    Looks better but the interval reaches zero: hold. `metric` "" is the Service's own; `confidence` is the two-sided
    coverage the interval must have.

    >>> from keepfit.core.nouns import Evaluation, Measure
    >>> seen = Measure("auc", "all", 5000, 0.75, 0.70, 0.05, 0.03, 0.07)
    >>> ruling = Better().judge(Evidence(Evaluation("d", "b", "a", 0.95, 1000, (seen,)), metric="auc"))
    >>> print(ruling.outcome.value, "-", ruling.reason)
    pass - auc 0.7500 against 0.7000: better by 0.0500 (95% interval 0.0300 to 0.0700, 5000 records)
    """

    metric: str = ""
    confidence: float = 0.95
    minimum_rows: int = 100

    def judge(self, evidence: Evidence) -> Ruling:
        """Pass above zero, hold where it cannot be told, refuse where the candidate does not even look better."""
        seen = _compared(self, evidence, self.metric, self.minimum_rows)
        if isinstance(seen, Ruling):
            return seen
        if (found := seen.evaluation.confidence) < self.confidence - 1e-9:
            return _ruling(
                self, Outcome.REFUSE, f"the interval covers {found:.0%}, this gate asks for {self.confidence:.0%}"
            )
        said = seen.sentence
        if seen.low > 0:
            return _ruling(self, Outcome.PASS, said)
        if seen.difference > 0:
            return _ruling(self, Outcome.HOLD, f"{said}: the interval reaches zero, not enough data to tell")
        return _ruling(self, Outcome.REFUSE, said)


@dataclass(frozen=True)
class NotWorse:
    """The candidate is at most `margin` worse than the incumbent, overall and (`slices`) on no slice surely worse.

    Overall the whole interval must lie above -margin. A slice refuses only when its interval, widened by Bonferroni's
    rule to the number of slices that have `minimum_rows`, lies below -margin.
    """

    metric: str = ""
    margin: float = 0.0
    slices: bool = True
    minimum_rows: int = 100

    def judge(self, evidence: Evidence) -> Ruling:
        """Pass inside the margin, hold where it cannot be told, refuse where the candidate is or looks worse."""
        seen = _compared(self, evidence, self.metric, self.minimum_rows)
        if isinstance(seen, Ruling):
            return seen
        said = f"{seen.sentence}, allowed {self.margin:g} worse"
        if seen.difference < -self.margin:
            return _ruling(self, Outcome.REFUSE, said)
        if self.slices and (worse := harmed(seen.evaluation, seen.metric, self.margin, self.minimum_rows)):
            told = "; ".join(f"{pair.slice}: {pair.sentence}" for pair in worse)
            return _ruling(self, Outcome.REFUSE, f"surely worse on {len(worse)} slices: {told}")
        if seen.low < -self.margin:
            return _ruling(self, Outcome.HOLD, f"{said}: the interval reaches further, not enough data to tell")
        return _ruling(self, Outcome.PASS, said)


@dataclass(frozen=True)
class Harmless:
    """The candidate is not surely worse: refuses only when the whole interval lies below -margin.

    The gate for a Service that is updated on a schedule and would rather be fresh; and the rule by which a Version
    that is live already is judged again.
    """

    metric: str = ""
    margin: float = 0.0
    minimum_rows: int = 100

    def judge(self, evidence: Evidence) -> Ruling:
        """Refuse where the candidate is surely worse by more than the margin, else pass."""
        seen = _compared(self, evidence, self.metric, self.minimum_rows)
        if isinstance(seen, Ruling):
            return seen
        said = f"{seen.sentence}, allowed {self.margin:g} worse"
        return _ruling(self, Outcome.REFUSE if seen.high < -self.margin else Outcome.PASS, said)


@dataclass(frozen=True)
class Floor:
    """The candidate by itself is good enough: at least `minimum`; at most, for a metric of which less is better."""

    metric: str
    minimum: float
    minimum_rows: int = 100

    def judge(self, evidence: Evidence) -> Ruling:
        """Pass when the metric reaches the minimum on all records, whoever the incumbent is."""
        seen = _measured(self, evidence, self.metric, self.minimum_rows)
        if isinstance(seen, Ruling):
            return seen
        higher = metrics.metric(seen.metric).higher
        reached = seen.candidate >= self.minimum if higher else seen.candidate <= self.minimum
        asked = f"at {'least' if higher else 'most'} {self.minimum:g}"
        said = f"{seen.metric} {seen.candidate:.4f}, expected {asked} ({seen.n} records)"
        return _ruling(self, Outcome.PASS if reached else Outcome.REFUSE, said)


@dataclass(frozen=True)
class Contract:
    """Whoever calls the Service today can go on calling it: the Signature is identical or wider."""

    def judge(self, evidence: Evidence) -> Ruling:
        """Refuse a breaking Signature, and one that was never compared."""
        said = "; ".join(evidence.contract_changes)
        if evidence.contract == Compatibility.IDENTICAL:
            return _ruling(self, Outcome.PASS, "the signature is identical")
        if evidence.contract == Compatibility.WIDENING:
            return _ruling(self, Outcome.PASS, f"the signature only widens: {said}")
        if evidence.contract == Compatibility.BREAKING:
            return _ruling(self, Outcome.REFUSE, f"the signature breaks callers: {said}")
        return _ruling(self, Outcome.REFUSE, "no evidence: the signatures were not compared")


@dataclass(frozen=True)
class Golden:
    """The Bundle as served reproduces its golden examples, within the Bundle's own tolerance."""

    def judge(self, evidence: Evidence) -> Ruling:
        """Refuse a larger error, an error that is no number, and examples that were never run."""
        error, allowed = evidence.golden_error, evidence.golden_tolerance
        if error is None:
            return _ruling(self, Outcome.REFUSE, "no evidence: the golden examples were not run")
        said = f"golden examples: largest error {error:.3g}, allowed {allowed:.3g}"
        return _ruling(self, Outcome.PASS if error <= allowed else Outcome.REFUSE, said)


def rule(gates: Iterable[Gate], evidence: Evidence) -> Verdict:
    """Let every gate speak: refuse if any refuses or none spoke, else hold if any holds, else pass.

    A gate that raises has refused.

    >>> rule([], Evidence()).outcome.value, rule([Golden()], Evidence(golden_error=0.0)).outcome.value
    ('refuse', 'pass')
    """
    rulings = tuple(_judged(gate, evidence) for gate in gates)
    outcomes = {ruling.outcome for ruling in rulings}
    if not rulings or Outcome.REFUSE in outcomes:
        return Verdict(Outcome.REFUSE, rulings)
    return Verdict(Outcome.HOLD if Outcome.HOLD in outcomes else Outcome.PASS, rulings)


@dataclass(frozen=True)
class Pair:
    """One Measure that has an incumbent beside it, as gates speak of it; positive differences are better."""

    evaluation: Evaluation
    metric: str
    slice: str
    difference: float
    low: float
    high: float
    sentence: str


def harmed(evaluation: Evaluation, metric: str, margin: float = 0.0, minimum_rows: int = 100) -> list[Pair]:
    """The slices on which the candidate is surely worse by more than `margin`, allowing for how many were looked at.

    Each interval is stretched about its difference as the normal quantile grows from its own tail to that tail divided
    by the number of slices (Bonferroni), so that k slices together raise a false alarm no more often than one.
    """
    looked_at = [
        pair
        for measure in evaluation.measures
        if measure.metric == metric and measure.slice != ALL and measure.n >= minimum_rows
        if (pair := _pair(evaluation, measure)) is not None
    ]
    stretch = _stretch(evaluation.confidence, len(looked_at))
    return [pair for pair in looked_at if pair.difference + stretch * (pair.high - pair.difference) < -margin]


def _stretch(confidence: float, count: int) -> float:
    tail = (1.0 - confidence) / 2.0
    if count < 2 or not 0.0 < tail < 0.5:
        return 1.0
    return NormalDist().inv_cdf(1.0 - tail / count) / NormalDist().inv_cdf(1.0 - tail)


def _judged(gate: Gate, evidence: Evidence) -> Ruling:
    try:
        return gate.judge(evidence)
    except Exception as error:  # noqa: BLE001 - whatever a plug-in raises, the gate stays shut and says why
        return _ruling(gate, Outcome.REFUSE, f"the gate failed: {type(error).__name__}: {error}")


def _measured(gate: Gate, evidence: Evidence, metric: str, minimum_rows: int) -> Measure | Ruling:
    """The metric on all records, or the ruling where it is absent or rests on too few."""
    name = metric or evidence.metric
    if not name:
        return _ruling(gate, Outcome.REFUSE, "no evidence: neither the gate nor the service names a metric")
    if evidence.evaluation is None:
        return _ruling(gate, Outcome.REFUSE, f"no evidence: {name} was not evaluated")
    seen = evidence.evaluation.measure(name)
    if seen is None:
        return _ruling(
            gate, Outcome.REFUSE, f"no evidence: {name} is not defined on these records or was not asked for"
        )
    if seen.n < minimum_rows:
        return _ruling(gate, Outcome.HOLD, f"not enough data: {seen.n} records, expected at least {minimum_rows}")
    return seen


def _compared(gate: Gate, evidence: Evidence, metric: str, minimum_rows: int) -> Pair | Ruling:
    """As `_measured`, beside an incumbent; a first Version has none to be compared with, and passes."""
    seen = _measured(gate, evidence, metric, minimum_rows)
    if isinstance(seen, Ruling) or evidence.evaluation is None:
        return seen if isinstance(seen, Ruling) else _ruling(gate, Outcome.REFUSE, "no evidence")
    if evidence.evaluation.incumbent is None:
        said = f"{seen.metric} {seen.candidate:.4f} ({seen.n} records); no incumbent to compare with"
        return _ruling(gate, Outcome.PASS, said)
    pair = _pair(evidence.evaluation, seen)
    return pair or _ruling(gate, Outcome.REFUSE, f"no evidence: {seen.metric} of the incumbent was not evaluated")


def _pair(evaluation: Evaluation, seen: Measure) -> Pair | None:
    if seen.incumbent is None or seen.difference is None:
        return None
    if not all(map(isfinite, (seen.difference, seen.low, seen.high))):
        return None
    said = "better" if seen.difference > 0 else "worse" if seen.difference < 0 else "different"
    sentence = (
        f"{seen.metric} {seen.candidate:.4f} against {seen.incumbent:.4f}: {said} by {abs(seen.difference):.4f} "
        f"({evaluation.confidence:.0%} interval {seen.low:.4f} to {seen.high:.4f}, {seen.n} records)"
    )
    return Pair(evaluation, seen.metric, seen.slice, seen.difference, seen.low, seen.high, sentence)


def _ruling(gate: Gate, outcome: Outcome, reason: str) -> Ruling:
    metric = str(getattr(gate, "metric", ""))
    return Ruling(f"{type(gate).__name__}({metric})" if metric else type(gate).__name__, outcome, reason)
