"""Performance before labels come: within its band where the truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from keepfit.core.errors import DataInvalid
from keepfit.data.read import read
from keepfit.watch.calibration import calibrate
from keepfit.watch.estimated import METRICS, Answers, estimate, estimated_accuracy, estimated_loss

RNG = np.random.default_rng(2)
ORACLES = {
    "accuracy": lambda y, p, said: accuracy_score(y, said),
    "precision": lambda y, p, said: precision_score(y, said, zero_division=0),
    "recall": lambda y, p, said: recall_score(y, said),
    "f1": lambda y, p, said: f1_score(y, said),
    "auc": lambda y, p, said: roc_auc_score(y, p),
}


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Every test draws alike, whatever ran before it."""
    RNG.bit_generator.state = np.random.default_rng(2).bit_generator.state


def answers(n: int, shift: float = 0.0) -> tuple[Answers, np.ndarray]:
    """A model that exaggerates: it says sigmoid(2x) where sigmoid(x) is true; `shift` moves its inputs."""
    x = RNG.normal(shift, 1.5, size=n)
    truth = (RNG.random(n) < 1 / (1 + np.exp(-x))).astype(float)
    said = 1 / (1 + np.exp(-2 * x))
    return Answers(said, said > 0.5), truth


def test_metrics_are_the_known_ones() -> None:
    """With true labels for chances every metric is scikit-learn's to 1e-9, ties among the probabilities included."""
    said, truth = answers(1000)
    rounded = Answers(np.round(said.probability, 1), said.positive)
    for name, metric in METRICS.items():
        assert metric(truth, rounded) == pytest.approx(
            ORACLES[name](truth, rounded.probability, said.positive), abs=1e-9
        )


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_truth_is_within_the_band(shift: float) -> None:
    """In at least 95 % of 100 windows each metric comes out within the band, with other inputs as well."""
    reference, truth = answers(5000)
    inside = dict.fromkeys(METRICS, 0)
    for _ in range(100):
        window, actual = answers(1000, shift)
        for one in estimate(reference, truth, window):
            inside[one.metric] += (
                one.low <= ORACLES[one.metric](actual, window.probability, window.positive) <= one.high
            )
    assert min(inside.values()) >= 95, inside


def test_a_band_is_no_excuse() -> None:
    """The band is as wide as chance makes it: the estimate errs by a standard error, not by a tenth of one."""
    reference, truth = answers(5000)
    off = []
    for _ in range(100):
        window, actual = answers(500)
        one = estimate(reference, truth, window)[0]
        off.append((one.value - ((actual > 0.5) == window.positive).mean()) / one.error)
    assert 0.6 < np.std(off) < 1.3


def test_alarms() -> None:
    """Windows like the reference hardly ever alarm; one with harder rows does, and is told to be worse."""
    reference, truth = answers(5000)
    calm = [estimate(reference, truth, answers(500)[0]) for _ in range(50)]
    assert sum(one.is_out_of_line for found in calm for one in found) <= 3
    x = RNG.normal(0, 0.3, size=500)
    said = 1 / (1 + np.exp(-2 * x))
    (accuracy, *_) = estimate(reference, truth, Answers(said, said > 0.5))
    assert accuracy.is_out_of_line
    assert accuracy.value < accuracy.reference


@pytest.mark.parametrize("n", [200, 5000])
def test_calibration(n: int) -> None:
    """What exaggerated is put right, by Platt's curve and by the isotonic one; the curve never falls."""
    said, truth = answers(n)
    curve = calibrate(said.probability, truth)
    grid = np.linspace(0.02, 0.98, 49)
    true = 1 / (1 + np.exp(-np.log(grid / (1 - grid)) / 2))
    assert np.abs(curve(grid) - true).mean() < (0.08 if n < 1000 else 0.04)
    assert (np.diff(curve(grid)) >= 0).all()


def test_isotonic_is_scikit_learns() -> None:
    """On its own rows the isotonic curve is scikit-learn's."""
    from sklearn.isotonic import IsotonicRegression

    said, truth = answers(3000)
    rounded = np.round(said.probability, 2)
    oracle = IsotonicRegression().fit(rounded, truth).predict(rounded)
    ours = calibrate(rounded, truth)
    blocks = np.isin(rounded, ours.said)
    assert blocks.any()
    assert ours(rounded)[blocks] == pytest.approx(oracle[blocks], abs=0.02)
    assert ours(rounded).mean() == pytest.approx(truth.mean(), abs=0.01)


