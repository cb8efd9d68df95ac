"""Detectors of two samples: equal to scipy, scikit-learn and TFDV where these have the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial import distance

from keepfit.core.errors import SpecInvalid
from keepfit.core.protocols import Detector
from keepfit.data.read import read
from keepfit.watch.cells import cells
from keepfit.watch.detectors import (
    MMD,
    TFDV,
    AndersonDarling,
    Classifier,
    Confidence,
    CramerVonMises,
    Hellinger,
    JensenShannon,
    LInfinity,
    Wasserstein,
)
from keepfit.watch.detectors.classifier import mann_whitney
from keepfit.watch.distributions import anderson_darling, cramer_von_mises
from keepfit.watch.logistic import fit

RNG = np.random.default_rng(20130102)
PAIRS = [
    (RNG.normal(size=m).round(to), RNG.normal(0.2, size=n).round(to))
    for m, n in ((50, 50), (80, 700), (2000, 300))
    for to in (12, 1)
]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_cells(a: np.ndarray, b: np.ndarray) -> None:
    """Over the shared cells Jensen-Shannon, Hellinger and L-infinity are the textbooks' to 1e-9."""
    found = cells(a, b, bins=10)
    p, q = found.reference / a.size, found.window / b.size
    assert JensenShannon().score(a, b).statistic == pytest.approx(distance.jensenshannon(p, q, 2) ** 2, abs=1e-9)
    assert Hellinger().score(a, b).statistic == pytest.approx(np.sqrt(1 - np.sqrt(p * q).sum()), abs=1e-9)
    apart = cells(a, b, bins=10, merge=False)
    expected = distance.chebyshev(apart.reference / a.size, apart.window / b.size)
    assert LInfinity().score(a, b).statistic == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_ranks(a: np.ndarray, b: np.ndarray) -> None:
    """Cramér-von Mises, Anderson-Darling and Wasserstein are scipy's to 1e-9, with and without ties."""
    cramer = stats.cramervonmises_2samp(a, b, method="asymptotic")
    assert CramerVonMises().score(a, b).statistic == pytest.approx(cramer.statistic, abs=1e-9)
    assert CramerVonMises().score(a, b).p_value == pytest.approx(cramer.pvalue, abs=1e-9)
    anderson = stats.anderson_ksamp([a, b], variant="midrank", method=stats.PermutationMethod(n_resamples=9))
    assert AndersonDarling().score(a, b).statistic == pytest.approx(anderson.statistic, abs=1e-9)
    assert Wasserstein().score(a, b).statistic == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-9)


def test_limits() -> None:
    """The limit distributions are continuous where their forms meet, fall, and have the tables' quantiles."""
    for chance, quantiles in (
        (cramer_von_mises, {0.34730: 0.1, 0.46136: 0.05, 0.74346: 0.01}),
        (anderson_darling, {1.933: 0.1, 2.492: 0.05, 3.8781: 0.01}),
    ):
        values = [chance(x) for x in np.linspace(0.001, 40, 4000)]
        assert all(0 <= later <= earlier <= 1 for earlier, later in pairwise(values))
        for x, share in quantiles.items():
            assert chance(x) == pytest.approx(share, rel=0.01)
    assert cramer_von_mises(2.999) == pytest.approx(cramer_von_mises(3.001), rel=0.03)
    assert anderson_darling(7.999) == pytest.approx(anderson_darling(8.001), rel=0.05)


def test_mmd_is_about_the_kernels() -> None:
    """With many frequencies the statistic is the biased estimate of Gretton et al. over all pairs of rows."""
    a, b = RNG.normal(size=300), RNG.normal(1.0, size=400)
    detector = MMD(features=500)
    both = np.concatenate([a, b])
    width = 0.954  # the median distance of two normal rows; here a little more, because half of them are shifted
    widths = [np.median(np.abs(both - RNG.permutation(both))) for _ in range(50)]
    assert np.median(widths) > width
    low, high = (
        sum(
            sign * np.exp(-((x[:, None] - y) ** 2) / (2 * s * s)).mean()
            for x, y, sign in ((a, a, 1), (b, b, 1), (a, b, -2))
        )
        for s in (max(widths), min(widths))
    )
    assert 0.85 * low <= detector.score(a, b).statistic <= 1.15 * high


def test_logistic_regression_is_sklearns() -> None:
    """The weights are scikit-learn's with the same penalty, to its tolerance."""
    from sklearn.linear_model import LogisticRegression

    X = RNG.normal(size=(500, 3))
    y = (X @ [1.0, -2.0, 0.5] + RNG.normal(size=500) > 0.3).astype(float)
    oracle = LogisticRegression(C=1.0, tol=1e-12, max_iter=1000).fit(X, y)
    assert fit(X, y) == pytest.approx([*oracle.coef_[0], *oracle.intercept_], abs=1e-5)


