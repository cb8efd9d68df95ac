"""A Network is an estimator like any other: cloned, pickled, updated, converted, and deaf to what it was not given."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pandas")
pytest.importorskip("sklearn")

import pandas as pd
import torch
from sklearn.base import clone

import lessons
from keepfit.core.errors import Refused, SpecInvalid
from keepfit.core.nouns import Lesson, Task
from keepfit.core.service import Recipe
from keepfit.core.signature import DType, Field
from keepfit.learn import update as updates
from keepfit.learn.convert import Converted, Session
from keepfit.learn.deep import MLP, Network
from keepfit.learn.learners.fine_tune import FineTune
from keepfit.learn.learners.joint import Joint
from keepfit.learn.learners.replay import Replay
from keepfit.learn.native import answers, difference
from keepfit.learn.tables import arrays

NUMBERS = (Field("distance", DType.FP64, nullable=True), Field("wind", DType.FP32), Field("hour", DType.INT64))
SMALL = {"module": MLP((16,)), "lr": 0.01, "epochs": 5}


def rows(count: int = 300, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    X = pd.DataFrame(random.normal(size=(count, 3)), columns=list("abc"))
    return X, np.where(X["a"] > X["b"], "up", "down").astype(object)


def curious(shape: tuple[int, ...], outputs: int) -> Any:
    """A module that decides by what it sees, which no trace can follow."""
    return Curious(shape[0], outputs)


class Curious(torch.nn.Module):
    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.line = torch.nn.Linear(width, outputs)

    def forward(self, given: Any) -> Any:
        return self.line(torch.from_numpy(given.detach().numpy() * 1.0))


def test_it_is_an_estimator() -> None:
    """Cloned without what it learnt, its parameters set by name, others refused."""
    fitted = Network(**SMALL).fit(*rows())
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    assert not hasattr(fresh, "module_")
    assert fresh.set_params(lr=0.5).lr == 0.5
    with pytest.raises(SpecInvalid, match="no parameters \\['depth'\\]"):
        fresh.set_params(depth=3)
    with pytest.raises(SpecInvalid, match="expected one of"):
        Network(optimiser="magic").fit(*rows())


def test_a_pickle_answers_the_same() -> None:
    """Bit by bit, classes in the order given."""
    X, y = rows()
    fitted = Network(**SMALL).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301  # made in this line
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.predict(X).tolist() == fitted.predict(X).tolist()
    assert fitted.classes_.tolist() == ["down", "up"]
    assert (fitted.predict(X) == y).mean() > 0.9


PROGRAM = """
import hashlib, pickle, sys
sys.path[:0] = sys.argv[1:]
from test_deep_network import *
print(hashlib.sha256(pickle.dumps(Network(**SMALL).fit(*rows()))).hexdigest())
"""


def test_two_processes_make_the_same_bytes() -> None:
    """So that a Run that is made again has the same digest."""
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", PROGRAM, str(here), str(here.parents[1])]
    made = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
    assert made[0] == made[1]
    assert len(made[0].strip()) == 64


def test_a_recipe_is_read_without_torch() -> None:
    """Where nothing is trained a learner is made, stored and read back, and torch stays away: it takes seconds."""
    program = """
import sys
from keepfit.core import registry
from keepfit.learn.learners.fine_tune import FineTune
for name in registry.names("keepfit.learners"):
    kind = registry.load("keepfit.learners", name)
    assert not issubclass(kind, FineTune) or registry.from_plain(kind, registry.to_plain(kind())) == kind()
print("torch" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "False"


def test_numbers_of_any_size_are_predicted() -> None:
    """Millions with a spread of thousands, from inputs of other sizes, some missing."""
    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(5e5, 1e4, 500), "b": random.normal(size=500)})
    y = (X["a"] - 5e5) * 0.3 + 4e6
    X.loc[::50, "b"] = np.nan
    fitted = Network(**{**SMALL, "epochs": 30}).fit(X, y.to_numpy())
    assert not hasattr(fitted, "classes_")
    assert np.abs(fitted.predict(X) - y).mean() < 300


def test_a_class_never_seen_has_its_place() -> None:
    """Its column is there from the beginning; a parent that knows other classes is not gone on from."""
    X, y = rows()
    lesson = Lesson(X=X, y=y, classes=("down", "left", "up"))
    learnt = FineTune().learn(Network(**SMALL), lesson).model
    shares = learnt.predict_proba(X)
    assert shares.shape == (300, 3)
    assert "left" not in learnt.predict(X)
    assert learnt.seen_.tolist() == [True, False, True]
    with pytest.raises(Refused, match="begin again from scratch"):
        FineTune().learn(Network(**SMALL), Lesson(X=X, y=y, classes=("down", "up"), parent=learnt))


def test_more_rows_by_hand() -> None:
    """`partial_fit` goes on where it was, as fine-tuning does; `fit` begins anew, also for another kind of answer."""
    X, y = rows()
    first = Network(**SMALL).partial_fit(X, y)
    parent = pickle.loads(pickle.dumps(first))  # noqa: S301  # made in this line
    more = rows(seed=1)
    lesson = Lesson(X=more[0], y=more[1], classes=("down", "up"), parent=parent)
    np.testing.assert_array_equal(
        first.partial_fit(*more).predict_proba(X), FineTune().learn(Network(**SMALL), lesson).model.predict_proba(X)
    )
    assert not hasattr(first.fit(X, X["a"].to_numpy()), "classes_")


