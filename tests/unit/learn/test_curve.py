"""What is told of a whole training by a few small ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.learn.curve import Trial, extrapolate


@given(st.floats(0.0, 1.0), st.floats(0.1, 5.0), st.sampled_from([0.25, 0.5, 1.0]), st.floats(0, 5), st.floats(0, 0.1))
def test_a_curve_of_the_family_is_found(floor: float, slope: float, power: float, base: float, rate: float) -> None:
    """From three points of it, loss and cost of sixteen times the rows are told to a thousandth."""
    trials = [Trial(rows, floor + slope * rows**-power, base + rate * rows) for rows in (100, 200, 400)]
    whole = extrapolate(trials, 1600)
    assert whole.loss == pytest.approx(floor + slope * 1600**-power, rel=1e-3, abs=1e-6)
    assert whole.cpu_seconds == pytest.approx(base + rate * 1600, rel=1e-3, abs=1e-6)


losses = st.floats(0.0, 10.0)


@given(st.tuples(losses, losses, losses), st.tuples(losses, losses, losses))
def test_nothing_impossible_is_promised(found: tuple[float, ...], spent: tuple[float, ...]) -> None:
    """Whatever the trials say, neither loss nor cost is below zero, and more rows are never worse than the average."""
    trials = [Trial(rows, loss, cost) for rows, loss, cost in zip((50, 100, 200), found, spent, strict=True)]
    whole = extrapolate(trials, 10_000)
    assert -1e-9 <= whole.loss <= max(found) + 1e-9
    assert whole.cpu_seconds >= -1e-9


def test_real_learning_curves_are_told_in_order() -> None:
    """Of two estimators on digits, the one that is better after all rows is told so from a quarter of them."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order] / 16, y[order]
    kept, told, came = 1200, [], []
    for made in (lambda: LogisticRegression(max_iter=200), lambda: DecisionTreeClassifier(max_depth=6, random_state=0)):
        miss = lambda rows: float(np.mean(made().fit(X[:rows], y[:rows]).predict(X[kept:]) != y[kept:]))  # noqa: B023, E731
        told.append(extrapolate([Trial(rows, miss(rows), 0.0) for rows in (75, 150, 300)], kept).loss)
        came.append(miss(kept))
    assert np.argsort(told).tolist() == np.argsort(came).tolist()
    assert told == pytest.approx(came, abs=0.08)


def test_one_size_tells_nothing() -> None:
    """A line needs two points."""
    with pytest.raises(ValueError, match="two sizes"):
        extrapolate([Trial(10, 1.0, 1.0), Trial(10, 2.0, 1.0)], 100)
