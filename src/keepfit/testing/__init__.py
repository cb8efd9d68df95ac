"""Law suites for plug-ins: `check_*` raises AssertionError where an implementation breaks its protocol."""

# ruff: noqa: S101 - these are assertions about somebody else's code, for use in tests

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

from keepfit.testing.learners import check_learner
from keepfit.testing.runtimes import check_runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from keepfit.core.protocols import Detector, Gate, Trigger
    from keepfit.store.blobs import Blobs
    from keepfit.store.ledger import Ledger

__all__ = [
    "check_blobs",
    "check_detector",
    "check_gate",
    "check_learner",
    "check_ledger",
    "check_runtime",
    "check_trigger",
]


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


def check_detector(detector: Detector) -> None:
    """A detector is bounded, repeatable, leaves its samples alone, is honest without a change and sees a large one.

    Honest: of 200 pairs from one population at most 2 % are called different at p 0.01 and effect 0.1. Large: a
    rise by one and a half standard deviations. Where a kind of value is not its matter it raises SpecInvalid; one that
    refuses numbers of any size is asked about probabilities, risen as much in their logits.
    """
    import numpy as np

    from keepfit.core.protocols import Detector as Protocol
    from keepfit.core.registry import from_plain, to_plain

    random = np.random.default_rng(0)
    draw = _drawing(detector, random)
    for size in (50, 2000):
        pairs = [(draw(size, 0.0), draw(size, 0.0)) for _ in range(100)]
        scores = [detector.score(*pair) for pair in pairs]
        false = sum(score.p_value <= 0.01 and score.effect >= 0.1 for score in scores)
        assert false <= 4, f"{detector!r}: {false} of 100 pairs of {size} rows of one population are called different"
    seen = detector.score(draw(1000, 0.0), draw(1000, 1.5))
    assert seen.p_value <= 1e-3, f"{detector!r} does not see a rise by one and a half deviations"
    assert seen.effect >= 0.1, f"{detector!r} calls a rise by one and a half deviations small"
    for what, pair in _odd_samples().items():
        _check_score(detector, what, *pair)
    again = from_plain(tuple[Protocol, ...], to_plain((detector,)))
    assert again == (detector,), f"{detector!r} does not come back from plain data: {again!r}"


def _drawing(detector: Detector, random: np.random.Generator) -> Callable[[int, float], NDArray[Any]]:
    """Draws of so many numbers around a mean: normal ones, or their logistic where a detector takes probabilities."""
    import numpy as np

    from keepfit.core.errors import SpecInvalid

    try:
        detector.score(np.linspace(-3.0, 3.0, 50), np.linspace(-3.0, 3.0, 50))
    except SpecInvalid:
        return lambda size, mean: 1 / (1 + np.exp(-random.normal(mean, size=size)))
    return lambda size, mean: random.normal(mean, size=size)


def _odd_samples() -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    import numpy as np

    random = np.random.default_rng(1)
    some, names = random.normal(size=300), random.choice(np.array(list("abc"), dtype=object), 300)
    return {
        "numbers": (some, some[::-1].copy()),
        "whole numbers": (np.arange(300), np.arange(5, 305)),
        "holes": (np.where(some > 1, np.nan, some), some),
        "nothing known": (np.full(300, np.nan), np.full(200, np.nan)),
        "one constant": (np.zeros(300), np.zeros(300)),
        "two constants": (np.zeros(300), np.ones(300)),
        "without end": (some, np.where(some > 1, np.inf, some)),
        "without beginning": (np.where(some > 1, np.inf, some), np.where(some > 1, -np.inf, some)),
        "no rows": (some, some[:0]),
        "no reference": (some[:0], some),
        "one row": (some[:1], some[:1]),
        "flags": (some > 0, some > 0.5),
        "text": (names, names[::-1].copy()),
        "names": (np.arange(300).astype(str).astype(object), np.arange(300, 600).astype(str).astype(object)),
    }


def _check_score(detector: Detector, what: str, reference: NDArray[Any], window: NDArray[Any]) -> None:
    from math import isfinite

    from keepfit.core.errors import SpecInvalid

    before = (reference.tobytes(), window.tobytes())
    try:
        score = detector.score(reference, window)
    except SpecInvalid:
        return
    assert (reference.tobytes(), window.tobytes()) == before, f"{detector!r} changes its samples ({what})"
    assert score == detector.score(reference, window), f"{detector!r} does not say the same again ({what})"
    assert isfinite(score.statistic), f"{detector!r}: statistic {score.statistic} ({what})"
    assert 0 <= score.p_value <= 1, f"{detector!r}: p-value {score.p_value} ({what})"
    assert 0 <= score.effect <= 1, f"{detector!r}: effect {score.effect} ({what})"
    if score.since is not None:
        assert 0 <= score.since < window.size, f"{detector!r}: since {score.since} lies outside the window ({what})"


