"""The quick largest gap is scipy's statistic, whatever the values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from keepfit.watch.gaps import largest_gap

RNG = np.random.default_rng(7)
N = 60_000
SAMPLES = {
    "normal": lambda shift: RNG.normal(shift, size=N),
    "heavy": lambda shift: RNG.standard_cauchy(N) + shift,
    "skewed": lambda shift: RNG.lognormal(0, 3, size=N) + shift,
    "whole": lambda shift: RNG.integers(0, 30, N) + shift * (RNG.random(N) < 0.2),
    "zeros": lambda shift: np.where(RNG.random(N) < 0.95, 0.0, RNG.exponential(size=N) + shift),
    "endless": lambda shift: np.where(RNG.random(N) < 0.1 + shift / 10, np.inf, RNG.normal(size=N)),
    "one": lambda shift: np.full(N, 3.0 + shift),
    "spikes": lambda shift: np.where(RNG.random(N) < 0.5, RNG.choice([1.0, 1.0000001], N), RNG.normal(shift, size=N)),
    "huge": lambda shift: RNG.choice([-1e308, 0.0, 1e308], N, p=[0.3, 0.4 - shift / 10, 0.3 + shift / 10]),
    "times": lambda shift: RNG.integers(1_500_000_000_000_000, 1_500_000_100_000_000, N) + shift * 1e6,
}


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("shift", [0.0, 0.3, 3.0])
def test_largest_gap(kind: str, shift: float) -> None:
    """The distance is scipy's to 1e-12, without and with a change, with ties and endless values, on unequal sizes."""
    old, new = SAMPLES[kind](0.0).astype(float), SAMPLES[kind](shift).astype(float)[: N // 2]
    assert largest_gap(old, new) == pytest.approx(stats.ks_2samp(old, new, method="asymp").statistic, abs=1e-12)
