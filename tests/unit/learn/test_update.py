"""Update writes a whole Bundle, the same bytes for the same arguments, and refuses what nothing can be learnt from."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import lessons
from keepfit.core.errors import DataInvalid, Refused
from keepfit.core.nouns import LABEL, Base, Bundle, Resources, Task
from keepfit.core.registry import from_plain
from keepfit.core.service import Recipe, Specification
from keepfit.core.signature import DType, Field
from keepfit.learn.convert import Converted, Session
from keepfit.learn.learners import WarmStart
from keepfit.learn.native import answers, threads
from keepfit.learn.tables import arrays
from keepfit.learn.update import Folders, opened, update

pytest.importorskip("sklearn")

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler


def boosting() -> Any:
    return HistGradientBoostingClassifier(categorical_features=lessons.WORDS, max_iter=20)


def line(final: Any, **encoder: Any) -> Any:
    steps = ColumnTransformer(
        [
            ("words", OneHotEncoder(**{"handle_unknown": "ignore", **encoder}), lessons.WORDS),
            ("numbers", SimpleImputer(), lessons.NUMBERS),
        ],
        sparse_threshold=0,
    )
    return make_pipeline(steps, StandardScaler(), final)


def datasets(task: Task = Task.BINARY, classes: tuple[Any, ...] = (0, 1)) -> tuple[pa.Table, pa.Table]:
    """Rows to train on, and later ones."""
    inputs = lessons.rows(1500, 1)
    found = lessons.table(inputs, lessons.labels(task, inputs, 1, classes))
    return found.slice(0, 1200), found.slice(1200)


def updated(into: Path, estimator: Any = None, **more: Any) -> Bundle:
    train, holdout = datasets()
    given: dict[str, Any] = {"train": train, "holdout": holdout, **more}
    specification = given.pop("specification", lessons.specification())
    read = {name: given.pop(name) for name in ("parent", "code", "memory") if name in given}
    folders = Folders(into=into, left=into.with_name(f"{into.name}-memory"), **read)
    return update(specification, boosting() if estimator is None else estimator, folders=folders, **given)


def read(directory: Path) -> Bundle:
    return from_plain(Bundle, msgspec.json.decode((directory / "bundle.json").read_bytes()))


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_the_directory_says_all_that_serving_needs(tmp_path: Path) -> None:
    """Manifest, graph, estimator, golden examples and reference: together, and agreeing with each other."""
    train, _ = datasets()
    specification = lessons.specification()
    bundle = updated(tmp_path / "b")
    assert bundle == read(tmp_path / "b")
    assert (bundle.runtime, bundle.note, bundle.classes) == ("onnx", "", (0, 1))
    assert bundle.parity is not None
    assert bundle.parity < 1e-6
    assert bundle.signature == specification.signature
    session = Session(Converted((tmp_path / "b" / "model.onnx").read_bytes(), bundle.columns), specification)
    for name, most in (("golden", 32), ("reference", 1200)):
        rows = pq.read_table(tmp_path / "b" / f"{name}.parquet")
        assert rows.num_rows == most
        assert rows.column_names == [*(f.name for f in lessons.FIELDS), "_out_prediction", "_out_probability"]
        found = session(arrays(rows, lessons.FIELDS))
        np.testing.assert_array_equal(found["probability"], rows["_out_probability"].to_numpy())
        np.testing.assert_array_equal(found["prediction"], rows["_out_prediction"].to_numpy())
    for name in ("dest", "distance"):
        np.testing.assert_array_equal(rows[name].to_numpy(), train[name].to_numpy())
    estimator = pickle.loads((tmp_path / "b" / "estimator.pickle").read_bytes())  # noqa: S301 - made two lines above
    held = lessons.rows(100, 9)
    np.testing.assert_allclose(
        answers(estimator, specification, held)["probability"], session(held)["probability"], atol=1e-6
    )


PROGRAM = """
import sys; from pathlib import Path
sys.path[:0] = sys.argv[2:]
import test_update; test_update.updated(Path(sys.argv[1]))
"""


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Two processes with different hash seeds write the same directory, byte by byte."""
    here = Path(__file__).resolve().parent
    for seed in ("1", "2"):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / seed), str(here), str(here.parents[1])]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    assert digests(tmp_path / "1") == digests(tmp_path / "2")
    assert len(digests(tmp_path / "1")) == 7