def check_trigger(trigger: Trigger) -> None:
    """A trigger is silent when nothing happened, fires when everything did, says why, and can be stored."""
    from datetime import UTC, datetime, timedelta

    from keepfit.core.nouns import Finding, FindingKind, Mark, Pulse, Severity
    from keepfit.core.protocols import Trigger as Protocol
    from keepfit.core.registry import from_plain, to_plain

    since = datetime(2013, 1, 1, tzinfo=UTC)
    findings = tuple(
        Finding(f"x{n}", kind, Severity.WARNING, 0.4, 0.1, "it moved", looks=100)
        for kind in FindingKind
        for n in range(20)
    )
    nothing = Pulse(now=since, since=since)
    falls = [(since + timedelta(days=90 * (n + 1)), 0.9 - n / 50) for n in range(40)]
    marks = tuple(Mark(time, 10**6, value, value, value, 0.9) for time, value in falls)
    everything = Pulse(
        since + timedelta(days=3660),
        since,
        10**9,
        10**9,
        findings,
        marks,
        "accuracy",
        expected=0.9,
        expected_accuracy=0.9,
        waited=1e18,
        costs=(1.0, 1.0, 1.0),
        releases=tuple(since - timedelta(days=10 * n) for n in (3, 2, 1, 0)),
    )
    assert not trigger.decide(nothing).fire, f"{trigger!r} fires though nothing happened"
    assert trigger.decide(everything).fire, (
        f"{trigger!r} does not fire after ten years, a billion labels, any finding, a fall"
    )
    for pulse in (nothing, everything):
        assert trigger.decide(pulse).reason, f"{trigger!r} gives no reason"
        assert trigger.decide(pulse) == trigger.decide(pulse), f"{trigger!r} does not decide the same on the same pulse"
    again = from_plain(tuple[Protocol, ...], to_plain((trigger,)))
    assert again == (trigger,), f"{trigger!r} does not come back from plain data: {again!r}"


def check_blobs(blobs: Blobs) -> None:
    """A store of blobs gives back what it took under the same name, and nothing under any other."""
    from hashlib import sha256

    from keepfit.core.errors import NotFound

    for data in (b"", b"x", bytes(range(256)) * 4096):
        digest = blobs.put(data)
        assert digest == sha256(data).hexdigest(), f"{blobs!r} names a blob {digest}"
        assert blobs.put(data) == digest, f"{blobs!r} names the same bytes differently"
        assert blobs.has(digest), f"{blobs!r} does not know what it has just taken"
        assert blobs.get(digest) == data, f"{blobs!r} gives other bytes than it took"
        assert blobs.path(digest).read_bytes() == data, f"{blobs!r} keeps other bytes than it took"
    for absent in ("0" * 64, "../x", ""):
        try:
            blobs.get(absent)
        except NotFound:
            continue
        raise AssertionError(f"{blobs!r} has something under the name {absent!r}")


def check_ledger(ledger: Ledger, *, service: str = "law-suite") -> None:
    """A ledger keeps facts as they were, in order, all or nothing, and finds them; `service` must be new to it."""
    from datetime import UTC, datetime
    from math import inf, isnan, nan

    from keepfit.core.facts import Decided, RunFinished, Watched
    from keepfit.core.nouns import Measurement

    time = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
    measured = (Measurement("m", "x", inf, nan, 0.5, 0.1, 1, 2, True),)
    facts = (
        Decided(service=service, time=time, fire=False, reason="é ' \" % \0"),
        Watched(service=service, time=time, monitor="m", records=1, labels=0, measurements=(), findings=()),
        Decided(service=service, time=time, fire=True, reason="second"),
    )
    last = ledger.append(*facts)
    rows = ledger.facts(service)
    assert tuple(row.fact for row in rows) == facts, f"{ledger!r} does not give back what it took"
    numbers = [row.seq for row in rows]
    assert numbers == sorted(set(numbers)), f"{ledger!r} does not number facts in order"
    assert numbers[-1] == last == ledger.append(), f"{ledger!r} miscounts its last fact"
    assert [row.fact for row in ledger.facts(service, Decided)] == [facts[0], facts[2]], f"{ledger!r} mixes up kinds"
    assert ledger.facts(service, after=numbers[1]) == rows[2:], f"{ledger!r} does not read on from a number"
    assert ledger.facts(service, newest=True, limit=1) == rows[2:], f"{ledger!r} does not find the newest"
    assert ledger.last(Watched, service, subject="m") == facts[1], f"{ledger!r} does not find a fact by its subject"
    assert ledger.last(Watched, service, subject="n") is None, f"{ledger!r} finds a fact that is not there"
    assert service in ledger.services(), f"{ledger!r} does not list its services"
    ledger.append(
        Watched(service=service, time=time, monitor="n", records=1, labels=0, measurements=measured, findings=())
    )
    odd = ledger.last(Watched, service)
    assert odd is not None, f"{ledger!r} loses a fact with numbers that are none"
    assert odd.measurements[0].statistic == inf, f"{ledger!r} changes infinity"
    assert isnan(odd.measurements[0].p_value), f"{ledger!r} changes NaN"
    try:
        ledger.append(facts[0], Decided(service=service, time=time, fire="no", reason="x"))  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001  # whatever it raises
        assert len(ledger.facts(service)) == 4, f"{ledger!r} keeps part of what it refused"
    else:
        raise AssertionError(f"{ledger!r} takes a fact it cannot give back")
    run = {"key": "k", "run": f"{service}-run", "step": "train", "update": "u", "cpu_seconds": 1.0, "wall_seconds": 1.0}
    done = RunFinished(service=service, time=time, outputs={"bundle": "d"}, result={"auc": 0.5, "rows": 3}, **run)  # type: ignore[arg-type]
    ledger.append(done, done)
    assert [metric.value for metric in ledger.metrics(service)] == [0.5, 3.0], f"{ledger!r} does not keep metrics"
    assert [edge.digest for edge in ledger.edges(run=f"{service}-run")] == ["d"], f"{ledger!r} does not keep edges"
