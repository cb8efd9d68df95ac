"""Selection in the loop: an update learns from the rows that its Recipe chooses, asking the parent where it has to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from keepfit.core.facts import RunFailed, RunFinished, RunStarted
from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.loop.replay import Terms, replay
from keepfit.store.ledger import Ledger

FILE = """
from keepfit import Choice, Recipe, Rollout, Selection, Service, Window, gates, triggers
from keepfit.data.read import read
from pathlib import Path
from sklearn.linear_model import LogisticRegression

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 400)

chosen = Service(
    name="chosen", estimator=LogisticRegression(), data=first, label="y", metric="accuracy",
    recipe=Recipe(window=Window(rows=400), holdout=100, selection=Selection(by=Choice.{by}, rows={rows})),
    triggers=(triggers.Labels(100),),
    gates=(gates.Contract(), gates.Golden(), gates.Harmless(margin=0.5)), rollout=Rollout(confirm_labels=0),
)
"""


@pytest.mark.parametrize(
    ("by", "rows", "learnt", "asked"),
    [
        pytest.param("NEW", None, [300, 100, 100], {"seen0"}, id="what the parent has not learnt from"),
        pytest.param("GRADIENT", 80, [80, 80, 80], {"chooser"}, id="where the parent errs"),
    ],
)
def test_updates_learn_from_what_is_chosen(
    tmp_path: Path, *, by: str, rows: int | None, learnt: list[int], asked: set[str]
) -> None:
    """The first update has nobody to ask; later ones are given the parent's Datasets, or its Bundle to answer."""
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 2))
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": (x[:, 0] + random.normal(size=600) / 2 > 0).astype(int)})
    pyarrow.csv.write_csv(table, tmp_path / "rows.csv")
    (tmp_path / f"chosen_{by.lower()}.py").write_text(FILE.format(by=by, rows=rows))
    places = Places(tmp_path / "store")
    digest = declared(tmp_path / f"chosen_{by.lower()}.py", places)[0].specification
    found = replay(digest, fitted(table, specification_at(digest, places)), places, terms=Terms(chunk="100"), simple=())
    ledger = Ledger(places.ledger)
    assert not ledger.facts("chosen", RunFailed)
    trained = [row.fact for row in ledger.facts("chosen", RunFinished) if row.fact.step == "train"]
    assert [run.result["rows"] for run in trained] == learnt
    assert found.course("keepfit").rows == sum(learnt)
    inputs = [set(row.fact.inputs) for row in ledger.facts("chosen", RunStarted) if row.fact.step == "train"]
    assert [names & {"seen0", "chooser"} for names in inputs] == [set(), asked, asked]
