"""Models that are code: skops, pickles, a person's own objects, torch and MLflow; what is opened, and what is not."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frameworks
import toys
from keepfit.core.errors import ModelFault, Refused
from keepfit.core.nouns import Bundle, Task
from keepfit.core.registry import canonical
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.loading import load
from keepfit.serve.runtimes.estimators import forget_names, takes_largest
from keepfit.serve.runtimes.mlflow import Mlflow
from keepfit.serve.runtimes.python import Python
from keepfit.serve.runtimes.sklearn import Sklearn, trusted
from keepfit.serve.runtimes.torch import Torch

X, Y = frameworks.data()
NUMBER = Signature((Field("x", DType.FP64),), (Field("y", DType.FP64),))


class Stranger:
    """A type that no server knows."""


def test_skops_builds_only_what_is_on_the_list(tmp_path: Path) -> None:
    """A type from elsewhere, or a function, is refused by its name."""
    from sklearn.datasets import fetch_openml
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dump

    for thing, name in ((FunctionTransformer(fetch_openml), "fetch_openml"), (Stranger(), "Stranger")):
        dump(thing, tmp_path / "model.skops")
        with pytest.raises(Refused, match=name) as caught:
            Sklearn().load(tmp_path, frameworks.plain("sklearn"))
        assert caught.value.code == "untrusted_type"


@pytest.mark.parametrize(
    "name", ["os.system", "sklearn.datasets.fetch_openml", "sklearnx.tree.Tree", "numpy.f2py.main", "X"]
)
def test_what_is_not_trusted(name: str) -> None:
    """Neither functions nor what only sounds like scikit-learn."""
    assert not trusted(name)


def test_a_skops_file_that_unpacks_to_a_flood_is_refused(tmp_path: Path) -> None:
    """What claims more than a gibibyte in a few kilobytes is not unpacked."""
    with (
        zipfile.ZipFile(tmp_path / "model.skops", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("schema.json", "w", force_zip64=True) as member,
    ):
        for _ in range(65):
            member.write(bytes(2**24))
    with pytest.raises(Refused, match="unpack") as caught:
        Sklearn().load(tmp_path, frameworks.plain("sklearn"))
    assert caught.value.code == "too_large"


def test_a_pickle_is_opened_only_with_a_reason(tmp_path: Path) -> None:
    """Without one in the Bundle, what is in the pickle does not run."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "boom"),)

    (tmp_path / "estimator.pickle").write_bytes(pickle.dumps(Bomb()))
    for reason in ("", "  "):
        with pytest.raises(Refused, match="gives no reason") as caught:
            Python().load(tmp_path, frameworks.plain("python", pickle=reason))
        assert caught.value.code == "pickle"
    assert not (tmp_path / "boom").exists()


def estimators() -> list[Any]:
    """Estimators whose labels come from their probabilities, and some whose do not."""
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    return [
        GradientBoostingClassifier(n_estimators=5), HistGradientBoostingClassifier(max_iter=5), GaussianNB(),
        make_pipeline(StandardScaler(), LogisticRegression()), DecisionTreeClassifier(max_depth=3), SVC(),
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(5))
def test_an_estimator_answers_as_itself(tmp_path: Path, place: int) -> None:
    """Fitted with a DataFrame and given a matrix, asked once instead of twice: exactly its own answers, no warning."""
    import pandas as pd

    frame = pd.DataFrame(X, columns=list(frameworks.NAMES))
    estimator = estimators()[place].fit(frame, Y > 0)
    assert takes_largest(estimator)
    labels, found = estimator.predict(frame), estimator.predict_proba(frame)[:, 1].astype(np.float32)
    (tmp_path / "estimator.pickle").write_bytes(pickle.dumps(estimator))
    outputs = (Field("prediction", DType.BOOL), frameworks.BINARY[1])
    made = frameworks.plain("python", pickle="a test", classes=(False, True))
    made = frameworks.plain("python", pickle="a test", classes=(False, True),
                            signature=Signature(made.signature.inputs, outputs))  # fmt: skip
    answer = Python().load(tmp_path, made).predict(frameworks.columns(X))
    np.testing.assert_array_equal(answer["prediction"], labels)
    np.testing.assert_array_equal(answer["probability"], found)


