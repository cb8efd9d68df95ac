"""Monitors on records and on expected quality, declared in a service file and carried through the whole loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from keepfit.core.facts import Watched
from keepfit.core.nouns import FindingKind
from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.edge.declare.mistakes import Mistaken
from keepfit.loop.replay import Terms, replay
from keepfit.store.ledger import Ledger

ROWS, FIRST, WRONG = 2000, 600, 1200

FILE = """
from pathlib import Path

import pyarrow as pa
from sklearn.linear_model import LogisticRegression

from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, gates
from keepfit.data.read import read

def first():
    return read(Path({rows!r})).slice(0, 600)

def again(records):
    trips = read(Path({trips!r}))
    place = {{one: row for row, one in enumerate(trips["trip"].to_pylist())}}
    known = trips.take(pa.array([place[one] for one in records["_id"].to_pylist()]))
    return pa.table({{"_id": records["_id"], "km": known["metres"].to_numpy() / 1000}})

late = Service(
    name="late", estimator=LogisticRegression(), data=first, label="y", id="trip", metric="accuracy",
    recipe=Recipe(holdout=300), gates=(gates.Contract(), gates.Golden()), rollout=Rollout(confirm_labels=0),
    monitors=(
        Monitor(name="records", on=Subject.RECORDS, window=Window(rows=200)),
        Monitor(name="quality", on=Subject.QUALITY, reference=Reference.RELEASE, window=Window(rows=200)),
    ),
    {offline}
)
"""


def write(folder: Path, offline: str = "offline=again,") -> Path:
    """Trips whose distance decides; from row WRONG on one logged distance in twenty is in miles."""
    random = np.random.default_rng(7)
    km, zone = random.exponential(8.0, ROWS), random.normal(size=ROWS)
    y = (random.random(ROWS) < 1 / (1 + np.exp(-(km - 8)))).astype(int)
    ids = [f"t{place:05d}" for place in range(ROWS)]
    wrong = (random.random(ROWS) < 0.05) & (np.arange(ROWS) >= WRONG)
    logged = pa.table({"trip": ids, "km": np.where(wrong, km / 1.609344, km), "zone": zone, "y": y})
    pyarrow.csv.write_csv(logged, folder / "rows.csv")
    pyarrow.csv.write_csv(pa.table({"trip": ids, "metres": km * 1000}), folder / "trips.csv")
    file = folder / "late_service.py"
    rows, trips = str(folder / "rows.csv"), str(folder / "trips.csv")
    file.write_text(FILE.format(rows=rows, trips=trips, offline=offline))
    return file


def test_a_unit_mistaken_in_service(tmp_path: Path) -> None:
    """Miles for kilometres in 5 % of the requests are found within two windows by name and factor, never before."""
    places = Places(tmp_path / "store")
    digest = declared(write(tmp_path), places)[0].specification
    rows = fitted(pyarrow.csv.read_csv(tmp_path / "rows.csv"), specification_at(digest, places))
    replay(digest, rows, places, terms=Terms(chunk="100", periods=(1,)))
    looks = [fact for row in Ledger(places.ledger).facts("late", Watched) if isinstance(fact := row.fact, Watched)]
    records = [look for look in looks if look.monitor == "records"]
    found = [look for look in records if look.findings]
    assert WRONG - FIRST < found[0].records <= WRONG - FIRST + 400
    (one,) = found[0].findings
    assert (one.subject, one.kind) == ("km", FindingKind.SKEW)
    assert "0.6214 times it (miles and kilometres?)" in one.sentence
    assert {m.subject: m.note for m in records[0].measurements} == {"km": "", "zone": "offline has no such column"}
    quality = [look for look in looks if look.monitor == "quality"]
    assert {m.subject for m in quality[0].measurements} == {"accuracy", "precision", "recall", "f1", "auc"}
    assert all(m.n_reference == 300 and m.n_window == 200 for m in quality[0].measurements)
    assert not any(look.findings for look in quality)


def test_records_need_offline(tmp_path: Path) -> None:
    """A monitor on records without a function to compute them again is refused with its line."""
    with pytest.raises(Mistaken, match=r"late: offline: expected a function of a table of records"):
        declared(write(tmp_path, offline=""), Places(tmp_path / "store"))
