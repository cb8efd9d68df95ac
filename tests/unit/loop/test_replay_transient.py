"""One bad batch raises an alarm and is not trained on, whatever begins an update; a change that lasts is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from keepfit.core.facts import RunFinished, UpdateOpened
from keepfit.core.places import Places
from keepfit.core.registry import to_plain
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.loop.replay import Replayed, Terms, replay
from keepfit.store.blobs import Blobs
from keepfit.store.ledger import Ledger

ROWS, FIRST, CHUNK, AT = 1000, 400, 100, 700

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
    triggers=(triggers.{trigger},),
    gates=(gates.Contract(), gates.Golden(), gates.Harmless()),
    rollout=Rollout(confirm_labels=0),
)
"""


def play(folder: Path, *, until: int, reference: str = "TRAINING", trigger: str = "Drifted()") -> Replayed:
    """A stream whose first feature is twenty too high from row AT to row `until`."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 2))
    y = (x[:, 0] + 0.5 * random.normal(size=ROWS) > 0).astype(int)
    x[AT:until, 0] += 20
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    (folder / "meters_service.py").write_text(FILE.format(reference=reference, trigger=trigger))
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


def learnt(folder: Path) -> list[tuple[UpdateOpened, dict[str, Any], int]]:
    """Every update after the first, what its freezing told, and how many rows of those twenty too high it was given."""
    places = Places(folder / "store")
    ledger, blobs = Ledger(places.ledger, readonly=True), Blobs(places.blobs)
    opened = {row.fact.update: row.fact for row in ledger.facts("meters", UpdateOpened)}
    frozen = [row.fact for row in ledger.facts("meters", RunFinished) if row.fact.step == "freeze"]
    found = []
    for run in frozen[1:]:
        tables = [pq.read_table(blobs.path(run.outputs[name])) for name in ("train", "holdout")]
        found.append((opened[run.update], run.result, sum(int((table["a"].to_numpy() > 10).sum()) for table in tables)))
    ledger.close()
    return found


@pytest.mark.parametrize(("trigger", "reference"), [("Labels(100)", "EARLIER"), ("Cron('0 */2 * * *')", "TRAINING")])
def test_no_update_learns_a_bad_batch(tmp_path: Path, trigger: str, reference: str) -> None:
    """Those begun by a count or a calendar look first, and leave it out for ever; the facts say which Span and rows."""
    play(tmp_path, until=AT + CHUNK, reference=reference, trigger=trigger)
    updates = learnt(tmp_path)
    assert [high for _, _, high in updates] == [0] * len(updates)
    last, told, _ = updates[-1]
    (span,) = last.left_out
    assert told["left_out"] == [{**to_plain(span), "rows": CHUNK}]
    expected = [(span,) if one.records > AT - FIRST else () for one, _, _ in updates]
    assert [one.left_out for one, _, _ in updates] == expected
    assert () in expected


def test_every_update_learns_a_change_that_lasts(tmp_path: Path) -> None:
    """Left out while one look has found it, in from the second look on: the first of its rows, too."""
    play(tmp_path, until=ROWS, trigger="Labels(100)")
    for one, _, high in learnt(tmp_path):
        since = one.records + FIRST - AT
        assert bool(one.left_out) == (since == CHUNK)
        assert high == (since if since > CHUNK else 0)