def test_names_are_kept_where_a_part_may_need_them() -> None:
    """Columns chosen by name, code of one's own, and votes that are not probabilities are left alone."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pd.DataFrame(X, columns=list(frameworks.NAMES))
    chosen = make_pipeline(make_column_transformer((StandardScaler(), ["b", "a"])), LogisticRegression()).fit(
        frame, Y > 0
    )
    assert not forget_names(chosen)
    assert chosen[0].feature_names_in_.tolist() == list(frameworks.NAMES)
    assert not takes_largest(estimators()[5])

    class Own(LogisticRegression):
        def predict(self, X: Any) -> Any:
            return super().predict(X) * 0

    assert not takes_largest(Own())
    assert not forget_names(Own().fit(frame, Y > 0))


def entry(directory: Path, factor: float, **fields: Any) -> Path:
    """A Bundle of one's own class, whose name is the same in all of them."""
    (directory / "code").mkdir(parents=True)
    (directory / "code" / "own.py").write_text(
        "from pathlib import Path\n\nclass Model:\n    def load(self, directory):\n"
        "        self.factor = float((Path(directory) / 'factor.txt').read_text())\n\n"
        "    def predict(self, inputs):\n        return {'y': inputs['x'] * self.factor}\n\nmodel = 3\n"
    )
    (directory / "factor.txt").write_text(str(factor))
    made = Bundle(**{"service": "x", "runtime": "python", "signature": NUMBER, "entry": "own:Model", **fields})
    (directory / "bundle.json").write_bytes(canonical(made))
    return directory


def test_two_bundles_with_one_class_name_answer_each_as_itself(tmp_path: Path) -> None:
    """Each has a process of its own, and no pickle is needed for code."""
    loaded = [load(entry(tmp_path / str(factor), factor))[1] for factor in (2.0, 5.0)]
    try:
        given = {"x": np.array([1.0, 10.0])}
        assert [predictor.predict(given)["y"].tolist() for predictor in loaded] == [[2, 20], [5, 50]]
        assert len({predictor.process for predictor in loaded} | {os.getpid()}) == 3  # type: ignore[attr-defined]
    finally:
        for predictor in loaded:
            predictor.close()


@pytest.mark.parametrize("name", ["own:Absent", "absent:Model", "own:model", "own", "own:Model.__doc__"])
def test_an_entry_that_is_no_model_is_refused(tmp_path: Path, name: str) -> None:
    """With what is wrong with it."""
    directory = entry(tmp_path / "b", 1.0)
    made = Bundle(service="x", runtime="python", signature=NUMBER, entry=name)
    with pytest.raises(Refused, match=r"entry") as caught:
        Python().load(directory, made)
    assert caught.value.code in ("wrong_entry", "corrupt")


def test_an_output_that_the_object_does_not_answer_is_a_model_fault(tmp_path: Path) -> None:
    """The output is named, and what was answered."""
    other = Signature(NUMBER.inputs, (Field("z", DType.FP64),))
    directory = entry(tmp_path / "b", 1.0, signature=other)
    predictor = Python().load(directory, Bundle("x", "python", other, entry="own:Model"))
    with pytest.raises(ModelFault, match=r"'z'.*\['y'\]"):
        predictor.predict({"x": np.array([1.0])})


NET = """
import torch
def make():
    return torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Softmax(1))
"""