def test_classifiers_examination_is_scipys() -> None:
    """The test of the classifier's answers is Mann and Whitney's with ties and continuity correction."""
    answers, truth = RNG.normal(size=300).round(1), (RNG.random(300) < 0.4).astype(float)
    oracle = stats.mannwhitneyu(answers[truth == 1], answers[truth == 0], alternative="greater", method="asymptotic")
    area, p_value = mann_whitney(answers, np.stack([1 - truth, truth], axis=1))
    assert area == pytest.approx(oracle.statistic / ((truth == 1).sum() * (truth == 0).sum()), abs=1e-9)
    assert p_value == pytest.approx(oracle.pvalue, abs=1e-9)


def test_confidence_is_welchs() -> None:
    """The p-value is Welch's with a normal limit; numbers that are no probabilities are refused with their range."""
    a, b = special.expit(RNG.normal(size=400)), special.expit(RNG.normal(0.4, size=300))
    old, new = np.maximum(a, 1 - a), np.maximum(b, 1 - b)
    z = (new.mean() - old.mean()) / np.sqrt(old.var(ddof=1) / 400 + new.var(ddof=1) / 300)
    assert Confidence().score(a, b).p_value == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-9)
    with pytest.raises(SpecInvalid, match="0 to 1; this subject reaches from -3 to 2"):
        Confidence().score(a, np.array([-3.0, 2.0]))


TWO_SAMPLES = [
    JensenShannon(),
    Hellinger(),
    LInfinity(),
    Wasserstein(),
    CramerVonMises(),
    AndersonDarling(),
    MMD(),
    Classifier(),
    TFDV(),
]


@pytest.mark.parametrize("detector", TWO_SAMPLES, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("size", [50, 200, 5000])
def test_halves_of_one_population(detector: Detector, size: int) -> None:
    """Of halves of one population at most 2 % are called different at p 0.01 and effect 0.1, whatever it is."""
    rng = np.random.default_rng(size)
    trials = 50 if size < 1000 else 8
    looks = fired = 0
    for _ in range(trials):
        for values in (
            rng.normal(size=size),
            rng.lognormal(0, 2, size=size),
            rng.standard_cauchy(size),
            rng.integers(0, 30, size),
            np.where(rng.random(size) < 0.9, 0.0, rng.exponential(size=size)),
            rng.choice(5, size, p=[0.6, 0.2, 0.1, 0.07, 0.03]),
            np.where(rng.random(size) < 0.2, np.nan, rng.normal(size=size)),
            rng.random(size) < 0.05,
            np.minimum(rng.zipf(1.3, size), 200).astype(str).astype(object),
        ):
            score = detector.score(values[: size // 2], values[size // 2 :])
            looks += 1
            fired += score.p_value <= 0.01 and score.effect >= 0.1
    assert fired <= max(0.02 * looks, 2)


@pytest.mark.parametrize("detector", TWO_SAMPLES, ids=lambda d: type(d).__name__)
def test_one_deviation(detector: Detector) -> None:
    """A shift by one standard deviation is seen in 500 rows, far beyond chance and with an effect above the floor."""
    score = detector.score(RNG.normal(size=500), RNG.normal(1.0, size=500))
    assert score.p_value < 1e-4
    assert score.effect > 0.1


def test_tfdvs_own_numbers(shared_data: Path) -> None:
    """The scores are those TFDV 1.16.1 gave for the Chicago files, training rows against evaluation rows."""
    taxi = shared_data / "chicago_taxi"
    train, evaluation = read(taxi / "tfdv_train.csv"), read(taxi / "tfdv_eval.csv")
    golden = _golden((taxi / "golden_tfdv_1.16.1" / "train_vs_eval_prev_serving_skew.anomalies.pbtxt").read_text())

    def sample(table: object, column: str) -> np.ndarray:
        return table[column].to_pandas().to_numpy()  # type: ignore[index]

    pair = sample(evaluation, "payment_type"), sample(train, "payment_type")
    assert LInfinity().score(*pair).statistic == pytest.approx(golden["payment_type", "L_INFTY"], abs=1e-12)
    for column in ("fare", "trip_miles", "dropoff_latitude"):
        pair = sample(evaluation, column), sample(train, column)
        expected = golden[column, "JENSEN_SHANNON_DIVERGENCE"]  # theirs is from approximate histograms
        assert TFDV().score(*pair).statistic == pytest.approx(expected, rel=1e-3)


def _golden(text: str) -> dict[tuple[str, str], float]:
    """Drift scores by column and measure."""
    found: dict[tuple[str, str], float] = {}
    for block in text.split("drift_skew_info {")[1:]:
        column = block.split('step: "')[1].split('"')[0]
        for measurement in block.split("drift_measurements {")[1:]:
            fields = measurement.split("}")[0].split("skew_measurements")[0].split()
            found[column, fields[fields.index("type:") + 1]] = float(fields[fields.index("value:") + 1])
    return found
