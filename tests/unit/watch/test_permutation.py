"""Dealing the rows anew: chances that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from keepfit.core.protocols import Detector
from keepfit.watch.detectors import PSI, ChiSquare, Hellinger, JensenShannon, tfdv
from keepfit.watch.detectors.tfdv import TFDV
from keepfit.watch.permutation import groups, simulated


def of_means(ends: np.ndarray, values: np.ndarray) -> object:
    """The absolute difference of means of each deal."""
    counts = np.diff(ends, prepend=-1)

    def deal(dealt: np.ndarray) -> np.ndarray:
        rest = counts - dealt
        return np.abs(dealt @ values / dealt.sum(axis=1) - rest @ values / rest.sum(axis=1))

    return deal


def look(old: np.ndarray, new: np.ndarray) -> float:
    pooled = np.sort(np.concatenate([old, new]))
    ends = groups(np.arange(pooled.size))
    return simulated(abs(old.mean() - new.mean()), of_means(ends, pooled[ends]), ends, first=old.size)[0]


def test_chances_without_a_change() -> None:
    """Of 1,000 pairs of one population about as many lie below a chance as it says, also where deals end early."""
    rng = np.random.default_rng(1)
    found = np.array([look(*rng.exponential(size=(2, 40))) for _ in range(1000)])
    for chance in (0.01, 0.05, 0.2, 0.5):
        assert (found <= chance).mean() <= chance + 3 * np.sqrt(chance * (1 - chance) / 1000)
    assert (found <= 0.5).mean() >= 0.4


def test_chances_far_out() -> None:
    """Where no deal comes near, the chance is below what the deals alone allow, and not below Welch's."""
    rng = np.random.default_rng(2)
    old, new = rng.normal(size=100), rng.normal(0.8, size=100)
    assert stats.ttest_ind(old, new, equal_var=False).pvalue <= look(old, new) <= 1e-4


@pytest.mark.parametrize("kind", ["normal", "heavy", "constant", "ties"])
def test_histograms_of_groups(kind: str) -> None:
    """What is counted from groups of one value each is what is counted from the rows."""
    rng = np.random.default_rng(3)
    draw = {
        "normal": lambda: rng.normal(size=60),
        "heavy": lambda: rng.standard_cauchy(60),
        "constant": lambda: np.full(60, 2.0),
        "ties": lambda: rng.integers(0, 7, 60).astype(float),
    }[kind]
    old, new = np.sort(draw()), np.sort(draw())
    values, place = np.unique(np.concatenate([old, new]), return_inverse=True)
    sides = [np.bincount(place[rows], minlength=values.size)[None, :] for rows in (slice(60), slice(60, None))]
    grouped = tfdv._apart(*(tfdv._of_groups(values, side.astype(float), 10) for side in sides))
    assert float(grouped[0]) == pytest.approx(TFDV().score(old, new).statistic, abs=1e-9)


@pytest.mark.parametrize("detector", [Hellinger(), JensenShannon(), PSI(), ChiSquare()], ids=lambda d: type(d).__name__)
def test_few_rows_in_many_cells(detector: Detector) -> None:
    """Where a cell expects five rows, p-values of 0.01 come in at most 1.5 % of 1,500 halves, and a change is seen."""
    rng = np.random.default_rng(4)
    names = np.array([f"v{i:02d}" for i in range(19)], dtype=object)
    p_values = [detector.score(*names[rng.integers(0, 19, (2, 100))]).p_value for _ in range(1500)]
    assert np.mean(np.array(p_values) <= 0.01) <= 0.015  # Hellinger's limit alone would say so of 2.5 %
    assert detector.score(names[rng.integers(0, 19, 100)], names[rng.integers(0, 9, 100)]).p_value < 1e-4
