"""Models that others made, and models of every framework, onboarded and answering as they should."""

from __future__ import annotations

import csv
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from keepfit.core.errors import Invalid, KeepfitError, Refused
from keepfit.core.nouns import Task
from keepfit.core.signature import DType, Field, Signature
from keepfit.edge.bundles import verify
from keepfit.edge.onboard.drafts import Onboarded, Wishes
from keepfit.edge.onboard.onboarding import onboard
from keepfit.serve.loading import load
from keepfit.store.blobs import digest_of_tree


@pytest.fixture(scope="session")
def models(shared_data: Path) -> Path:
    """The folder of model files that others made."""
    if not (shared_data / "models").is_dir():
        pytest.skip("no ../shared/data/models beside the repository")
    return shared_data / "models"


def made(path: Path, folder: Path, **wishes: Any) -> Onboarded:
    return onboard(path, Wishes(into=folder / "out", **wishes))


def predicted(directory: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    _, predictor = load(directory)
    try:
        with np.errstate(over="ignore"):  # one stored case holds numbers of 10¹⁹⁹, whose squares are looked at
            return predictor.predict(inputs)
    finally:
        predictor.close()


def tensor(path: Path) -> Any:
    values = numpy_helper.to_array(TensorProto.FromString(path.read_bytes()))
    if values.dtype.kind in "OSU":
        text = [v.decode() if isinstance(v, bytes) else str(v) for v in values.reshape(-1)]
        return np.array(text, dtype=object).reshape(values.shape)
    return values


def reproduced(case: Path, folder: Path) -> str:
    """Onboard one of ONNX's own test cases and run its stored inputs; empty where the outputs are the stored ones."""
    found = made(case, folder / case.name)
    signature = found.bundle.signature
    for data in sorted(case.glob("test_data_set_*")):
        given = {f.name: tensor(data / f"input_{n}.pb") for n, f in enumerate(signature.inputs)}
        lead = {name: values if signature.batched else values[np.newaxis] for name, values in given.items()}
        answers = predicted(found.directory, lead)
        for n, field in enumerate(signature.outputs):
            expected, answer = tensor(data / f"output_{n}.pb"), answers[field.name]
            answer = answer if signature.batched else answer[0]
            if answer.shape != expected.shape:
                return f"{case.name}: shape {answer.shape}, expected {expected.shape}"
            same = (
                np.allclose(answer, expected, rtol=1e-3, atol=1e-6, equal_nan=True)
                if expected.dtype.kind == "f"
                else np.array_equal(answer, expected)
            )
            if not same:
                return f"{case.name}: {answer}, expected {expected}"
    return ""


def test_onnx_backend_cases(models: Path, tmp_path: Path) -> None:
    """Every stored case of ONNX's own tests is accepted and gives its stored outputs; training ones are refused."""
    cases = sorted(path.parent for path in (models / "onnx").glob("*/*/model.onnx"))
    training = [case for case in cases if "gradient" in case.name]
    assert (len(cases), len(training)) == (57, 2)

    def tried(case: Path) -> str:
        try:
            return reproduced(case, tmp_path)
        except KeepfitError as error:
            return f"{error.code}: {case.name}"

    with ThreadPoolExecutor(2) as pool:
        found = [said for said in pool.map(tried, cases) if said]
    assert found == [f"training_only: {case.name}" for case in training]


def test_acumos_models(models: Path, tmp_path: Path) -> None:
    """The Iris forest answers flowers, the picture model pictures."""
    folder = models / "acumos-onnx" / "OnnxModels"
    iris = made(folder / "Iris_Model.onnx", tmp_path / "a")
    assert [field.name for field in iris.bundle.signature.outputs] == ["output_label", "output_probability"]
    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)
    answers = predicted(iris.directory, {"float_input": rows})
    assert answers["output_label"].tolist() == [0, 2]
    assert np.allclose(answers["output_probability"].sum(axis=1), 1.0, atol=1e-5)
    large = made(folder / "super_resolution_zoo.onnx", tmp_path / "b")
    assert large.bundle.signature.inputs == (Field("input", DType.FP32, (1, 224, 224)),)
    assert verify(large.directory) == 0.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acumos-onnx/OnnxModels/badModel.onnx", "declares no operator set"),
        ("acumos-onnx/OnnxModels/notModel.onnx", "no model that keepfit knows"),
        ("h2o/multi_model_iris.mojo", "JVM"),
        ("h2o/regre_model_prostate.mojo", "JVM"),
        ("onnx/simple/test_gradient_of_add/model.onnx", "training only"),
    ],
)
def test_what_cannot_be_served(models: Path, tmp_path: Path, name: str, said: str) -> None:
    """Each is refused with its reason, within five seconds of processors, and leaves nothing."""
    begin = sum(os.times()[:4])
    with pytest.raises(Refused, match=said):
        made(models / name, tmp_path)
    assert sum(os.times()[:4]) - begin < 5.0
    assert not list(tmp_path.iterdir())


