"""Marks in a replay: they say of the live Version what its answers and labels say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from keepfit.core.facts import Applied, Marked, RunFailed, Swapped, VersionRegistered
from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.loop.replay import Replayed, Terms, replay
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger
from keepfit.store.streams import Query, Stream

FILE = """
from keepfit import Recipe, Rollout, Service, Window, gates, triggers
from keepfit.data.read import read
from pathlib import Path
from sklearn.linear_model import LogisticRegression

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 400)

marked = Service(
    name="marked", estimator=LogisticRegression(), data=first, label="y", metric="log_loss",
    recipe=Recipe(window=Window(rows=400), holdout=100),
    triggers=(triggers.Threshold(0.8, stride=100), triggers.Estimated(0.2, stride=200)),
    gates=(gates.Contract(), gates.Golden(), gates.Harmless()), rollout=Rollout(confirm_labels=0),
)
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, Replayed]:
    """1,000 rows in chunks of 100; from row 600 on the rule is turned around."""
    folder = tmp_path_factory.mktemp("marks")
    random = np.random.default_rng(0)
    x = random.normal(size=(1000, 2))
    y = ((x[:, 0] > 0) ^ (np.arange(1000) >= 600) ^ (random.random(1000) < 0.1)).astype(int)
    rows = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(rows, folder / "rows.csv")
    (folder / "marked_service.py").write_text(FILE)
    places = Places(folder / "store")
    digest = declared(folder / "marked_service.py", places)[0].specification
    given = fitted(rows, specification_at(digest, places))
    return places, replay(digest, given, places, terms=Terms(chunk="100"), simple=())


def marks(places: Places) -> list[Marked]:
    return [row.fact for row in Ledger(places.ledger).facts("marked", Marked)]


def test_a_mark_is_what_the_course_measures(played: tuple[Places, Replayed]) -> None:
    """Of each chunk, answered by one Version and labelled at once, the mark is the metric of that chunk."""
    places, found = played
    on_labels = [one for one in marks(places) if "labels" in one.on]
    course = found.course("keepfit")
    assert [one.mark.value for one in on_labels] == pytest.approx(course.chunks["log_loss"])
    assert [one.mark.accuracy for one in on_labels] == pytest.approx(course.chunks["accuracy"])
    assert [one.mark.rows for one in on_labels] == [100] * 6
    assert [one.version for one in on_labels] == list(found.versions)


def test_a_promise_is_what_probabilities_say(played: tuple[Places, Replayed]) -> None:
    """The promise is the mean of the larger probability, on Records since and on training data."""
    places, _ = played
    ledger = Ledger(places.ledger)
    one = next(one for one in marks(places) if "records" in one.on)
    rows = Stream(places.stream("marked")).read(Query(version=one.version))
    chances = rows["_out_probability"].to_numpy()[:200]
    assert one.records == 200
    assert one.mark.promise == pytest.approx(np.maximum(chances, 1 - chances).mean())
    digest = next(row.fact.digest for row in ledger.facts("marked", VersionRegistered))
    before = pq.read_table(Trees(places.trees).path(digest) / "reference.parquet")["_out_probability"].to_numpy()
    assert one.mark.released == pytest.approx(np.maximum(before, 1 - before).mean())


def test_marks_begin_updates(played: tuple[Places, Replayed]) -> None:
    """The first chunk after the turn is marked worse than the bound, an update begins and a new Version goes live."""
    places, found = played
    begun = [one for one in found.happenings if one.kind == "update"]
    assert begun[1].row == 700
    assert "log_loss" in begun[1].text
    ledger = Ledger(places.ledger)
    assert len(ledger.facts("marked", Swapped)) > 1
    assert not ledger.facts("marked", RunFailed)
    assert len(ledger.facts("marked", Applied)) == 1
