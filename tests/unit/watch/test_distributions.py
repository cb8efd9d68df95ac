"""The closed forms against scipy's."""

from __future__ import annotations

import pytest
from scipy import special, stats

from keepfit.watch.distributions import all_on_one_side, chi_square, kolmogorov


@pytest.mark.parametrize("x", [1e-3, 0.2, 0.5, 0.9, 0.9999, 1.0, 1.18, 1.5, 2.5, 4.0, 8.0])
def test_kolmogorov(x: float) -> None:
    """Kolmogorov's survival function is scipy's to 1e-9, on both sides of the switch of series."""
    assert kolmogorov(x) == pytest.approx(special.kolmogorov(x), abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 50, 300, 5000])
@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.8, 1.0, 1.001, 1.5, 3.0, 20.0])
def test_chi_square(freedom: int, ratio: float) -> None:
    """Chi-square's survival function is scipy's to 1e-9, also for thousands of categories."""
    assert chi_square(freedom * ratio, freedom) == pytest.approx(stats.chi2.sf(freedom * ratio, freedom), abs=1e-9)


def test_far_tails_keep_their_order() -> None:
    """Far out the p-value is still exact relative to itself, so that subjects can be ranked."""
    assert chi_square(500.0, 3) == pytest.approx(stats.chi2.sf(500.0, 3), rel=1e-9)
    assert kolmogorov(8.0) == pytest.approx(special.kolmogorov(8.0), rel=1e-9)


@pytest.mark.parametrize(("odd", "here", "there"), [(0, 5, 5), (1, 10, 30), (7, 100, 100), (40, 50, 1000), (6, 5, 9)])
def test_one_sided(odd: int, here: int, there: int) -> None:
    """The chance that all odd rows fall on one side is the hypergeometric one."""
    exact = stats.hypergeom.pmf(odd, here + there, odd, here)
    assert all_on_one_side(odd, here, there) == pytest.approx(exact, rel=1e-9)