def test_many_classes() -> None:
    """The accuracy of a classifier with many classes is told by how sure it was of its own predictions."""
    chances = RNG.dirichlet(np.full(5, 0.4), size=6000)
    truth = np.array([RNG.choice(5, p=row) for row in chances])
    right = (chances.argmax(axis=1) == truth).astype(float)
    sure = chances.max(axis=1)
    one = estimated_accuracy(sure[:4000], right[:4000], sure[4000:])
    assert one.low <= right[4000:].mean() <= one.high


def test_what_cannot_be_estimated() -> None:
    """Too few rows, one label only, or truths that do not belong are refused with the reason."""
    said, truth = answers(100)
    for wrong, match in (((said, truth[:20], said), "at least 30"), ((said, truth * 0, said), "one label")):
        with pytest.raises(DataInvalid, match=match):
            estimate(*wrong)
    with pytest.raises(DataInvalid, match="a truth per row"):
        estimate(said, np.append(truth, 1.0), said)


def test_on_a_real_stream(shared_data: Path) -> None:
    """On elec2, rows in random order so that no concept moves, 95 % of 100 windows come out within the band."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = read(shared_data / "elec2" / "*.csv")
    names = ["day", "period", "nswprice", "nswdemand"]
    order = RNG.permutation(table.num_rows)[:30_000]
    X = np.column_stack([table[name].to_numpy() for name in names])[order]
    y = (np.array(table["class"].to_pylist())[order] == "UP").astype(float)
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(X[:5000], y[:5000])
    p = model.predict_proba(X)[:, 1]
    known = slice(5000, 10_000)
    reference = Answers(p[known], p[known] > 0.5)
    inside = total = 0
    for start in range(10_000, 30_000, 1000):
        rows = slice(start, start + 1000)
        window = Answers(p[rows], p[rows] > 0.5)
        for one in estimate(reference, y[known], window):
            total += 1
            inside += one.low <= ORACLES[one.metric](y[rows], p[rows], window.positive) <= one.high
    assert inside >= 0.95 * total


def numbers(n: int, shift: float = 0.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A regression that errs more where x is large, and what it cost."""
    x = RNG.normal(shift, size=n)
    zone = RNG.choice(["calm", "rough"], n, p=[0.7, 0.3]).astype(object)
    error = np.abs(RNG.normal(size=n)) * (0.3 + np.exp(x / 2)) * np.where(zone == "rough", 2.0, 1.0)
    return {"x": x, "zone": zone}, error


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_loss_is_within_its_band(shift: float) -> None:
    """The mean loss of models without probabilities comes out within the band in at least 95 of 100 windows."""
    known, cost = numbers(5000)
    inside = 0
    for _ in range(100):
        window, actual = numbers(1000, shift)
        one = estimated_loss(known, cost, window)
        inside += one.low <= actual.mean() <= one.high
    assert inside >= 95


def test_a_loss_alarms_upwards() -> None:
    """Rows that cost more than those at release are worse, those that cost less are not, and like ones say nothing."""
    known, cost = numbers(5000)
    for shift, worse in ((1.0, True), (-1.0, False), (0.0, False)):
        assert estimated_loss(known, cost, numbers(1000, shift)[0]).is_worse is worse


def test_a_real_loss(shared_data: Path) -> None:
    """Bicycles by the hour, learnt by a forest: what an hour costs is within the band at least 22 times of 24."""
    from sklearn.ensemble import RandomForestRegressor

    table = read(shared_data / "bike_sharing" / "hour.csv")
    names = ["season", "hr", "workingday", "temp", "hum", "windspeed"]
    columns = {name: table[name].to_numpy().astype(float) for name in names}
    truth = table["cnt"].to_numpy().astype(float)
    order = RNG.permutation(truth.size)
    X = np.column_stack(list(columns.values()))
    model = RandomForestRegressor(30, min_samples_leaf=5, random_state=0).fit(X[order[:6000]], truth[order[:6000]])
    said = model.predict(X)
    known, rest = order[6000:12_000], order[12_000:]
    cost = np.abs(said - truth)
    inside = 0
    for hour in range(24):
        rows = rest[columns["hr"][rest] == hour]
        before, now = ({**{n: v[at] for n, v in columns.items()}, "said": said[at]} for at in (known, rows))
        one = estimated_loss(before, cost[known], now)
        inside += one.low <= cost[rows].mean() <= one.high
    assert inside >= 22
