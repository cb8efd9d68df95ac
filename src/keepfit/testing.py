"""Law suites for plug-ins: `check_*` raises AssertionError where an implementation breaks its protocol."""

# ruff: noqa: S101 - these are assertions about somebody else's code, for use in tests

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepfit.core.protocols import Gate, Learner


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


def check_learner(learner: Learner) -> None:
    """A learner changes neither estimator nor parent, repeats itself for a seed, learns, and can be stored."""
    import pickle

    import numpy as np
    import pandas as pd
    from sklearn.linear_model import SGDClassifier

    from keepfit.core.protocols import Learner as Protocol
    from keepfit.core.registry import from_plain, to_plain

    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(size=400), "b": random.normal(size=400)})
    y = np.where(X["a"] + X["b"] > 0, "up", "down").astype(object)
    estimator = SGDClassifier(loss="log_loss")
    before = pickle.dumps(estimator)
    parent = learner.learn(estimator, X[:200], y[:200], parent=None, memory=None, seed=1)
    assert pickle.dumps(estimator) == before, f"{learner!r} changes the estimator it is given"
    kept = pickle.dumps(parent)
    first = learner.learn(estimator, X[200:], y[200:], parent=parent, memory=None, seed=2)
    again = learner.learn(estimator, X[200:], y[200:], parent=parent, memory=None, seed=2)
    assert pickle.dumps(parent) == kept, f"{learner!r} changes the parent it goes on from"
    same = np.array_equal(first.predict_proba(X), again.predict_proba(X))
    assert same, f"{learner!r} learns something else from the same rows, parent and seed"
    for fitted in (parent, first):
        assert (fitted.predict(X) == y).mean() > 0.8, f"{learner!r} does not learn a line through two numbers"
    stored = from_plain(tuple[Protocol, ...], to_plain((learner,)))
    assert stored == (learner,), f"{learner!r} does not come back from plain data: {stored!r}"
