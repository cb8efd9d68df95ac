"""What a learner remembers goes from update to update, in the loop and in the baselines beside it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from keepfit.core.facts import VersionRegistered
from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.declare.given import fitted
from keepfit.learn import memory as memories
from keepfit.loop.replay import Replayed, Terms, replay
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger

ROWS, FIRST, BACK = 1600, 400, 1200
"""A world until row 800, another one until row BACK, then the first again."""

FILE = """
from keepfit import Recipe, Rollout, Service, Window, gates, learners, triggers
from keepfit.data.read import read
from pathlib import Path
from sklearn.linear_model import LogisticRegression

def first():
    return read(Path(__file__).parent / "rows.csv").slice(0, 400)

back = Service(
    name="back", estimator=LogisticRegression(), data=first, label="y", metric="accuracy",
    recipe=Recipe(holdout=20, refit=True, learner=learners.Reuse(otherwise=learners.Refit(newest=300))),
    triggers=(triggers.Labels(100),), gates=(gates.Contract(), gates.Golden()), rollout=Rollout(confirm_labels=0),
)
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Replayed, Places]:
    folder = tmp_path_factory.mktemp("back")
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, 2))
    other = (np.arange(ROWS) >= 800) & (np.arange(ROWS) < BACK)
    y = ((x[:, 0] + 0.3 * random.normal(size=ROWS) > 0) ^ other).astype(int)
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    (folder / "back_service.py").write_text(FILE)
    places = Places(folder / "store")
    digest = declared(folder / "back_service.py", places)[0].specification
    rows = fitted(table, specification_at(digest, places))
    return replay(digest, rows, places, terms=Terms(chunk="100", periods=(1,))), places


@pytest.mark.parametrize("policy", ["keepfit", "every 1"])
def test_the_model_of_the_past_answers_one_chunk_after_its_world_is_back(
    played: tuple[Replayed, Places], policy: str
) -> None:
    """A refit on the newest 300 rows would have learnt mostly the world before; the remembered one is right at once."""
    by_chunk = played[0].course(policy).chunks["accuracy"]
    back = (BACK - FIRST) // 100
    assert by_chunk[back] < 0.3, "the return cannot be foreseen"
    assert by_chunk[back + 1] > 0.8


def test_every_version_has_the_memory_it_left(played: tuple[Replayed, Places]) -> None:
    """Beside each Version lies a memory that tells what was reused and what every stored model had lost."""
    places = played[1]
    registered = [row.fact for row in Ledger(places.ledger).facts("back", VersionRegistered)]
    told = [memories.load(Trees(places.trees).path(one.memory), "Reuse") for one in registered]
    assert len(told) >= 3
    assert int(told[0].arrays["reused"]) == -1
    assert any(int(one.arrays["reused"]) >= 0 for one in told)
    assert all(len(one.arrays["lost"]) == len(one.arrays["levels"]) for one in told)
