"""Boosters: XGBoost's and LightGBM's own files are answered as their libraries do, and damage ends no process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frameworks
from keepfit.core.errors import Refused
from keepfit.core.nouns import Bundle, Task
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.runtimes.lightgbm import Lightgbm
from keepfit.serve.runtimes.xgboost import Xgboost

X, Y = frameworks.data()
TENSOR = (Field("x", DType.FP32, (frameworks.WIDTH,)),)
RAW = Signature(TENSOR, (Field("y", DType.FP32),))
MANGLED = """
import random, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from keepfit.core.errors import Refused
from keepfit.core import registry
from keepfit.serve.loading import golden
from keepfit.serve.manifest import manifest
directory, name, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
bundle = manifest(directory)
inputs, _ = golden(directory, bundle)
runtime, whole = registry.load("keepfit.runtimes", bundle.runtime)(), (directory / name).read_bytes()
refused = 0
for turn in range(rounds):
    chance = random.Random(turn)
    data, place = bytearray(whole), chance.randrange(len(whole))
    match turn % 3:
        case 0:
            del data[place:]
        case 1:
            data[place] = chance.randrange(256)
        case _:
            data[place:place + 1] = chance.choice([b"9", b"99", b"-1", b"-", b"1e9"])
    (directory / name).write_bytes(data)
    try:
        predictor = runtime.load(directory, bundle)
    except Refused:
        refused += 1
        continue
    try:
        predictor.predict(inputs)
    except Exception as error:
        assert type(error).__name__ == "ModelFault", repr(error)
print("survived", refused)
"""


@pytest.mark.parametrize(
    ("maker", "name"), [("xgboost", "model.ubj"), ("xgboost-json", "model.json"), ("lightgbm", "model.txt")]
)
def test_damage_ends_no_process(tmp_path: Path, maker: str, name: str) -> None:
    """Files cut short or altered anywhere are refused, or answer something; the process that opens them lives on."""
    directory = frameworks.MAKERS[maker.partition("-")[0]](tmp_path / "bundle")
    if maker == "xgboost-json":
        (directory / "model.ubj").unlink()
        frameworks.xgboost_model(directory / "model.json")
    command = [sys.executable, "-c", MANGLED, str(directory), name, "240"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    word, refused = done.stdout.split()
    assert word == "survived"
    assert int(refused) >= 80  # a third is cut short


@pytest.mark.parametrize("objective", ["binary:logistic", "binary:logitraw"])
def test_xgboost_probabilities(tmp_path: Path, objective: str) -> None:
    """The probability is the model's, also where it answers margins; missing values go their way."""
    import xgboost

    booster = frameworks.xgboost_model(tmp_path / "model.json", objective=objective)
    holes = X.astype(np.float32)
    holes[::3, 1] = np.nan
    expected = booster.predict(xgboost.DMatrix(holes))
    expected = 1 / (1 + np.exp(-expected)) if objective == "binary:logitraw" else expected
    answer = Xgboost().load(tmp_path, frameworks.plain("xgboost")).predict(frameworks.columns(holes))
    np.testing.assert_allclose(answer["probability"], expected, atol=1e-6)
    np.testing.assert_array_equal(answer["prediction"], expected > 0.5)


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_xgboost_with_three_classes(tmp_path: Path, objective: str) -> None:
    """One probability a class, and the Bundle's names for them."""
    import xgboost

    booster = frameworks.xgboost_model(tmp_path / "model.ubj", objective=objective, num_class=3)
    outputs = (Field("prediction", DType.BYTES), Field("probabilities", DType.FP32, (3,)))
    made = frameworks.plain(
        "xgboost", task=Task.MULTICLASS, classes=("a", "b", "c"), signature=Signature(TENSOR, outputs)
    )
    answer = Xgboost().load(tmp_path, made).predict({"x": X.astype(np.float32)})
    np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, atol=1e-5)
    native = booster.predict(xgboost.DMatrix(X))
    chosen = native.argmax(axis=1) if objective == "multi:softprob" else native.astype(int)
    assert answer["prediction"].tolist() == [("a", "b", "c")[place] for place in chosen]


def test_numbers_and_raw_answers(tmp_path: Path) -> None:
    """A regression answers `prediction`; without a task the one output is named by the Signature."""
    import xgboost

    booster = frameworks.xgboost_model(tmp_path / "model.ubj", objective="reg:squarederror")
    expected = booster.predict(xgboost.DMatrix(X))
    for task, name in ((Task.REGRESSION, "prediction"), (None, "score")):
        made = frameworks.plain("xgboost", task=task, signature=Signature(TENSOR, (Field(name, DType.FP32),)))
        answer = Xgboost().load(tmp_path, made).predict({"x": X.astype(np.float32)})
        np.testing.assert_allclose(answer[name], expected, rtol=1e-6)


