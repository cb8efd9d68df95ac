"""Samples that have been counted: every detector of two samples says of them what it says of their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keepfit.watch.detectors import (
    KS,
    MMD,
    PSI,
    TFDV,
    AndersonDarling,
    Auto,
    ChiSquare,
    Classifier,
    CramerVonMises,
    Hellinger,
    JensenShannon,
    LInfinity,
    Wasserstein,
)
from keepfit.watch.pooled import pooled

EVERY = [KS(), Auto(), ChiSquare(), PSI(), Hellinger(), JensenShannon(), LInfinity(), CramerVonMises()]
EVERY += [AndersonDarling(), Wasserstein(), TFDV(), MMD(), Classifier()]


def samples(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows of many kinds; the first 700 are one sample."""
    text = np.array([f"v{place}" for place in np.minimum(rng.zipf(1.5, 1500), 90)], object)
    return {
        "all different": rng.normal(size=1500),
        "prices": rng.lognormal(2, 1, 1500).round(1),
        "few": rng.integers(0, 5, 1500),
        "holes and ends": np.where(rng.random(1500) < 0.1, np.nan, np.where(rng.random(1500) < 0.02, -np.inf, 1.0))
        * rng.exponential(size=1500),
        "constant": np.full(1500, 2.5),
        "text": text,
        "flags": rng.random(1500) < 0.3,
        "moved": rng.normal(np.repeat([0, 1], [700, 800])),
    }


@pytest.mark.parametrize("detector", EVERY, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("kind", samples(np.random.default_rng(0)))
def test_counted_as_by_rows(detector: Any, kind: str) -> None:
    """Statistic, p-value and effect are those of the rows to 1e-9, whatever the values."""
    rows = samples(np.random.default_rng(0))[kind]
    old, new = rows[:700], rows[700:]
    said, counted = detector.score(old, new), detector.compare(pooled(old, new))
    for one, other in zip((said.statistic, said.p_value, said.effect), _numbers(counted), strict=True):
        assert one == pytest.approx(other, abs=1e-9, rel=1e-9)


@pytest.mark.parametrize("detector", EVERY, ids=lambda d: type(d).__name__)
def test_nothing_to_compare(detector: Any) -> None:
    """A sample without rows is compared with nothing."""
    assert detector.compare(pooled(np.empty(0), np.arange(9.0))).p_value == 1.0
    assert detector.score(np.arange(9.0), np.empty(0)).p_value == 1.0


def test_counts() -> None:
    """Values stand in order, each once, a missing one last; every row is counted on its side."""
    rng = np.random.default_rng(1)
    old, new = (np.where(rng.random(size) < 0.2, np.nan, rng.integers(-3, 3, size)) for size in (40, 60))
    both = pooled(old, new)
    assert both.values is not None
    assert both.values[:-1].tolist() == [-3, -2, -1, 0, 1, 2]
    assert np.isnan(both.values[-1])
    assert both.sizes == (40, 60)
    for value, counts in zip(both.values[:-1].tolist(), both.counts.tolist(), strict=False):
        assert counts == [(old == value).sum(), (new == value).sum()]
    assert both.ends[-1] == 99


def _numbers(score: Any) -> tuple[float, float, float]:
    return score.statistic, score.p_value, score.effect
