"""One model of each framework, onboarded and verified; what its file does not say is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepfit.core.errors import Invalid, Refused
from keepfit.core.nouns import Task
from keepfit.core.signature import DType, Field
from keepfit.edge.bundles import verify
from keepfit.edge.onboard.drafts import Onboarded, Wishes
from keepfit.edge.onboard.onboarding import onboard

ROWS = np.random.default_rng(0).normal(size=(1200, 3))
TRUTH = (ROWS.sum(axis=1) > 0).astype(int)


def made(path: Path, folder: Path, **wishes: Any) -> Onboarded:
    found = onboard(path, Wishes(into=folder / f"{path.stem}-out", **wishes))
    assert verify(found.directory) <= found.bundle.tolerance
    return found


@pytest.fixture(scope="module")
def booster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one XGBoost model in both its formats."""
    xgboost = pytest.importorskip("xgboost")
    folder = tmp_path_factory.mktemp("booster")
    data = xgboost.DMatrix(ROWS, label=TRUTH, feature_names=["a", "b", "c"])
    trained = xgboost.train({"objective": "binary:logistic"}, data, 3)
    trained.save_model(folder / "m.json")
    trained.save_model(folder / "m.ubj")
    unnamed = xgboost.DMatrix(ROWS, label=TRUTH)
    xgboost.train({"objective": "binary:logistic"}, unnamed, 3).save_model(folder / "plain.ubj")
    return folder


def test_xgboost(booster: Path, tmp_path: Path) -> None:
    """Features by their names, any of which may be missing; the task from the objective, the classes from a wish."""
    for name in ("m.json", "m.ubj"):
        bundle = made(booster / name, tmp_path / name, classes=("no", "yes"), threshold=0.4).bundle
        assert bundle.signature.inputs == tuple(Field(n, DType.FP32, nullable=True) for n in "abc")
        assert (bundle.task, bundle.classes, bundle.runtime) == (Task.BINARY, ("no", "yes"), "xgboost")
    with pytest.raises(Invalid, match="the model itself says that its task is binary"):
        onboard(booster / "m.json", Wishes(task=Task.REGRESSION, into=tmp_path / "no"))


def test_half_a_booster(booster: Path, tmp_path: Path) -> None:
    """A file cut anywhere is refused before its library sees it."""
    for name in ("m.json", "m.ubj"):
        data = (booster / name).read_bytes()
        for part in (10, len(data) // 2, len(data) - 1):
            (tmp_path / name).write_bytes(data[:part])
            with pytest.raises(Refused):
                onboard(tmp_path / name, Wishes(into=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_mlserver(booster: Path, tmp_path: Path) -> None:
    """The model that MLServer's settings point to, its matrix called as they call it, and none outside the folder."""
    shutil.copy(booster / "m.ubj", tmp_path / "x.bst")
    settings = tmp_path / "model-settings.json"
    settings.write_text(json.dumps({"name": "x", "parameters": {"uri": "./x.bst"}}))
    assert made(tmp_path, tmp_path / "o").bundle.runtime == "xgboost"
    shutil.copy(booster / "plain.ubj", tmp_path / "x.bst")
    said = {"inputs": [{"name": "predict", "datatype": "FP32", "shape": [-1, 3]}], "parameters": {"uri": "x.bst"}}
    settings.write_text(json.dumps(said))
    assert [field.name for field in made(tmp_path, tmp_path / "p").bundle.signature.inputs] == ["predict"]
    settings.write_text(json.dumps({"name": "x", "parameters": {"uri": "../../etc/passwd"}}))
    with pytest.raises(Refused, match="outside the folder"):
        onboard(tmp_path, Wishes(into=tmp_path / "out"))


def test_skops(tmp_path: Path) -> None:
    """A model of numbers needs no sample; one of a type that nobody trusts is refused by the type's name."""
    io = pytest.importorskip("skops.io")
    from sklearn.linear_model import LinearRegression

    io.dump(LinearRegression().fit(ROWS, ROWS.sum(axis=1)), tmp_path / "sum.skops")
    found = made(tmp_path / "sum.skops", tmp_path)
    assert found.bundle.signature.inputs == (Field("input", DType.FP64, (3,)),)
    assert (found.bundle.task, found.bundle.runtime) == (Task.REGRESSION, "sklearn")
    io.dump({"a": Path("x")}, tmp_path / "strange.skops")
    with pytest.raises(Refused, match="pathlib"):
        onboard(tmp_path / "strange.skops", Wishes(into=tmp_path / "out"))


def test_torch(tmp_path: Path) -> None:
    """A state dict needs its code named; a whole pickled module is refused."""
    torch = pytest.importorskip("torch")
    (tmp_path / "net.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.l = torch.nn.Linear(3, 2)\n    def forward(self, x):\n        return self.l(x)\n"
    )
    torch.save({"l.weight": torch.ones(2, 3), "l.bias": torch.zeros(2)}, tmp_path / "net.pt")
    np.savetxt(tmp_path / "rows.csv", ROWS, delimiter=",", header="a,b,c", comments="")
    with pytest.raises(Invalid, match="--entry"):
        onboard(tmp_path / "net.pt", Wishes(into=tmp_path / "out"))
    bundle = made(tmp_path / "net.pt", tmp_path, entry="net:Net", sample=tmp_path / "rows.csv").bundle
    assert bundle.signature.inputs == tuple(Field(name, DType.FP32) for name in "abc")
    assert bundle.signature.outputs == (Field("prediction", DType.FP32, (2,)),)
    torch.save(torch.nn.Linear(3, 2), tmp_path / "whole.pt")
    with pytest.raises(Refused, match="whole pickled module"):
        onboard(tmp_path / "whole.pt", Wishes(into=tmp_path / "out"))
