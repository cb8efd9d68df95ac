"""Comparisons: policies side by side over a history whose rule is turned around, beside the oracle."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from sklearn.linear_model import LogisticRegression

from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.edge.replay.compared import compare_page, plain_comparison
from keepfit.loop.compare import Comparison, spread
from keepfit.loop.contest import contest
from keepfit.loop.courses import baselines
from keepfit.loop.hindsight import losses_by_model
from keepfit.loop.oracle import fewest
from keepfit.loop.replay import Terms, history_of

ROWS, FIRST, TURN = 1400, 400, 800

FILE = """
from dataclasses import replace
from keepfit import Choice, Recipe, Rollout, Selection, Service, Window, gates, triggers
from keepfit.data.read import read
from pathlib import Path
from sklearn.linear_model import SGDClassifier

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 400)

base = Service(
    name="labels", estimator=SGDClassifier(loss="log_loss"), data=first, label="y", metric="accuracy",
    recipe=Recipe(window=Window(rows=300), holdout=60), triggers=(triggers.Labels(100),),
    gates=(gates.Contract(), gates.Golden(), gates.Harmless(minimum_rows=50)), rollout=Rollout(confirm_labels=0),
)
few = Recipe(window=Window(rows=300), holdout=60, selection=Selection(by=Choice.UNIFORM, rows=100))
services = [
    base,
    replace(base, name="threshold", triggers=(triggers.Threshold(0.7, stride=100),)),
    replace(base, name="few", recipe=few),
]
"""


def table() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 2))
    y = (x[:, 0] > 0) ^ (np.arange(ROWS) >= TURN) ^ (random.random(ROWS) < 0.1)
    return x, y.astype(int)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("compare")
    x, y = table()
    rows = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(rows, folder / "rows.csv")
    (folder / "turned_services.py").write_text(FILE)
    places = Places(folder / "stores" / "store")
    entrants = {
        one.service: (one.specification, fitted(rows, specification_at(one.specification, places)))
        for one in declared(folder / "turned_services.py", places)
    }
    made = contest(entrants, places, terms=Terms(chunk="100", periods=(1, 5)), seeds=(0, 1))
    assert [path.name for path in (folder / "stores").iterdir()] == ["store"]  # what replays needed is gone
    return made


def test_every_policy_is_there_once(found: Comparison) -> None:
    """Services first, then the simple policies: once for each recipe that they are made by."""
    names = [entry.name for entry in found.entries]
    assert names[:3] == ["labels", "threshold", "few"]
    assert names[3:7] == ["never", "every 1", "every 5", "last label"]
    assert names[7:] == ["never (few)", "every 1 (few)", "every 5 (few)"]
    assert [entry.simple for entry in found.entries] == [False] * 3 + [True] * 7
    assert found.seeds == (0, 1)


def test_policies_differ_in_what_they_do(found: Comparison) -> None:
    """The one that waits for a fall updates less and recovers; fewer rows are learnt where fewer are chosen."""
    labels, threshold, few = (found.entry(name) for name in ("labels", "threshold", "few"))
    assert threshold.updates.mean < labels.updates.mean
    assert threshold.metric.mean > found.entry("never").metric.mean + 0.1
    assert few.rows.mean == pytest.approx(100 * (1 + few.updates.mean))
    assert labels.metric.low < labels.metric.mean < labels.metric.high


def test_regret(found: Comparison) -> None:
    """No simple policy does better than the oracle with as many updates; never is what the oracle does with none."""
    assert found.ideal is not None
    assert found.ideal.losses == tuple(sorted(found.ideal.losses, reverse=True))
    for name in ("never", "every 1", "every 5"):
        assert found.entry(name).regret.mean >= -1e-12
    assert found.entry("never").regret.mean == pytest.approx(0.0, abs=1e-12)
    assert 1 - found.entry("never").metric.mean == pytest.approx(found.ideal.losses[0])
    assert found.ideal.best(price=1.0)[0] == 0
    assert found.ideal.best()[0] > 0


def test_drawn_and_written(found: Comparison) -> None:
    """The page names every policy and needs nothing from elsewhere; what was measured is not written."""
    page = compare_page(found, "turned")
    assert all(f">{entry.name}<" in page for entry in found.entries)
    assert page.count("<circle") == len(found.entries)
    assert "http" not in page
    assert "cpu_seconds" not in plain_comparison(found)["entries"][0]


def test_the_interval_is_students() -> None:
    """Two values 1 apart: the mean, and 12.706 standard errors either way; one value has no interval."""
    assert spread([0.0, 1.0]).high == pytest.approx(0.5 + 12.706 / 2)
    assert spread([0.3]) == spread([0.3, 0.3, 0.3])
    assert math.isnan(spread([math.nan]).mean)


def test_where_a_window_has_one_class_the_model_before_goes_on(tmp_path: Path) -> None:
    """Neither the simple policies nor the oracle can fit anything there; both keep what they had."""
    x, y = table()
    y[700:] = 1
    rows = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(rows, tmp_path / "rows.csv")
    (tmp_path / "still_service.py").write_text(FILE)
    places = Places(tmp_path / "store")
    digest = declared(tmp_path / "still_service.py", places)[0].specification
    specification = specification_at(digest, places)
    past, source = history_of(specification, fitted(rows, specification), places, Terms(chunk="100"))
    matrix = losses_by_model(past, source, specification, estimator=LogisticRegression())
    assert matrix[6, 6:].tolist() == matrix[5, 6:].tolist()  # chunk 6 begins with row 1,000
    assert matrix[5, 6:].tolist() != matrix[4, 6:].tolist()
    courses = baselines(
        past, source, specification, estimator=LogisticRegression(), periods=(1,), cpu_clock=lambda: 0.0
    )
    every = next(one for one in courses if one.name == "every 1")
    assert every.updates == 5
    assert 1 - every.total["accuracy"] == pytest.approx((np.trace(matrix)) / past.rows.num_rows)


def test_the_matrix_is_what_scikit_learn_gives(tmp_path: Path) -> None:
    """Row u has the misses of the model fitted on what was known before chunk u, on its own chunk and all after it."""
    x, y = table()
    rows = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(rows, tmp_path / "rows.csv")
    (tmp_path / "one_service.py").write_text(FILE)
    places = Places(tmp_path / "store")
    digest = declared(tmp_path / "one_service.py", places)[0].specification
    specification = specification_at(digest, places)
    terms = Terms(chunk="250", step=timedelta(minutes=1))
    past, source = history_of(specification, fitted(rows, specification), places, terms)
    matrix = losses_by_model(past, source, specification, estimator=LogisticRegression())
    starts = [*range(FIRST, ROWS, 250), ROWS]
    assert matrix.shape == (4, 4)
    for u, begin in enumerate(starts[:-1]):
        known = slice(begin - (300 if u else FIRST), begin)
        model = LogisticRegression().fit(x[known], y[known])
        missed = model.predict(x) != y
        assert matrix[u, u:].tolist() == [missed[a:b].sum() for a, b in zip(starts[u:], starts[u + 1 :], strict=False)]
    assert fewest(matrix)[0] == matrix[0].sum()