def test_heads_let_only_the_classes_of_a_task_compete() -> None:
    """The column that names the task chooses among its classes; a task never seen has all of them."""
    random = np.random.default_rng(0)
    X = pd.DataFrame({"task": random.integers(0, 2, 400), "a": random.normal(size=400)})
    y = X["task"].to_numpy() * 2 + (X["a"].to_numpy() > 0)
    fitted = Network(**{**SMALL, "heads": "task", "epochs": 20}).fit(X, y)
    shares = fitted.predict_proba(X)
    assert shares[X["task"] == 0, 2:].max() == 0
    assert shares[X["task"] == 1, :2].max() == 0
    assert (fitted.predict(X) == y).mean() > 0.95
    assert fitted.shape_ == (1,)
    unknown = fitted.predict_proba(X.assign(task=7))
    assert unknown.min() > 0


def test_text_is_refused() -> None:
    """With what to do about it."""
    X, y = rows()
    with pytest.raises(Refused, match="numbers only"):
        Network(**SMALL).fit(X.assign(c="word"), y)


def test_another_estimator_is_refused() -> None:
    """A learner of networks says what it teaches."""
    from sklearn.linear_model import SGDClassifier

    X, y = rows()
    with pytest.raises(Refused, match="the Service declares a SGDClassifier") as refused:
        FineTune().learn(SGDClassifier(), Lesson(X=X, y=y, classes=("down", "up")))
    assert refused.value.code == "not_a_network"


def test_the_process_is_left_as_it_was() -> None:
    """Global random numbers and threads are the same after fitting, predicting and unpickling."""
    X, y = rows()
    torch.manual_seed(3)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    fitted = Network(**{**SMALL, "module": MLP((8,), dropout=0.5), "n_jobs": threads + 1}).fit(X, y)
    pickle.loads(pickle.dumps(fitted)).predict(X)  # noqa: S301  # made in this line
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("task", "classes"), [(Task.BINARY, (0, 1)), (Task.MULTICLASS, ("a", "b", "c")), (Task.REGRESSION, ())]
)
def test_an_update_serves_it_as_a_graph(tmp_path: Path, task: Task, classes: tuple[Any, ...]) -> None:
    """The Bundle of a Network is ONNX, which agrees with it, also where a number is missing; its memory lies beside."""
    specification = lessons.specification(task, classes, inputs=NUMBERS, recipe=Recipe(learner=Replay(rows=100)))
    inputs = lessons.rows(1500, 1)
    table = lessons.table(inputs, lessons.labels(task, inputs, 1, classes))
    train, holdout = table.slice(0, 1200), table.slice(1200)
    folders = updates.Folders(into=tmp_path / "one", left=tmp_path / "left")
    bundle = updates.update(specification, Network(**SMALL), train=train, holdout=holdout, folders=folders)
    assert (bundle.runtime, bundle.note) == ("onnx", "")
    fitted = updates.opened(tmp_path / "one")
    held = arrays(holdout, NUMBERS)
    session = Session(Converted((tmp_path / "one" / "model.onnx").read_bytes(), bundle.columns), specification)
    native = answers(fitted, specification, held)
    assert difference(native, session(held)) < 1e-5 * max(
        1.0, float(np.std(native["prediction"].astype(float))) if not classes else 1.0
    )
    more = updates.Folders(
        into=tmp_path / "two", left=tmp_path / "left2", parent=tmp_path / "one", memory=tmp_path / "left"
    )
    updates.update(specification, Network(**SMALL), train=holdout, holdout=holdout, folders=more)
    assert sorted(path.name for path in (tmp_path / "left2").iterdir()) == ["arrays.npz", "memory.json", "rows.arrow"]


def test_what_torch_cannot_export_is_served_natively(tmp_path: Path) -> None:
    """A graph that does not answer as the network does is not served; the note says so, the memory is there as well."""
    specification = lessons.specification(inputs=NUMBERS, recipe=Recipe(learner=Replay(rows=50)))
    inputs = lessons.rows(400, 1)
    table = lessons.table(inputs, lessons.labels(Task.BINARY, inputs, 1, (0, 1)))
    folders = updates.Folders(into=tmp_path / "one", left=tmp_path / "left")
    odd = Network(module=curious, epochs=2)
    bundle = updates.update(specification, odd, train=table, holdout=table, folders=folders)
    assert bundle.runtime == "python"
    assert bundle.note.startswith("served natively")
    held = arrays(table, NUMBERS)
    fitted = updates.opened(tmp_path / "one")
    assert answers(fitted, specification, held)["probability"].shape == (400,)


@pytest.mark.parametrize("standardise", [True, False])
def test_a_matrix_is_served_as_a_graph(tmp_path: Path, standardise: bool) -> None:
    """One tensor per record, as images are."""
    network = Network(**SMALL, standardise=standardise)
    random = np.random.default_rng(0)
    specification = lessons.specification(inputs=lessons.MATRIX, recipe=Recipe(learner=Joint()))
    inputs = {"x": random.normal(size=(600, 8)).astype(np.float32)}
    table = lessons.table(inputs, (inputs["x"].sum(axis=1) > 0).astype(int))
    folders = updates.Folders(into=tmp_path / "one", left=tmp_path / "left")
    bundle = updates.update(specification, network, train=table, holdout=table, folders=folders)
    assert (bundle.runtime, bundle.note) == ("onnx", "")
    again = replace(
        folders, into=tmp_path / "two", left=tmp_path / "left2", parent=tmp_path / "one", memory=tmp_path / "left"
    )
    updates.update(specification, network, train=table, holdout=table, folders=again)
