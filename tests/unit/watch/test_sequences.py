"""Detectors of sequences: river's alarms, what an alarm is worth, and since when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.watch.detectors import ADWIN, DDM, EDDM, HDDMA, HDDMW, KSWIN, PageHinkley

EVERY = [ADWIN(), DDM(), EDDM(), HDDMA(), HDDMW(), KSWIN(), PageHinkley()]


def rivers(detector: Any, values: np.ndarray) -> list[int]:
    found = []
    for index, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(index)
    return found


def streams(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Sequences of 0 and 1 with abrupt, slow and no changes."""
    rate = {
        "none": np.full(4000, 0.2),
        "abrupt": np.repeat([0.1, 0.3, 0.1, 0.6], 1500),
        "slow": np.linspace(0.05, 0.5, 6000),
        "rare": np.repeat([0.01, 0.03], 4000),
    }
    return {name: (rng.random(rates.size) < rates).astype(float) for name, rates in rate.items()}


def peers() -> dict[str, tuple[Any, Any]]:
    from river import drift
    from river.drift import binary

    return {
        "ADWIN": (ADWIN(), drift.ADWIN),
        "ADWIN, other settings": (ADWIN(delta=0.05, clock=16), lambda: drift.ADWIN(delta=0.05, clock=16)),
        "DDM": (DDM(), binary.DDM),
        "EDDM": (EDDM(), binary.EDDM),
        "HDDMA": (HDDMA(), binary.HDDMA),
        "HDDMA, two-sided": (HDDMA(two_sided=True), lambda: binary.HDDMA(two_sided_test=True)),
        "HDDMW": (HDDMW(fading=0.05), binary.HDDMW),
        "HDDMW, two-sided": (HDDMW(fading=0.05, two_sided=True), lambda: binary.HDDMW(two_sided_test=True)),
        "PageHinkley": (PageHinkley(two_sided=True), drift.PageHinkley),
        "PageHinkley up": (PageHinkley(threshold=10.0), lambda: drift.PageHinkley(threshold=10.0, mode="up")),
        "PageHinkley, fading": (
            PageHinkley(threshold=8.0, alpha=0.99, two_sided=True),
            lambda: drift.PageHinkley(threshold=8.0, alpha=0.99),
        ),
    }


@pytest.mark.parametrize("name", peers())
def test_rivers_alarms(name: str) -> None:
    """Over every sequence the alarms come at the very values where river's come."""
    ours, make = peers()[name]
    for kind, values in streams(np.random.default_rng(1)).items():
        assert [alarm.at for alarm in ours.alarms(values)] == rivers(make(), values), kind


def test_rivers_alarms_of_kswin() -> None:
    """The same for the sliding window, on numbers whose spread changes, with ties among them."""
    from river import drift

    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(size=600), rng.normal(1.5, 3, size=300)]).round(1)
    found = [alarm.at for alarm in KSWIN(seed=7).alarms(values)]
    assert found == rivers(drift.KSWIN(seed=7), values)
    assert found


@pytest.mark.parametrize("detector", EVERY, ids=lambda d: type(d).__name__)
def test_no_change(detector: Any) -> None:
    """Of 60 pairs without a change, of errors and of losses of any shape, at most one is called different."""
    rng = np.random.default_rng(3)
    fired = 0
    for _ in range(20):
        for values in ((rng.random(3000) < 0.1).astype(float), rng.exponential(size=3000), rng.standard_cauchy(3000)):
            score = detector.score(values[:1000], values[1000:])
            fired += score.p_value <= 0.01 and score.effect >= 0.1
    assert fired <= 1


@pytest.mark.parametrize("detector", EVERY, ids=lambda d: type(d).__name__)
def test_since(detector: Any) -> None:
    """An error rate that goes from 0.1 to 0.5 is found, and `since` lies near the change."""
    rng = np.random.default_rng(4)
    before, after = (rng.random(2000) < 0.1).astype(float), (rng.random(600) < 0.5).astype(float)
    score = detector.score(before, np.concatenate([before[::-1], after]))
    assert score.p_value < 1e-6
    assert score.effect == pytest.approx(0.4, abs=0.1)
    assert score.since is not None
    assert abs(score.since - 2000) < 150


@pytest.mark.parametrize("detector", EVERY, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("kind", ["normal", "long tail", "small"])
def test_one_deviation(detector: Any, kind: str) -> None:
    """A rise by one standard deviation is found in one of two windows of 500 rows, whatever its unit and its shape."""
    rng = np.random.default_rng(6)
    for _ in range(20):
        rows = {
            "normal": rng.normal(size=1500),
            "long tail": rng.lognormal(0, 0.8, 1500),
            "small": rng.normal(0.03, 0.01, 1500),
        }[kind]
        windows = rows[500:1000] + rows.std(), rows[1000:] + rows.std()
        scores = [detector.score(rows[:500], window) for window in windows]
        assert any(score.p_value <= 0.01 and score.effect >= 0.1 for score in scores)


@pytest.mark.parametrize("detector", EVERY, ids=lambda d: type(d).__name__)
def test_the_reference_is_learnt_from(detector: Any) -> None:
    """An alarm among the first values is none, and they are not forgotten: the change after them is found."""
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.random(900) < 0.1, rng.random(100) < 0.3, rng.random(500) < 0.9]).astype(float)
    found = detector.alarms(values, 1000)
    assert found
    assert all(alarm.at >= 1000 for alarm in found)
    assert found[0].at < 1200


@pytest.mark.parametrize("detector", EVERY, ids=lambda d: type(d).__name__)
def test_missing_and_text(detector: Any) -> None:
    """Missing losses are passed over and `since` points into the window as given; text is refused."""
    rng = np.random.default_rng(5)
    window = np.concatenate([np.full(500, np.nan), rng.random(500) < 0.1, rng.random(500) < 0.7])
    since = detector.score((rng.random(1000) < 0.1).astype(float), window).since
    assert since is not None
    assert abs(since - 1000) < 120
    with pytest.raises(SpecInvalid, match="follows numbers"):
        detector.score(np.array(["a"]), np.array(["b"]))


def test_wrong_arguments() -> None:
    """Parameters that mean nothing are refused with what was expected."""
    for make in (
        lambda: ADWIN(delta=0),
        lambda: DDM(threshold=0),
        lambda: EDDM(beta=2),
        lambda: HDDMA(confidence=0),
        lambda: HDDMW(fading=1),
        lambda: KSWIN(recent=80),
        lambda: PageHinkley(alpha=0),
    ):
        with pytest.raises(SpecInvalid, match="expected"):
            make()
