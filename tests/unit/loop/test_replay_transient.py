"""One bad batch raises an alarm and is not trained on; a change that lasts is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.loop.replay import Replayed, Terms, replay

ROWS, FIRST, CHUNK, AT = 2000, 400, 100, 1000

FILE = """
from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers
from keepfit.data.read import read
from pathlib import Path
from sklearn.linear_model import LogisticRegression

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 400)

meters = Service(
    name="meters", estimator=LogisticRegression(), data=first, label="y", metric="accuracy",
    recipe=Recipe(window=Window(rows=400), holdout=100),
    monitors=(Monitor(name="inputs", on=Subject.INPUTS, detector=detectors.KS(), reference=Reference.{reference},
                      window=Window(rows=100), minimum_effect=0.4),),
    triggers=(triggers.Drifted(),),
    gates=(gates.Contract(), gates.Golden(), gates.Harmless()),
    rollout=Rollout(confirm_labels=0),
)
"""


def play(folder: Path, *, until: int, reference: str) -> Replayed:
    """A stream whose first feature is five too high from row AT to row `until`."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 2))
    y = (x[:, 0] + 0.5 * random.normal(size=ROWS) > 0).astype(int)
    x[AT:until, 0] += 5
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    (folder / "meters_service.py").write_text(FILE.format(reference=reference))
    places = Places(folder / "store")
    digest = declared(folder / "meters_service.py", places)[0].specification
    rows = fitted(table, specification_at(digest, places))
    return replay(digest, rows, places, terms=Terms(chunk=str(CHUNK), periods=()))


def told(played: Replayed, kind: str) -> list[int]:
    return [one.row for one in played.happenings if one.kind == kind and one.row > FIRST]


@pytest.mark.parametrize("reference", ["TRAINING", "EARLIER"])
def test_a_bad_batch_is_told_and_not_trained_on(tmp_path: Path, reference: str) -> None:
    """An alarm right after the batch, none when all is as before again, and no update."""
    played = play(tmp_path, until=AT + CHUNK, reference=reference)
    assert told(played, "finding") == [AT + CHUNK]
    assert told(played, "update") == []
    assert set(played.versions) == {1}


@pytest.mark.parametrize("reference", ["TRAINING", "EARLIER"])
def test_a_change_that_lasts_is_trained_on(tmp_path: Path, reference: str) -> None:
    """The second look still finds it, also against what was before the first alarm; then the loop learns."""
    played = play(tmp_path, until=ROWS, reference=reference)
    assert told(played, "finding")[:2] == [AT + CHUNK, AT + 2 * CHUNK]
    assert told(played, "update")[0] == AT + 2 * CHUNK
