"""Detectors: equal to scipy where it has the same, honest without a change, quick with one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.core.protocols import Detector
from keepfit.watch.detectors import CUSUM, KS, PSI, Auto, ChiSquare

RNG = np.random.default_rng(20130101)


def text(values: Any) -> np.ndarray:
    return np.array([str(value) for value in values], dtype=object)


@pytest.mark.parametrize("sizes", [(50, 50), (100, 4000), (3000, 700)])
def test_ks_is_scipys(sizes: tuple[int, int]) -> None:
    """The statistic is scipy's to 1e-9, with and without ties."""
    for round_to in (12, 1):
        a = RNG.normal(size=sizes[0]).round(round_to)
        b = RNG.normal(0.1, size=sizes[1]).round(round_to)
        assert KS().score(a, b).statistic == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-9)


def test_ks_p_value_is_near_the_exact_one() -> None:
    """For small samples the corrected asymptotic p-value stays within a third of scipy's exact one where it decides."""
    for _ in range(50):
        a, b = RNG.normal(size=40), RNG.normal(0.6, size=60)
        exact = stats.ks_2samp(a, b, method="exact").pvalue
        if 1e-4 < exact < 0.1:
            assert KS().score(a, b).p_value == pytest.approx(exact, rel=0.34)


def test_chi_square_is_scipys() -> None:
    """Statistic and p-value are scipy's contingency test to 1e-9 where no category is rare."""
    a, b = RNG.choice(list("abcd"), 400), RNG.choice(list("abcd"), 900, p=[0.3, 0.3, 0.2, 0.2])
    table = [[(side == letter).sum() for letter in "abcd"] for side in (a, b)]
    oracle = stats.chi2_contingency(table, correction=False)
    score = ChiSquare().score(text(a), text(b))
    assert score.statistic == pytest.approx(oracle.statistic, abs=1e-9)
    assert score.p_value == pytest.approx(oracle.pvalue, abs=1e-9)


def test_psi_is_the_textbooks() -> None:
    """On categories the index is the sum of (p - q) ln(p / q), with half a row in each cell."""
    a, b = text(["x"] * 60 + ["y"] * 40), text(["x"] * 30 + ["y"] * 70)
    p, q = np.array([60.5, 40.5]) / 101, np.array([30.5, 70.5]) / 101
    assert PSI().score(a, b).statistic == pytest.approx(float(((p - q) * np.log(p / q)).sum()), abs=1e-12)


