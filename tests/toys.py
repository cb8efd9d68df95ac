"""Small Bundles made by hand, in milliseconds and without any training: what they answer can be computed on paper."""

from __future__ import annotations

import json
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

from keepfit.core.nouns import Bundle, Task
from keepfit.core.registry import canonical, to_plain
from keepfit.core.signature import DType, Field, Signature

WIDTH = 20
TENSOR = Signature(
    (Field("x", DType.FP32, (WIDTH,)),), (Field("prediction", DType.INT64), Field("probability", DType.FP32))
)
COLUMNS = Signature(
    (
        Field("amount", DType.FP64, nullable=True),
        Field("count", DType.INT64),
        Field("city", DType.BYTES, nullable=True),
        Field("new", DType.BOOL),
    ),
    (Field("prediction", DType.INT64), Field("probability", DType.FP32)),
)

TOY = '''
import os, time
import numpy as np


class Toy:
    """probability = sigmoid(bias + amount + count / 10 + (city == "Rome") + new / 2); faults on demand."""

    classes_ = np.array([0, 1])

    def __init__(self, bias, fault=""):
        self.bias, self.fault = bias, fault

    def predict(self, X):
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)

    def predict_proba(self, X):
        if self.fault == "raise":
            raise RuntimeError("on purpose")
        if self.fault == "die" or (self.fault == "die-on-666" and (np.asarray(X["count"]) == 666).any()):
            os._exit(3)
        if self.fault == "raise-on-666" and (np.asarray(X["count"]) == 666).any():
            raise RuntimeError("on purpose")
        if self.fault == "short-on-666" and (np.asarray(X["count"]) == 666).any():
            return np.full((len(X) + 1, 2), 0.5)
        if self.fault == "hang-on-666" and (np.asarray(X["count"]) == 666).any():
            time.sleep(60)
        if self.fault == "slow-on-666" and (np.asarray(X["count"]) == 666).any():
            time.sleep(1.5)
        amount = np.nan_to_num(np.asarray(X["amount"], dtype=float))
        score = self.bias + amount + np.asarray(X["count"]) / 10 + (np.asarray(X["city"]) == "Rome")
        p = 1 / (1 + np.exp(-(score + np.asarray(X["new"]) / 2)))
        if self.fault == "nan" or self.fault == "nan-on-666" and (np.asarray(X["count"]) == 666).any():
            p = p * np.nan
        return np.stack([1 - p, p], axis=1)
'''


def probability(signature: Signature, inputs: dict[str, np.ndarray], bias: float) -> np.ndarray:
    """What a toy answers, computed here."""
    if signature == TENSOR:
        score = inputs["x"].astype(np.float64).sum(axis=1) + bias
    else:
        score = bias + np.nan_to_num(inputs["amount"]) + inputs["count"] / 10 + (inputs["city"] == "Rome")
        score = score + inputs["new"] / 2
    return 1 / (1 + np.exp(-score))


def examples(signature: Signature, rows: int = 8) -> dict[str, np.ndarray]:
    """Deterministic inputs."""
    random = np.random.default_rng(0)
    if signature == TENSOR:
        return {"x": random.normal(size=(rows, WIDTH)).astype(np.float32)}
    return {
        "amount": np.where(np.arange(rows) % 3 == 1, np.nan, random.normal(size=rows)),
        "count": random.integers(0, 5, rows),
        "city": np.array(["Rome", "", "Oslo"] * rows, dtype=object)[:rows],
        "new": np.arange(rows) % 2 == 0,
    }


def bundle(directory: Path, *, bias: float = 0.0, signature: Signature = TENSOR, runtime: str = "onnx",
           fault: str = "", golden: float = 0.0) -> Path:  # fmt: skip
    """Write a Bundle; `fault` makes it misbehave (see TOY; for ONNX: `nan`), `golden` shifts its golden answers."""
    directory.mkdir(parents=True)
    packed = (("x", ("x",)),)
    if signature != TENSOR:
        packed = (("amount", ("amount",)), ("count", ("count",)), ("city", ("city",)), ("new", ("new",)))
    made = Bundle(
        service="toy", runtime=runtime, task=Task.BINARY, signature=signature, label=Field("late", DType.INT64),
        classes=(0, 1), columns=packed, pickle="made by the test" if runtime == "python" else "",
    )  # fmt: skip
    (directory / "bundle.json").write_bytes(canonical(made))
    if runtime == "onnx":
        onnx.save(_graph(signature, bias, fault), directory / "model.onnx")
    else:
        (directory / "code").mkdir()
        (directory / "code" / "toy_estimator.py").write_text(TOY)
        (directory / "estimator.pickle").write_bytes(_pickled(bias, fault))
    pq.write_table(_golden(signature, bias + golden), directory / "golden.parquet")
    return directory


