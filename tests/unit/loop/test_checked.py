"""The check step by a declared schema: an ERROR stops an update before its training, a WARNING is only told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from keepfit.core.facts import RunFinished, RunStarted, UpdateClosed, VersionRegistered
from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.edge.telling import sentence
from keepfit.loop.replay import Terms, replay
from keepfit.serve.manifest import manifest
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger

ROWS, FIRST = 600, 200
FILE = """
from pathlib import Path
from keepfit import Recipe, Service, Window, gates, triggers
from keepfit.data.read import read
from sklearn.linear_model import LogisticRegression

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 200)

checked = Service(
    name="checked", estimator=LogisticRegression(), data=first, label="y", metric="accuracy", schema="schema.yaml",
    recipe=Recipe(window=Window(rows=200), holdout=40), triggers=(triggers.Labels(100),),
    gates=(gates.Contract(), gates.Golden()),
)
"""
SCHEMA = """
label: y
columns:
  a: {kind: float, minimum: -50, maximum: 50, severity: {FLOAT_TYPE_BIG_FLOAT: SEVERITY}}
  b: {kind: float}
  y: {kind: integer, not_in: [SERVING]}
"""


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_a_bad_value_stops_training_or_not_as_the_schema_says(tmp_path: Path, severity: str) -> None:
    """One value of 99 at row 300: with `error` no update learns from it and a fact says why; with `warning` all do."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, ROWS))
    y = (a + random.normal(size=ROWS) > 0).astype(int)
    a[300] = 99.0
    table = pa.table({"a": a, "b": b, "y": y})
    pyarrow.csv.write_csv(table, tmp_path / "rows.csv")
    (tmp_path / "checked_service.py").write_text(FILE)
    (tmp_path / "schema.yaml").write_text(SCHEMA.replace("SEVERITY", severity))
    places = Places(tmp_path / "store")
    digest = declared(tmp_path / "checked_service.py", places)[0].specification
    replay(digest, fitted(table, specification_at(digest, places)), places, terms=Terms(chunk="100", periods=()))

    facts = [row.fact for row in Ledger(places.ledger, readonly=True).facts("checked")]
    checks = {fact.update: fact.result for fact in facts if isinstance(fact, RunFinished) and fact.step == "check"}
    bad = {update for update, result in checks.items() if result["findings"]}
    trained = {fact.update for fact in facts if isinstance(fact, RunStarted) and fact.step == "train"}
    closed = {fact.update: fact for fact in facts if isinstance(fact, UpdateClosed)}
    assert bad
    assert set(checks) - bad
    made = [manifest(Trees(places.trees).path(fact.digest)) for fact in facts if isinstance(fact, VersionRegistered)]
    assert {tuple(one.name for one in bundle.requirements.columns) for bundle in made} == {("a", "b")}
    told = "column 'a' goes up to 99; expected -50 to 50"
    if severity == "error":
        assert trained == set(checks) - bad
        assert {closed[update].outcome for update in bad} == {"refused"}
        assert all("never trained on" in closed[update].reason and told in closed[update].reason for update in bad)
    else:
        assert trained == set(checks)
        assert all(checks[update]["warnings"] == [told] for update in bad)
        assert any(told in sentence(fact) for fact in facts)
