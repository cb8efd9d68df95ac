"""The measures of continual learning: worked by hand, and their bounds."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keepfit.learn.accuracies import MEASURES, Accuracies, Interval

HAND = Accuracies(
    rows=((0.9, 0.2, 0.1), (0.6, 0.8, 0.3), (0.5, 0.7, 0.9)),
    chance=(0.1, 0.1, 0.1),
)


def test_worked_by_hand() -> None:
    """Each measure is what its paper's formula gives on a matrix of three experiences."""
    assert HAND.acc == pytest.approx((0.5 + 0.7 + 0.9) / 3)
    assert HAND.bwt == pytest.approx(((0.5 - 0.9) + (0.7 - 0.8)) / 2)
    assert HAND.fwt == pytest.approx(((0.2 - 0.1) + (0.3 - 0.1)) / 2)
    assert HAND.forgetting == pytest.approx(((0.9 - 0.5) + (0.8 - 0.7)) / 2)
    assert HAND.anytime == pytest.approx((0.9 + (0.6 + 0.8) / 2 + (0.5 + 0.7 + 0.9) / 3) / 3)
    assert HAND.ahead == pytest.approx((0.2 + 0.3) / 2)
    assert set(HAND.measures()) == set(MEASURES)


def test_late_labels_make_the_model_older() -> None:
    """With labels one experience late, an experience is answered by the model of two experiences before."""
    late = Accuracies(HAND.rows, HAND.chance, delay=1)
    assert late.ahead == pytest.approx(0.1)
    assert late.acc == HAND.acc


def test_one_experience_has_no_past() -> None:
    """With one experience there is nothing to transfer or to forget: those measures are NaN."""
    found = Accuracies(((0.7,),), (0.1,)).measures()
    assert (found["ACC"], found["anytime"]) == (0.7, 0.7)
    assert all(isnan(found[name]) for name in ("BWT", "FWT", "forgetting", "ahead"))


@given(arrays(float, (4, 4), elements=st.floats(0, 1)))
def test_forgetting_is_never_less_than_backward_loss(matrix: np.ndarray) -> None:
    """Forgetting is measured from the best, so it is at least minus the backward transfer; both are bounded by 1."""
    found = Accuracies(tuple(map(tuple, matrix.tolist())), (0.1,) * 4)
    assert found.forgetting >= -found.bwt - 1e-12
    assert -1 <= found.bwt <= 1
    assert 0 <= found.acc <= 1


def test_intervals_are_students() -> None:
    """The interval of five values is the one of the textbook: t with four degrees of freedom is 2.776."""
    values = [0.80, 0.82, 0.84, 0.86, 0.88]
    found = Interval.of(values)
    half = 2.7764451 * np.std(values, ddof=1) / np.sqrt(5)
    assert found.mean == pytest.approx(0.84)
    assert (found.low, found.high) == (pytest.approx(0.84 - half), pytest.approx(0.84 + half))
    alone = Interval.of([0.5])
    assert alone.mean == 0.5
    assert isnan(alone.low)


def test_intervals_cover() -> None:
    """Over many draws of five, the interval holds the true mean about 95 times in a hundred."""
    random = np.random.default_rng(0)
    found = [Interval.of(random.normal(0.5, 0.1, 5).tolist()) for _ in range(2000)]
    assert 0.935 < np.mean([one.low <= 0.5 <= one.high for one in found]) < 0.965
