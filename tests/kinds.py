"""Model files of six kinds with one contract: five numbers in, a class and its probability out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keepfit.core.nouns import Bundle, Task
from keepfit.core.registry import canonical, to_plain
from keepfit.core.signature import DType, Field, Signature

NAMES = tuple("abcde")
SIGNATURE = Signature(
    tuple(Field(name, DType.FP32, nullable=True) for name in NAMES),
    (Field("prediction", DType.INT64), Field("probability", DType.FP32)),
)
PYTHON = '''
import numpy as np


class Model:
    """The probability is the logistic function of the first column."""

    def predict(self, inputs):
        p = 1 / (1 + np.exp(-np.nan_to_num(inputs["a"].astype(float))))
        return {"prediction": (p > 0.5).astype(np.int64), "probability": p.astype(np.float32)}
'''


def make(folder: Path) -> list[str]:
    """Write the models, a sample of their inputs and their Signature; the names of the models, in order."""
    random = np.random.default_rng(0)
    X = random.normal(size=(1200, len(NAMES))).astype(np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    frame = pd.DataFrame(X, columns=list(NAMES))
    hidden = frame.mask(random.random(X.shape) < 0.05)
    hidden.to_csv(folder / "sample.csv", index=False)
    (folder / "signature.json").write_text(json.dumps(to_plain(SIGNATURE)))
    _skops(folder / "forest.skops", frame, y)
    _xgboost(folder / "boosted.ubj", frame, y)
    _lightgbm(folder / "boosted.txt", frame, y)
    (folder / "plain.py").write_text(PYTHON)
    return ["forest.skops", _onnx(folder / "graph"), "boosted.ubj", "boosted.txt", _torch(folder / "net"), "plain.py"]


def _skops(path: Path, frame: Any, y: Any) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from skops.io import dump

    dump(HistGradientBoostingClassifier(max_iter=5).fit(frame, y), path)


def _xgboost(path: Path, frame: Any, y: Any) -> None:
    import xgboost

    params = {"objective": "binary:logistic", "nthread": 1, "max_depth": 3}
    xgboost.train(params, xgboost.DMatrix(frame, y), 5).save_model(path)


def _lightgbm(path: Path, frame: Any, y: Any) -> None:
    import lightgbm

    params = {"objective": "binary", "num_threads": 1, "verbose": -1, "num_leaves": 7}
    lightgbm.train(params, lightgbm.Dataset(frame, y), 5).save_model(path)


def _bundle(folder: Path, runtime: str, answers: Any) -> str:
    """A Bundle around a model that takes the columns stacked into one tensor `x`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X = np.random.default_rng(1).normal(size=(8, len(NAMES))).astype(np.float32)
    p = np.asarray(answers(X), np.float32)
    golden = dict(zip(NAMES, X.T.copy(), strict=True))
    pq.write_table(
        pa.table({**golden, "_out_prediction": (p > 0.5).astype(np.int64), "_out_probability": p}),
        folder / "golden.parquet",
    )
    bundle = Bundle(
        service="law", runtime=runtime, task=Task.BINARY, signature=SIGNATURE, classes=(0, 1),
        columns=(("x", NAMES),),
    )  # fmt: skip
    (folder / "bundle.json").write_bytes(canonical(bundle))
    return folder.name


def _onnx(folder: Path) -> str:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir()
    node, value = helper.make_node, helper.make_tensor_value_info
    constants = [
        numpy_helper.from_array(np.ones(len(NAMES), np.float32), "ones"),
        numpy_helper.from_array(np.float32(0.5), "half"),
    ]
    nodes = [
        node("MatMul", ["x", "ones"], ["sum"]),
        node("Sigmoid", ["sum"], ["probability"]),
        node("Greater", ["probability", "half"], ["above"]),
        node("Cast", ["above"], ["prediction"], to=TensorProto.INT64),
    ]
    outputs = [value("prediction", TensorProto.INT64, [None]), value("probability", TensorProto.FLOAT, [None])]
    graph = helper.make_graph(
        nodes, "law", [value("x", TensorProto.FLOAT, [None, len(NAMES)])], outputs, constants
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")
    return _bundle(folder, "onnx", lambda X: 1 / (1 + np.exp(-X.sum(axis=1))))


def _torch(folder: Path) -> str:
    import torch

    folder.mkdir()
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(len(NAMES), 1), nn.Sigmoid(), nn.Flatten(0)).eval()
    example = torch.zeros(4, len(NAMES))
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(program, folder / "model.pt2")
    return _bundle(folder, "torch", lambda X: model(torch.tensor(X)).detach().numpy())