def populations(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    sparse = np.where(rng.random(n) < 0.9, 0.0, rng.exponential(size=n))
    return {
        "normal": rng.normal(size=n),
        "skewed": rng.exponential(size=n),
        "mostly zero": sparse,
        "mostly the maximum": -sparse,
        "whole numbers": rng.integers(0, 30, n),
        "few values": rng.choice(5, n, p=[0.6, 0.2, 0.1, 0.07, 0.03]),
        "with holes": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        "flag": rng.random(n) < 0.3,
        "rare flag": rng.random(n) < 0.01,
        "three letters": text(rng.choice(list("abc"), n, p=[0.5, 0.4, 0.1])),
        "long tail": text(np.minimum(rng.zipf(1.3, n), 200)),
        "names": text(rng.integers(0, 10**9, n)),
    }


@pytest.mark.parametrize(("n", "trials"), [(50, 300), (200, 200), (1000, 150), (10_000, 15), (100_000, 3)])
@pytest.mark.parametrize("detector", [KS(), ChiSquare(), PSI(), Auto()], ids=lambda d: type(d).__name__)
def test_halves_of_one_population(detector: Detector, n: int, trials: int) -> None:
    """Of halves of one population at most 2 % are called different at p 0.01 and effect 0.1."""
    rng = np.random.default_rng(n)
    looks = fired = 0
    for _ in range(trials):
        for values in populations(n, rng).values():
            score = detector.score(values[: n // 2], values[n // 2 :])
            looks += 1
            fired += score.p_value <= 0.01 and score.effect >= 0.1
    assert fired <= 0.02 * looks


@pytest.mark.parametrize("detector", [KS(), ChiSquare(), PSI(), Auto()], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("sizes", [(5000, 500), (500, 5000)])
def test_unequal_samples(detector: Detector, sizes: tuple[int, int]) -> None:
    """p-values of 0.05 and less come in at most 8 % of the looks when one sample is ten times the other."""
    rng = np.random.default_rng(sizes[0])
    looks = low = 0
    for _ in range(60):
        for values in populations(sum(sizes), rng).values():
            looks += 1
            low += detector.score(values[: sizes[0]], values[sizes[0] :]).p_value <= 0.05
    assert low <= 0.08 * looks


CHANGES = {
    "shift": lambda rng, n: (rng.normal(size=n), rng.normal(0.5, size=n)),
    "spread": lambda rng, n: (rng.normal(size=n), rng.normal(0, 1.8, size=n)),
    "more missing": lambda rng, n: (rng.normal(size=n), np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))),
    "all missing": lambda rng, n: (rng.normal(size=n), np.full(n, np.nan)),
    "another constant": lambda rng, n: (np.full(n, 3.0), np.full(n, 4.0)),
    "flag": lambda rng, n: (rng.random(n) < 0.3, rng.random(n) < 0.5),
    "new category": lambda rng, n: (text(rng.choice(list("ab"), n)), text(rng.choice(list("abc"), n))),
    "zeros": lambda rng, n: (np.where(rng.random(n) < 0.9, 0.0, 1.0), np.where(rng.random(n) < 0.7, 0.0, 1.0)),
    "type": lambda rng, n: (rng.normal(size=n), text(rng.choice(list("ab"), n))),
}


@pytest.mark.parametrize("detector", [KS(), ChiSquare(), PSI(), Auto()], ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_seen(detector: Detector, change: str) -> None:
    """Every kind of change is seen in 1,000 rows, with an effect above the default floor."""
    score = detector.score(*CHANGES[change](np.random.default_rng(1), 1000))
    assert score.p_value < 0.001
    assert 0.05 < score.effect <= 1


def test_own_bins_would_lie() -> None:
    """A stretched copy has the same histogram over its own range; over shared bins it is told apart."""
    values = RNG.exponential(size=2000)
    for detector in (KS(), ChiSquare(), PSI(), Auto()):
        assert detector.score(values, values * 10).effect > 0.3


def test_auto_chooses() -> None:
    """Auto is KS on many numbers and ChiSquare on text, flags and few numbers."""
    many, few = RNG.normal(size=400), RNG.integers(0, 3, 400)
    assert Auto().score(many, many + 1) == KS().score(many, many + 1)
    assert Auto().score(few, few[::-1] * 2) == ChiSquare().score(few, few[::-1] * 2)


def rates(rng: np.random.Generator, rate: float, n: int) -> np.ndarray:
    return (rng.random(n) < rate).astype(float)


def first_alarm(reference: np.ndarray, window: np.ndarray, stride: int, rate: float = 0.01) -> int | None:
    """The row at which a Monitor that looks every `stride` rows fires."""
    for end in range(stride, window.size + 1, stride):
        if CUSUM().score(reference, window[:end]).p_value <= rate:
            return end
    return None


STREAMS = {
    "errors": lambda rng, n: rates(rng, 0.11, n),
    "rare errors": lambda rng, n: rates(rng, 0.01, n),
    "log-losses": lambda rng, n: rng.exponential(0.35, n),
    "long tail": lambda rng, n: rng.lognormal(0, 1, n),
}


@pytest.mark.parametrize("size", [500, 4000])
def test_cusum_stays_silent(size: int) -> None:
    """One false alarm in 100,000 records is what was asked for: 80 streams of 10,000 raise 8, and at most 16."""
    rng = np.random.default_rng(size)
    draws = [draw for draw in STREAMS.values() for _ in range(20)]
    alarms = sum(first_alarm(draw(rng, size), draw(rng, 10_000), 1000) is not None for draw in draws)
    assert alarms <= 16


def test_cusum_knows_bursts() -> None:
    """Errors that come five at a time are not taken for five times the evidence."""
    rng = np.random.default_rng(3)
    bursts = [rates(rng, 0.11, 2400).repeat(5) for _ in range(20)]
    alarms = sum(first_alarm(both[:2000], both[2000:], 1000) is not None for both in bursts)
    assert alarms <= 10  # without it: 20


def test_cusum_finds_a_rise() -> None:
    """An error rate going from 0.11 to 0.17 is found within 450 labels in the median, to 0.28 within 300 always."""
    rng = np.random.default_rng(8)
    delays, quick = [], []
    for _ in range(30):
        reference = rates(rng, 0.11, 4000)
        calm = rates(rng, 0.11, 1000)
        small = first_alarm(reference, np.concatenate([calm, rates(rng, 0.17, 3000)]), 50)
        large = first_alarm(reference, np.concatenate([calm, rates(rng, 0.28, 400)]), 50)
        delays.append((small or 4000) - 1000)
        quick.append((large or 4000) - 1000)
    assert np.median(delays) <= 450
    assert max(quick) <= 300


def test_cusum_tells_since_when() -> None:
    """`since` lies near the change, and the effect is the rise in standard deviations."""
    rng = np.random.default_rng(9)
    window = np.concatenate([rates(rng, 0.1, 3000), rates(rng, 0.3, 500)])
    score = CUSUM().score(rates(rng, 0.1, 2000), window)
    assert score.since is not None
    assert abs(score.since - 3000) < 60
    assert score.effect == pytest.approx(0.2 / 0.3, abs=0.15)


def test_cusum_forgets_what_healed() -> None:
    """A rise that ended long ago is no alarm any more."""
    rng = np.random.default_rng(10)
    window = np.concatenate([rates(rng, 0.3, 400), rates(rng, 0.1, 6000)])
    assert CUSUM().score(rates(rng, 0.1, 2000), window).p_value > 0.01


def test_cusum_and_one_monster() -> None:
    """One absurd loss, in the reference or in the window, changes nothing that matters."""
    rng = np.random.default_rng(11)
    reference, window = rng.exponential(5.0, 2000), rng.exponential(5.0, 2000)
    window[1990] = 429_490.20
    assert CUSUM().score(reference, window).p_value > 0.01


def test_cusum_without_errors_at_release() -> None:
    """A reference without any loss still lets a real rise through, and no change stays silent."""
    none = np.zeros(1000)
    assert CUSUM().score(none, none) == Score(0.0, 1.0, 0.0)
    risen = np.concatenate([np.zeros(200), np.tile([0.0, 1.0], 200)])
    assert CUSUM().score(none, risen).p_value < 0.01


def test_cusum_and_missing_losses() -> None:
    """Missing losses are passed over, and `since` still points into the window as given."""
    rng = np.random.default_rng(12)
    window = np.concatenate([np.full(500, np.nan), rates(rng, 0.1, 500), rates(rng, 0.5, 300)])
    since = CUSUM().score(rates(rng, 0.1, 2000), window).since
    assert since is not None
    assert abs(since - 1000) < 40


def test_wrong_arguments() -> None:
    """Parameters that mean nothing, and text for CUSUM, are refused with a sentence."""
    for make in (lambda: CUSUM(shift=0), lambda: CUSUM(per=0), lambda: PSI(bins=1), lambda: ChiSquare(bins=0)):
        with pytest.raises(SpecInvalid, match="expected"):
            make()
    with pytest.raises(SpecInvalid, match="CUSUM follows numbers"):
        CUSUM().score(text("ab"), text("ab"))