def test_the_seed_is_part_of_the_recipe(tmp_path: Path) -> None:
    """Another seed makes another model, the same seed the same, though the estimator has no random_state."""
    made = [
        updated(
            tmp_path / str(place),
            line(SGDClassifier(loss="log_loss")),
            specification=lessons.specification(recipe=Recipe(seed=seed)),
        )
        for place, seed in enumerate((1, 1, 2))
    ]
    assert made[0] == made[1]
    models = [digests(tmp_path / str(place))["model.onnx"] for place in range(3)]
    assert models[0] == models[1] != models[2]


def test_a_pipeline_with_python_code_is_served_natively(tmp_path: Path) -> None:
    """What cannot be converted has no graph, its own answers as examples, and a note that says why."""
    estimator = line(make_pipeline(FunctionTransformer(np.tanh), LogisticRegression()))
    bundle = updated(tmp_path / "b", estimator)
    assert (bundle.runtime, bundle.parity, bundle.columns) == ("python", None, ())
    assert "FunctionTransformer(tanh) is Python code" in bundle.note
    assert not (tmp_path / "b" / "model.onnx").exists()
    rows = pq.read_table(tmp_path / "b" / "golden.parquet")
    native = answers(opened(tmp_path / "b"), lessons.specification(), arrays(rows, lessons.FIELDS))
    np.testing.assert_array_equal(native["probability"], rows["_out_probability"].to_numpy())


class Drifting(LogisticRegression):  # type: ignore[misc]  # scikit-learn is untyped
    """Answers something else than its coefficients say."""

    __module__ = "sklearn.linear_model._logistic"

    def predict_proba(self, X: Any) -> Any:
        found = super().predict_proba(X)
        return np.stack([found[:, 0] + 0.01, found[:, 1] - 0.01], axis=1)


def test_a_conversion_that_disagrees_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parity beyond the tolerance serves the estimator itself, with the difference in the note and in the manifest."""
    Drifting.__name__ = Drifting.__qualname__ = "LogisticRegression"
    monkeypatch.setattr("sklearn.linear_model._logistic.LogisticRegression", Drifting)  # so that it can be pickled
    bundle = updated(tmp_path / "b", line(Drifting()))
    assert bundle.runtime == "python"
    assert bundle.parity == pytest.approx(0.01, abs=1e-5)
    assert "differs by 0.01" in bundle.note


def test_what_the_estimator_refuses_and_the_graph_answers_is_noted(tmp_path: Path) -> None:
    """An encoder that raises on unknown words becomes one that does not: the manifest says so."""
    bundle = updated(tmp_path / "b", line(LogisticRegression(), handle_unknown="error"))
    assert bundle.runtime == "onnx"
    assert "a text never seen in 'dest'" in bundle.note


def test_what_both_refuse_is_not_noted(tmp_path: Path) -> None:
    """A gap raises in a line without imputing and makes the graph answer NaN, which no runner passes on."""
    gapless = ColumnTransformer([("numbers", StandardScaler(), ["distance", "wind"])])
    train, holdout = (part.filter(pc.invert(pc.is_nan(part["distance"]))) for part in datasets())
    bundle = updated(tmp_path / "b", make_pipeline(gapless, LogisticRegression()), train=train, holdout=holdout)
    assert (bundle.runtime, bundle.note) == ("onnx", "")


def test_code_travels_with_the_bundle(tmp_path: Path) -> None:
    """The snapshot needed to open the pickle is inside; what Python leaves behind is not."""
    code = tmp_path / "code"
    (code / "__pycache__").mkdir(parents=True)
    (code / "__pycache__" / "service.pyc").write_bytes(b"x")
    (code / "service.py").write_text("x = 1\n")
    updated(tmp_path / "b", code=code)
    assert [name for name in digests(tmp_path / "b") if name.startswith("code")] == ["code/service.py"]


def test_warm_updates_go_on_from_the_parent(tmp_path: Path) -> None:
    """`Base.WARM` hands the parent's estimator to the learner; from scratch it is not even opened."""
    warm = lessons.specification(recipe=Recipe(base=Base.WARM))
    estimator = line(SGDClassifier(loss="log_loss"))
    updated(tmp_path / "1", estimator, specification=warm)
    updated(tmp_path / "2", estimator, specification=warm, parent=tmp_path / "1")
    first, second = opened(tmp_path / "1"), opened(tmp_path / "2")
    assert second[-1].t_ == first[-1].t_ + 1200
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "estimator.pickle").write_bytes(b"no pickle")
    updated(tmp_path / "3", estimator, parent=broken)
    with pytest.raises(Refused, match="parent's estimator cannot be loaded"):
        updated(tmp_path / "4", estimator, specification=warm, parent=broken)
    on = lessons.specification(recipe=Recipe(learner=WarmStart()))
    updated(tmp_path / "5")
    with pytest.raises(Refused, match="bins them anew"):
        updated(tmp_path / "6", parent=tmp_path / "5", specification=on)