def test_torch_weights_and_code(tmp_path: Path) -> None:
    """A state dict fills what the entry makes; the Bundle's classes name the largest probability."""
    import torch

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Softmax(1))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "net_of_three.py").write_text(NET)
    outputs = (Field("prediction", DType.BYTES), Field("probabilities", DType.FP32, (3,)))
    made = frameworks.plain(
        "torch", task=Task.MULTICLASS, classes=("a", "b", "c"), entry="net_of_three:make",
        signature=Signature((Field("x", DType.FP32, (5,)),), outputs),
    )  # fmt: skip
    rows = X.astype(np.float32)
    answer = Torch().load(tmp_path, made).predict({"x": rows})
    expected = model(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    assert answer["prediction"].tolist() == [("a", "b", "c")[place] for place in expected.argmax(axis=1)]


def test_torch_weights_with_code_inside_are_refused(tmp_path: Path) -> None:
    """A state dict is opened as weights only: a pickle that would act is refused."""
    import torch

    torch.save({"w": Stranger()}, tmp_path / "weights.pt")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "net_of_pickle.py").write_text(NET)
    made = frameworks.plain(
        "torch", entry="net_of_pickle:make", signature=Signature((Field("x", DType.FP32, (5,)),), frameworks.BINARY)
    )
    with pytest.raises(Refused, match="weights"):
        Torch().load(tmp_path, made)


def test_a_program_of_fixed_rows_answers_one_record_or_is_refused(tmp_path: Path) -> None:
    """Exported for one row, it is served unbatched; that it takes many is not believed."""
    import torch

    class Sum(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.sum(dim=1)

    torch.export.save(torch.export.export(Sum(), (torch.zeros(1, 3),)), tmp_path / "model.pt2")
    inputs, outputs = (Field("x", DType.FP32, (1, 3)),), (Field("y", DType.FP32, (1,)),)
    made = Bundle("x", "torch", Signature(inputs, outputs, batched=False))
    answer = Torch().load(tmp_path, made).predict({"x": np.float32([[[1, 2, 3]], [[4, 5, 6]]])})
    assert answer["y"].tolist() == [[6], [15]]
    many = Bundle("x", "torch", Signature((Field("x", DType.FP32, (3,)),), (Field("y", DType.FP32),)))
    with pytest.raises(Refused, match="exactly 1 records"):
        Torch().load(tmp_path, many)


def test_compiled_code_in_a_program_is_refused(tmp_path: Path) -> None:
    """A library in the archive is not loaded."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("model/data/aotinductor/model/x.so", b"\x7fELF")
    (tmp_path / "model.pt2").write_bytes(data.getvalue())
    with pytest.raises(Refused, match="compiled") as caught:
        Torch().load(tmp_path, Bundle("x", "torch", Signature((Field("x", DType.FP32),), (Field("y", DType.FP32),))))
    assert caught.value.code == "compiled_code"


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)  # MLflow's own
def test_mlflow_by_pyfunc_needs_a_reason(tmp_path: Path) -> None:
    """A model that MLflow itself saved as a function of Python answers, once a reason is given."""
    import mlflow.pyfunc

    class Twice(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow has no types
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads the types
            return model_input["x"].to_numpy() * 2

    mlflow.pyfunc.save_model(tmp_path / "mlflow", python_model=Twice(), pip_requirements=[])
    with pytest.raises(Refused, match="gives no reason"):
        Mlflow().load(tmp_path, Bundle("x", "mlflow", NUMBER))
    predictor = Mlflow().load(tmp_path, Bundle("x", "mlflow", NUMBER, pickle="a test"))
    assert predictor.predict({"x": np.array([1.0, 2.5])})["y"].tolist() == [2, 5]


@pytest.mark.parametrize("name", ["../model.ubj", "/etc/passwd", "link.ubj"])
def test_mlflow_names_no_file_outside(tmp_path: Path, name: str) -> None:
    """What MLmodel names lies in its directory."""
    root = tmp_path / "mlflow"
    root.mkdir()
    frameworks.xgboost_model(tmp_path / "model.ubj")
    (root / "link.ubj").symlink_to(tmp_path / "model.ubj")
    (root / "MLmodel").write_text(f"flavors:\n  xgboost:\n    data: {name}\n")
    with pytest.raises(Refused, match="not in its directory") as caught:
        Mlflow().load(tmp_path, frameworks.plain("mlflow"))
    assert caught.value.code == "unsafe_path"


def test_bundles_of_toys_say_why_their_pickle_is_opened(tmp_path: Path) -> None:
    """The reason is in the manifest, where `bundle show` finds it."""
    directory = toys.bundle(tmp_path / "b", signature=toys.COLUMNS, runtime="python")
    assert "made by the test" in (directory / "bundle.json").read_text()