def test_the_best_iteration_of_scikit_learns_wrapper_is_kept(tmp_path: Path) -> None:
    """What stopped early answers with as many trees as its own predict does."""
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=2, learning_rate=0.9, n_jobs=1)
    model.fit(X[:200], Y[:200] > 0, eval_set=[(X[200:], Y[200:] > 1)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(tmp_path / "model.ubj")
    answer = Xgboost().load(tmp_path, frameworks.plain("xgboost")).predict(frameworks.columns(X))
    np.testing.assert_allclose(answer["probability"], model.predict_proba(X)[:, 1], atol=1e-6)


def test_features_are_found_by_name(tmp_path: Path) -> None:
    """Inputs in another order than the model's reach the right features; some other name is refused."""
    import xgboost

    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, Y, feature_names=list("edcba")), 3)
    booster.save_model(tmp_path / "model.ubj")
    made = frameworks.plain("xgboost", task=Task.REGRESSION)
    fields = (made.signature.inputs, (Field("prediction", DType.FP32),))
    made = frameworks.plain("xgboost", task=Task.REGRESSION, signature=Signature(*fields))
    answer = Xgboost().load(tmp_path, made).predict(frameworks.columns(X[:, ::-1]))
    expected = booster.predict(xgboost.DMatrix(X, feature_names=list("edcba")))
    np.testing.assert_allclose(answer["prediction"], expected, rtol=1e-6)
    renamed = (Field("z", DType.FP64), *fields[0][1:])
    with pytest.raises(Refused, match="in one of them only"):
        Xgboost().load(tmp_path, frameworks.plain("xgboost", signature=Signature(renamed, fields[1])))


def _wrong(**fields: Any) -> Bundle:
    return frameworks.plain("xgboost", **fields)


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (_wrong(task=Task.MULTICLASS, classes=(0, 1, 2)), "3 probabilities"),
        (_wrong(task=Task.REGRESSION), "one number"),
        (
            _wrong(signature=Signature((Field("x", DType.FP32, (4,)),), frameworks.BINARY)),
            "takes 5 features",
        ),
        (_wrong(signature=Signature((Field("x", DType.BYTES),), frameworks.BINARY)), "is text"),
        (_wrong(task=None, threshold=0.3, signature=RAW), "only a binary task"),
    ],
)
def test_what_the_model_cannot_answer_is_refused(tmp_path: Path, bundle: Bundle, words: str) -> None:
    """A Bundle that asks for what its booster does not give is refused at loading."""
    frameworks.xgboost_model(tmp_path / "model.ubj")
    with pytest.raises(Refused, match=words):
        Xgboost().load(tmp_path, bundle)


@pytest.mark.parametrize("name", ["model.bin", "model.ubj"])
def test_the_removed_binary_format_is_named(tmp_path: Path, name: str) -> None:
    """By its name or by its first bytes, and with what to do."""
    (tmp_path / name).write_bytes(b"binf" + bytes(400))
    with pytest.raises(Refused, match=r"removed.*save it") as caught:
        Xgboost().load(tmp_path, frameworks.plain("xgboost"))
    assert caught.value.code == "removed_format"


def test_lightgbm_knows_words_as_pandas_did(tmp_path: Path) -> None:
    """Text of a categorical column answers as the DataFrame it was trained with; an unknown word as a missing one."""
    import lightgbm
    import pandas as pd

    words = np.array(["Oslo", "Rome", "Bonn"], object)[np.arange(frameworks.ROWS) % 3]
    frame = pd.DataFrame({"n": X[:, 0], "city": pd.Categorical(words)})
    label = (words == "Rome") + X[:, 0]
    params = {"objective": "regression", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(params, lightgbm.Dataset(frame, label), 10)
    booster.save_model(tmp_path / "model.txt")
    inputs = (Field("city", DType.BYTES, nullable=True), Field("n", DType.FP64))
    made = frameworks.plain(
        "lightgbm", task=Task.REGRESSION, signature=Signature(inputs, (Field("prediction", DType.FP64),))
    )
    predictor = Lightgbm().load(tmp_path, made)
    answer = predictor.predict({"n": X[:, 0], "city": words})["prediction"]
    np.testing.assert_allclose(answer, booster.predict(frame), rtol=1e-12)
    unknown = pd.DataFrame({"n": X[:3, 0], "city": pd.Categorical([None] * 3, categories=frame["city"].cat.categories)})
    strange = predictor.predict({"n": X[:3, 0], "city": np.array(["Mars", "", "x"], object)})["prediction"]
    np.testing.assert_allclose(strange, booster.predict(unknown), rtol=1e-12)


def test_a_lightgbm_file_of_others(shared_data: Path, tmp_path: Path) -> None:
    """A file of 2017 with categories answers what was recorded with it."""
    folder = shared_data / "models" / "treelite" / "toy_categorical"
    (tmp_path / "model.txt").write_bytes((folder / "toy_categorical_model.txt").read_bytes())
    rows = [line.split()[1:] for line in (folder / "toy_categorical.test").read_text().splitlines()]
    values = np.array([[float(pair.partition(":")[2]) for pair in row] for row in rows])
    signature = Signature((Field("x", DType.FP64, (2,)),), (Field("prediction", DType.FP64),))
    made = frameworks.plain("lightgbm", task=Task.REGRESSION, signature=signature)
    answer = Lightgbm().load(tmp_path, made).predict({"x": values})["prediction"]
    np.testing.assert_allclose(answer, np.loadtxt(folder / "toy_categorical.test.pred"), rtol=1e-12)