def test_a_matrix_model(tmp_path: Path) -> None:
    """One FP32 tensor per record: the estimator gets a matrix, golden examples keep its shape."""
    x = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    found = lessons.table({"x": x, "hour": np.arange(900)}, (x[:, 0] > x[:, 1]).astype(int))
    specification = lessons.specification(inputs=lessons.MATRIX)
    estimator = GradientBoostingClassifier(n_estimators=10)
    bundle = updated(tmp_path / "b", estimator, train=found[:700], holdout=found[700:], specification=specification)
    assert (bundle.runtime, bundle.columns) == ("onnx", (("x", ("x",)),))
    golden = pq.read_table(tmp_path / "b" / "golden.parquet")
    assert arrays(golden, lessons.MATRIX)["x"].shape == (32, 8)


def test_a_number_is_predicted_within_its_own_scale(tmp_path: Path) -> None:
    """The tolerance of a regressor is a share of the spread of its answers, not of one."""
    train, holdout = datasets(Task.REGRESSION, ())
    bundle = updated(
        tmp_path / "b",
        HistGradientBoostingRegressor(categorical_features=lessons.WORDS, max_iter=20),
        train=train,
        holdout=holdout,
        specification=lessons.specification(Task.REGRESSION, ()),
    )
    spread = float(np.std(holdout[LABEL].to_numpy()))
    assert bundle.runtime == "onnx"
    assert 1e-5 * spread < bundle.tolerance < 1e-3 * spread
    assert bundle.parity is not None
    assert bundle.parity < bundle.tolerance / 10


def relabelled(labels: Any, kind: pa.DataType | None = None) -> pa.Table:
    train, _ = datasets()
    return train.set_column(train.column_names.index(LABEL), LABEL, pa.array(labels, kind))


BAD: dict[str, tuple[pa.Table, Any, Specification, str]] = {
    "no rows": (datasets()[0].slice(0, 0), None, lessons.specification(), "no row to train on"),
    "one class": (relabelled([1] * 1200), None, lessons.specification(), "all 1200 training rows have the label 1"),
    "new class": (relabelled([1, 0, 7] * 400), None, lessons.specification(), r"labels \[7\] are none of the classes"),
    "raising": (
        datasets()[0],
        make_pipeline(StandardScaler(), LogisticRegression()),
        lessons.specification(),
        "could not learn",
    ),
    "no probabilities": (datasets()[0], line(SGDClassifier()), lessons.specification(), "no predict_proba"),
    "NaN labels": (
        relabelled([float("nan"), 1.0] * 600),
        HistGradientBoostingRegressor(categorical_features=lessons.WORDS),
        lessons.specification(Task.REGRESSION, ()),
        "NaN or infinite",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_learnt_is_refused(tmp_path: Path, what: str) -> None:
    """Each with a sentence, and no Bundle is left behind."""
    train, estimator, specification, sentence = BAD[what]
    with pytest.raises(Refused, match=sentence):
        updated(tmp_path / "b", estimator, train=train, specification=specification)
    assert not (tmp_path / "b" / "bundle.json").exists()


class Broken(DummyClassifier):  # type: ignore[misc]  # scikit-learn is untyped
    """Answers NaN."""

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), 2), np.nan)