def test_triton_models(models: Path, tmp_path: Path) -> None:
    """Triton's examples add and subtract, whole numbers and texts."""
    found = made(models / "triton" / "simple", tmp_path / "a")
    ones, twos = np.full((2, 16), 3, np.int32), np.full((2, 16), 2, np.int32)
    answers = predicted(found.directory, {"INPUT0": ones, "INPUT1": twos})
    assert (answers["OUTPUT0"] == 5).all()
    assert (answers["OUTPUT1"] == 1).all()
    texts = made(models / "triton" / "simple_string", tmp_path / "b")
    words = {"INPUT0": ones.astype(str).astype(object), "INPUT1": twos.astype(str).astype(object)}
    assert predicted(texts.directory, words)["OUTPUT0"].tolist() == [["5"] * 16] * 2


def test_a_lightgbm_model_of_others(models: Path, tmp_path: Path) -> None:
    """The expected predictions of a file of LightGBM 2 come out."""
    folder = models / "treelite" / "toy_categorical"
    found = made(folder / "toy_categorical_model.txt", tmp_path)
    lines = (folder / "toy_categorical.test").read_text().splitlines()
    rows = np.array([[float(part.partition(":")[2]) for part in line.split()[1:]] for line in lines])
    answers = predicted(found.directory, {"Column_0": rows[:, 0].copy(), "Column_1": rows[:, 1].copy()})
    expected = np.loadtxt(folder / "toy_categorical.test.pred")
    np.testing.assert_allclose(answers["prediction"], expected, rtol=1e-9)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 rows with negatives, exponents, missing values, texts and a label."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("sample") / "rows.csv"
    with path.open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["age", "income", "city", "kids", "label"])
        for _ in range(1500):
            age, city = int(rng.integers(-5, 90)), rng.choice(["Rome", "Oslo", "Bern"])
            income = f"{rng.normal(0, 3e4):.3e}" if rng.random() > 0.1 else ""
            kids = "" if rng.random() < 0.1 else int(rng.integers(0, 4))
            write.writerow([age, income, city, kids, "yes" if age > 50 and city != "Rome" else "no"])
    return path