def meant_for(directory: Path, service: str, label: Field) -> None:
    """Have a Bundle's manifest name another service and its label."""
    path = directory / "bundle.json"
    path.write_bytes(canonical({**json.loads(path.read_bytes()), "service": service, "label": to_plain(label)}))


def _golden(signature: Signature, bias: float) -> pa.Table:
    inputs = examples(signature)
    p = probability(signature, inputs, bias)
    columns: dict[str, Any] = {}
    for name, values in inputs.items():
        columns[name] = (
            pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), WIDTH) if values.ndim > 1 else values
        )
    return pa.table(
        {**columns, "_out_prediction": (p > 0.5).astype(np.int64), "_out_probability": p.astype(np.float32)}
    )


def _graph(signature: Signature, bias: float, fault: str) -> onnx.ModelProto:
    const = lambda name, value: numpy_helper.from_array(np.asarray(value), name)  # noqa: E731
    constants = [const("bias", np.float64(np.nan if fault == "nan" else bias)), const("half", np.float64(0.5))]
    if signature == TENSOR:
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, WIDTH])]
        constants.append(const("ones", np.ones(WIDTH)))
        nodes = [
            helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
            helper.make_node("MatMul", ["wide", "ones"], ["sum"]),
        ]
    else:
        inputs, nodes = _columns(constants, const)
    nodes += [
        helper.make_node("Add", ["sum", "bias"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["p"]),
        helper.make_node("Greater", ["p", "half"], ["above"]),
        helper.make_node("Cast", ["above"], ["prediction"], to=TensorProto.INT64),
        helper.make_node("Cast", ["p"], ["probability"], to=TensorProto.FLOAT),
    ]
    outputs = [
        helper.make_tensor_value_info("prediction", TensorProto.INT64, [None]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None]),
    ]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _columns(constants: list[Any], const: Any) -> tuple[list[Any], list[Any]]:
    info = helper.make_tensor_value_info
    inputs = [
        info("amount", TensorProto.DOUBLE, [None, 1]),
        info("count", TensorProto.INT64, [None, 1]),
        info("city", TensorProto.STRING, [None, 1]),
        info("new", TensorProto.BOOL, [None, 1]),
    ]
    constants += [const("zero", np.float64(0)), const("ten", np.float64(10)), const("two", np.float64(2))]
    constants.append(const("last", np.array([1])))
    node = helper.make_node
    return inputs, [
        node("IsNaN", ["amount"], ["absent"]),
        node("Where", ["absent", "zero", "amount"], ["amount0"]),
        node("Cast", ["count"], ["countd"], to=TensorProto.DOUBLE),
        node("Div", ["countd", "ten"], ["count0"]),
        node("LabelEncoder", ["city"], ["cityf"], domain="ai.onnx.ml", keys_strings=["Rome"], values_floats=[1.0],
             default_float=0.0),
        node("Cast", ["cityf"], ["city0"], to=TensorProto.DOUBLE),
        node("Cast", ["new"], ["newd"], to=TensorProto.DOUBLE),
        node("Div", ["newd", "two"], ["new0"]),
        node("Sum", ["amount0", "count0", "city0", "new0"], ["total"]),
        node("Squeeze", ["total", "last"], ["sum"]),
    ]  # fmt: skip


def _pickled(bias: float, fault: str) -> bytes:
    """The estimator's pickle, naming a module which only the Bundle's own code directory has."""
    module = types.ModuleType("toy_estimator")
    exec(TOY, module.__dict__)  # noqa: S102  # the module's own source, above
    sys.modules["toy_estimator"] = module
    try:
        return pickle.dumps(module.Toy(bias, fault), protocol=5)
    finally:
        del sys.modules["toy_estimator"]