def test_a_model_that_answers_nan_is_refused(tmp_path: Path) -> None:
    """Nothing that answers NaN on held-out rows becomes a candidate."""
    with pytest.raises(Refused, match="NaN or infinity: 300 of 300 values of 'probability'"):
        updated(tmp_path / "b", Broken())


def test_rows_that_do_not_fit_are_told_by_name(tmp_path: Path) -> None:
    """An absent column, an absent label and a gap where none may be are named."""
    train, _ = datasets()
    with pytest.raises(DataInvalid, match=r"lacks the columns \['dest'\]"):
        updated(tmp_path / "b", train=train.drop_columns(["dest"]))
    with pytest.raises(DataInvalid, match="no column '_label'"):
        updated(tmp_path / "b", train=train.drop_columns([LABEL]))
    with pytest.raises(DataInvalid, match="1 of 1200 rows have no label"):
        updated(tmp_path / "b", train=relabelled([None] + [0, 1] * 599 + [0]))
    gap = pa.array([None] + [1] * 1199, pa.int64())
    with pytest.raises(DataInvalid, match="'hour' has 1 missing values"):
        updated(tmp_path / "b", train=train.set_column(train.column_names.index("hour"), "hour", gap))


def test_a_gap_in_a_number_or_a_word_is_its_missing_value() -> None:
    """Nulls become NaN and the empty text; dictionaries and large strings are read as text."""
    fields = (Field("a", DType.FP64, nullable=True), Field("b", DType.BYTES, nullable=True))
    words = pa.array(["x", None, "x"]).dictionary_encode()
    found = arrays(pa.table({"a": pa.array([1.0, None, 3.0]), "b": words}), fields)
    np.testing.assert_array_equal(found["a"], [1.0, np.nan, 3.0])
    assert found["b"].tolist() == ["x", "", "x"]


class Counting(DummyClassifier):  # type: ignore[misc]  # scikit-learn is untyped
    """Notes how many threads numerical libraries may use while it is fitted."""

    def __init__(self, n_jobs: int | None = -1) -> None:
        super().__init__()
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> Any:
        from threadpoolctl import threadpool_info

        self.seen_ = {pool["num_threads"] for pool in threadpool_info()} | {self.n_jobs}
        return super().fit(X, y)


@pytest.mark.parametrize("count", [1, 2])
def test_training_uses_the_threads_of_the_recipe(tmp_path: Path, count: int) -> None:
    """OpenMP, BLAS and `n_jobs` have the Run's threads while fitting, and one afterwards, for single rows."""
    recipe = Recipe(resources=Resources(threads=count))
    updated(tmp_path / "b", Counting(), specification=lessons.specification(recipe=recipe))
    fitted = opened(tmp_path / "b")
    assert fitted.seen_ == {count}
    assert fitted.n_jobs == 1


def test_threads_are_given_back() -> None:
    """The cap ends with the block, since replay trains in line."""
    from threadpoolctl import threadpool_info

    before = [pool["num_threads"] for pool in threadpool_info()]
    with threads(1):
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_the_recipe_is_in_the_manifest(tmp_path: Path) -> None:
    """What a Version was made by can be read from it."""
    recipe = Recipe(seed=5, resources=Resources(threads=1))
    bundle = updated(tmp_path / "b", specification=lessons.specification(recipe=recipe))
    assert from_plain(Recipe, msgspec.json.decode(bundle.recipe)) == recipe
    assert replace(bundle, recipe="").environment == "env"