@pytest.fixture(scope="session")
def pipeline(sample: Path) -> Any:
    """A scikit-learn pipeline fitted on the sample."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    frame = pd.read_csv(sample)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income", "kids"]),
    )
    return make_pipeline(columns, DecisionTreeClassifier(max_depth=4)).fit(frame.drop(columns="label"), frame["label"])


def test_a_pickle_with_a_sample(tmp_path: Path, sample: Path, pipeline: Any) -> None:
    """Types come from the sample, the task from the model; it is served as ONNX because that answers alike."""
    (tmp_path / "churn.pkl").write_bytes(pickle.dumps(pipeline))
    with pytest.raises(Invalid, match="--allow-pickle"):
        made(tmp_path / "churn.pkl", tmp_path, sample=sample, label="label")
    found = made(tmp_path / "churn.pkl", tmp_path, sample=sample, label="label", pickle="our own", threshold=0.3)
    bundle = found.bundle
    assert (bundle.runtime, bundle.task, bundle.classes, bundle.threshold) == ("onnx", Task.BINARY, ("no", "yes"), 0.3)
    assert bundle.parity is not None
    assert bundle.parity < 1e-4
    assert bundle.pickle == "our own"
    assert bundle.signature.inputs == (
        Field("age", DType.INT64),
        Field("income", DType.FP64, nullable=True),
        Field("city", DType.BYTES),
        Field("kids", DType.FP64, nullable=True),
    )
    assert not list(found.directory.rglob("*.pickle"))
    assert verify(found.directory) <= 1e-4
    assert "our own" in (found.directory / "card.md").read_text()


def test_a_model_that_takes_text_needs_a_sample(tmp_path: Path, pipeline: Any) -> None:
    """What cannot be known is asked for, by the option's name."""
    (tmp_path / "churn.pkl").write_bytes(pickle.dumps(pipeline))
    with pytest.raises(Invalid, match="--sample") as caught:
        made(tmp_path / "churn.pkl", tmp_path, pickle="our own")
    assert caught.value.code == "missing_options"


EXPECTED = Signature(
    (
        Field("age", DType.INT64),
        Field("income", DType.FP64, nullable=True),
        Field("city", DType.BYTES),
        Field("kids", DType.FP64, nullable=True),
    ),
    (Field("double", DType.FP64),),
)


def test_what_a_file_is_silent_about_is_as_the_service_has_it(tmp_path: Path, pipeline: Any) -> None:
    """Without a sample: a pickle that takes texts, and code, get the Service's inputs; a name it lacks is asked for."""
    (tmp_path / "churn.pkl").write_bytes(pickle.dumps(pipeline))
    texts = made(tmp_path / "churn.pkl", tmp_path / "t", pickle="our own", expected=EXPECTED)
    assert texts.bundle.signature.inputs == EXPECTED.inputs
    assert texts.bundle.task is Task.BINARY
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def predict(self, inputs):\n        return {'double': inputs['age'] * 2.0}\n"
    )
    code = made(tmp_path / "mine.py", tmp_path / "c", expected=EXPECTED)
    assert code.bundle.signature == EXPECTED
    with pytest.raises(Invalid, match="--sample"):
        made(tmp_path / "churn.pkl", tmp_path, pickle="our own", expected=replace(EXPECTED, inputs=EXPECTED.inputs[1:]))


def test_what_a_file_says_stays(tmp_path: Path) -> None:
    """Numbers get the Service's names and types; that a value may not be missing is what the model itself shows."""
    from sklearn.linear_model import LinearRegression
    from skops.io import dump

    X = np.random.default_rng(0).normal(size=(40, 2))
    dump(LinearRegression().fit(X, X[:, 0]), tmp_path / "line.skops")
    service = Signature((Field("age", DType.INT64), Field("fee", DType.FP32, nullable=True)), EXPECTED.outputs)
    found = made(tmp_path / "line.skops", tmp_path / "l", expected=service)
    assert found.bundle.signature.inputs == (Field("age", DType.INT64), Field("fee", DType.FP32))
    assert "names no columns: they are taken in the order age, fee" in " ".join(found.notes)
    wider = replace(service, inputs=(*service.inputs, Field("more", DType.FP32)))
    unlike = made(tmp_path / "line.skops", tmp_path / "w", expected=wider)
    assert unlike.bundle.signature.inputs == (Field("input", DType.FP64, (2,)),)


