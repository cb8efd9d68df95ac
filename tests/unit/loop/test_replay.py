"""Replay: the loop over a history whose rule is turned around in the middle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from sklearn.linear_model import LogisticRegression

from keepfit.core.errors import Conflict
from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.loop.replay import Replayed, Terms, replay

ROWS, FIRST, TURN = 2400, 400, 1400

FILE = """
from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers
from keepfit.data.read import read
from pathlib import Path
from sklearn.linear_model import LogisticRegression

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 400)

turned = Service(
    name="turned", estimator=LogisticRegression(), data=first, label="y", metric="accuracy",
    recipe=Recipe(window=Window(rows=400), holdout=100{recipe}),
    monitors=(Monitor(name="loss", on=Subject.LOSS, detector=detectors.CUSUM(), reference=Reference.RELEASE,
                      window=Window(rows=5000), stride=100),),
    triggers=(triggers.Decayed(),),
    gates=(gates.Contract(), gates.Golden(), gates.Better()),
    rollout=Rollout(confirm_labels={confirm}),
)
"""


def stream() -> tuple[np.ndarray, np.ndarray]:
    """Two features; the first decides, and from row TURN on it decides the other way round; one label in ten wrong."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 2))
    y = (x[:, 0] > 0) ^ (np.arange(ROWS) >= TURN) ^ (random.random(ROWS) < 0.1)
    return x, y.astype(int)


def play(folder: Path, *, recipe: str = "", confirm: int = 0, store: str = "store", **terms: object) -> Replayed:
    x, y = stream()
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    (folder / "turned_service.py").write_text(FILE.format(recipe=recipe, confirm=confirm))
    places = Places(folder / store)
    digest = declared(folder / "turned_service.py", places)[0].specification
    rows = fitted(table, specification_at(digest, places))
    return replay(digest, rows, places, terms=Terms(chunk="100", periods=(1, 4), **terms))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return play(tmp_path_factory.mktemp("replay"))


def test_the_change_is_found_and_learnt(played: Replayed) -> None:
    """One decay is found right after the turn and none before; the loop recovers, a frozen model does not."""
    found = [one for one in played.happenings if one.kind == "finding"]
    assert found[0].row == TURN + 100
    assert {finding.kind.value for one in found for finding in one.findings} == {"decay"}
    by_chunk = {name: played.course(name).chunks["accuracy"] for name in ("keepfit", "never")}
    assert np.mean(by_chunk["keepfit"][-4:]) > 0.85
    assert np.mean(by_chunk["never"][-4:]) < 0.2
    assert played.course("keepfit").swaps >= 1


def test_versions_answer_from_the_chunk_after_their_swap(played: Replayed) -> None:
    """No Version answers a chunk it could have seen a label of: numbers change only after a swap, one chunk later."""
    swaps = [one for one in played.happenings if one.kind == "swap" and one.row > FIRST]
    changes = [
        played.chunks[place].start + FIRST
        for place in range(1, len(played.versions))
        if played.versions[place] != played.versions[place - 1]
    ]
    assert changes == [one.row for one in swaps]


def test_every_n_is_what_scikit_learn_gives(played: Replayed) -> None:
    """The baseline *every 1* equals fitting by hand on the last 400 labelled rows before each chunk."""
    x, y = stream()
    right = []
    for start in range(FIRST, ROWS, 100):
        known = slice(max(0, start - 400), start) if start > FIRST else slice(0, FIRST)
        model = LogisticRegression().fit(x[known], y[known])
        right.append(model.predict(x[start : start + 100]) == y[start : start + 100])
    course = played.course("every 1")
    assert course.total["accuracy"] == pytest.approx(np.concatenate(right).mean(), abs=1e-12)
    assert course.chunks["accuracy"] == pytest.approx([part.mean() for part in right], abs=1e-12)
    assert (course.updates, played.course("every 4").updates, played.course("never").updates) == (19, 4, 0)


def test_last_label_repeats_the_newest_known(played: Replayed) -> None:
    """The baseline *last label* answers a whole chunk with the label of the row before it."""
    _, y = stream()
    said = np.concatenate([np.full(100, y[start - 1]) for start in range(FIRST, ROWS, 100)])
    assert played.course("last label").total["accuracy"] == pytest.approx((said == y[FIRST:]).mean(), abs=1e-12)


def test_labels_a_chunk_late_cost_a_chunk(tmp_path: Path, played: Replayed) -> None:
    """With labels one chunk late the same change is found one chunk later."""
    late = play(tmp_path, delay=1)
    first = next(one for one in late.happenings if one.kind == "finding")
    assert first.row == next(one for one in played.happenings if one.kind == "finding").row + 100


def test_same_seed_same_result(tmp_path: Path, played: Replayed) -> None:
    """All but the measured cost comes out the same again, in another place."""
    again = play(tmp_path)
    assert again.happenings == played.happenings
    assert again.versions == played.versions
    assert [(one.name, one.total, one.chunks, one.updates) for one in again.courses] == [
        (one.name, one.total, one.chunks, one.updates) for one in played.courses
    ]


def test_refit_goes_live_with_all_rows(tmp_path: Path, played: Replayed) -> None:
    """With `refit` the Version that goes live is the estimator fitted on held-out rows as well."""
    x, y = stream()
    found = play(tmp_path, recipe=", refit=True")
    assert found.course("keepfit").rows > played.course("keepfit").rows
    chunk = next(place for place, number in enumerate(found.versions) if number == found.versions[-1])
    start = found.chunks[chunk].start + FIRST
    model = LogisticRegression().fit(x[start - 400 : start], y[start - 400 : start])
    expected = (model.predict(x[start : start + 100]) == y[start : start + 100]).mean()
    assert found.course("keepfit").chunks["accuracy"][chunk] == pytest.approx(expected)


def test_a_store_is_used_once(tmp_path: Path) -> None:
    """A store that has seen this Service is refused: its facts would mix with the replay's."""
    play(tmp_path)
    with pytest.raises(Conflict, match="store of its own"):
        play(tmp_path)