def test_a_python_object(tmp_path: Path, sample: Path) -> None:
    """Its code travels with what it imports, and its outputs are those it gives."""
    (tmp_path / "factor.py").write_text("FACTOR = 2.0\n")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom factor import FACTOR\nclass Mine:\n    def predict(self, inputs):\n"
        "        return {'double': inputs['age'] * FACTOR, 'city': inputs['city']}\n"
    )
    found = made(tmp_path / "mine.py", tmp_path, sample=sample, label="label")
    assert found.bundle.entry == "mine:Mine"
    assert found.bundle.signature.outputs == (Field("double", DType.FP64), Field("city", DType.BYTES))
    assert sorted(path.name for path in (found.directory / "code").iterdir()) == ["factor.py", "mine.py"]
    assert verify(found.directory) == 0.0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("import ctypes; ctypes.string_at(0)", "crashed"),
        ("raise ValueError('no')", "unservable"),
        ("import os; os._exit(0)", "crashed"),
    ],
)
def test_a_model_that_breaks_its_process(tmp_path: Path, sample: Path, body: str, code: str) -> None:
    """A crash while a model answers is told as the reason why it is refused."""
    text = f"class Mine:\n    def predict(self, inputs):\n        {body}\n"
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(Refused) as caught:
        made(tmp_path / "mine.py", tmp_path, sample=sample, label="label", task=Task.REGRESSION)
    assert caught.value.code in (code, "fails_examples")
    assert not (tmp_path / "out").exists()


def graph(path: Path) -> Path:
    """A small graph, for what is said of any."""
    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)
    made = onnx.helper.make_graph(
        [node], "mean", [info("x", TensorProto.FLOAT, [None, 3])], [info("y", TensorProto.FLOAT, [None])]
    )
    onnx.save(onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_records_that_do_not_go_together(tmp_path: Path) -> None:
    """A graph whose answer mixes its rows is made one of single records, whatever its shapes say."""
    info = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        onnx.helper.make_node("Sub", ["x", "m"], ["y"]),
    ]
    made_graph = onnx.helper.make_graph(
        nodes, "centred", [info("x", TensorProto.FLOAT, [None, 3])], [info("y", TensorProto.FLOAT, [None, 3])]
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(made_graph, opset_imports=opsets, ir_version=8), tmp_path / "centred.onnx")
    found = made(tmp_path / "centred.onnx", tmp_path)
    assert not found.bundle.signature.batched
    assert found.bundle.signature.inputs == (Field("x", DType.FP32, (-1, 3)),)
    assert any("one record" in note for note in found.notes)


def test_ten_builds_are_one(tmp_path: Path) -> None:
    """The same model gives the same digest, in ten processes with ten hash seeds."""
    path = graph(tmp_path / "mean.onnx")
    cli = Path(sys.executable).with_name("keepfit")

    def built(seed: int) -> str:
        command = [cli, "onboard", path, "--yes", "--into", tmp_path / f"b{seed}"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": str(seed)})
        return digest_of_tree(tmp_path / f"b{seed}")

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(built, range(10)))) == 1


def test_the_command(tmp_path: Path) -> None:
    """Onboard, show, pack, verify and refuse at the command line; exit codes tell which."""
    cli = Path(sys.executable).with_name("keepfit")

    def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([cli, *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    graph(tmp_path / "mean.onnx")
    assert "x FP32[3]" in call("onboard", "mean.onnx", "--yes").stdout
    assert call("bundle", "pack", "mean-bundle", "m.keepfit").returncode == 0
    assert "sound" in call("bundle", "verify", "m.keepfit", "mean-bundle").stdout
    assert "| x | FP32 | 3 |" in call("bundle", "show", "m.keepfit").stdout
    assert "contract: identical" in call("bundle", "diff", "mean-bundle", "m.keepfit").stdout
    (tmp_path / "m.pkl").write_bytes(pickle.dumps([1]))
    lacking = call("onboard", "m.pkl", "--yes")
    assert (lacking.returncode, "--allow-pickle" in lacking.stderr) == (2, True)
    (tmp_path / "broken.onnx").write_bytes((tmp_path / "mean.onnx").read_bytes()[:-9])
    broken = call("onboard", "broken.onnx", "--yes")
    assert (broken.returncode, "Traceback" in broken.stderr) == (1, False)
    assert json.loads((tmp_path / "mean-bundle" / "bundle.json").read_text())["service"] == "mean"
