"""Bundles of models that no update makes: native scikit-learn, graphs of any weight, and code with something to tell.

The code is one class. Its answers carry a mark which is wiped out when the model is closed, and a salt of which half is
read before and half after a pause: an answer of a model that was let go, or of two models, shows itself.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks import place
from keepfit.core.nouns import Bundle, Digest, Task
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.core.signature import DType, Field, Signature
from keepfit.store.blobs import Trees

ALIVE, WIPED, TEN = 0x600D, 0xDEAD, 10**6
SIDE, LAYERS = 1_600, 20  # products of SIDE x SIDE: 205 MB of weights
CODE = """
import time
import numpy as np

class Model:
    def load(self, directory):
        self.salt, self.mark = np.full(4096, {salt}), np.full(4096, {alive})

    def predict(self, inputs):
        x, first = inputs["x"], self.salt[0]
        time.sleep({pause})
        salt = (first + self.salt[-1]) // 2 if first != self.salt[-1] else first
        return {{"answer": x * {ten} + salt, "mark": np.full(len(x), self.mark[0])}}

    def close(self):
        self.mark[:], self.salt[:] = {wiped}, -1
"""
SLOW = """
import time
import numpy as np

class Model:
    def load(self, directory):
        until = time.process_time() + {seconds}  # {salt}
        while time.process_time() < until:
            sum(range(1000))

    def predict(self, inputs):
        rows = len(inputs["x"])
        return {{"prediction": np.zeros(rows, np.int64), "probability": np.zeros(rows, np.float32)}}
"""
TOLD = Signature((Field("x", DType.INT64),), (Field("answer", DType.INT64), Field("mark", DType.INT64)))
BINARY = Bundle(
    service=place.SERVICE,
    runtime="onnx",
    task=Task.BINARY,
    signature=place.specification().signature,
    label=Field("y", DType.INT64),
    classes=(0, 1),
    columns=(("x", ("x",)),),
)


def native(places: Places) -> Digest:
    """The model of `place.bundle`, not converted: scikit-learn in a process of its own."""
    from skops import io

    X, y = place.data()
    model = place.estimator().fit(X[: place.ROWS * 4 // 5], y[: place.ROWS * 4 // 5])
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        io.dump(model, directory / "model.skops")
        p = model.predict_proba(X[:8])[:, 1].astype(np.float32)
        outputs = {"prediction": model.predict(X[:8]), "probability": p}
        return _kept(places, directory, replace(BINARY, runtime="sklearn"), {"x": X[:8]}, outputs)


def weighty(places: Places, seed: int, layers: int = LAYERS, side: int = SIDE) -> Digest:
    """An ONNX graph of so many square layers, 10 MB each by default; what it predicts is of no interest."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        onnx.save(_layered(np.random.default_rng(seed), layers, side), directory / "model.onnx")
        X, _ = place.data()
        session = onnxruntime.InferenceSession(directory / "model.onnx", providers=["CPUExecutionProvider"])
        said = session.run(["prediction", "probability"], {"x": X[:2]})
        del session
        outputs = dict(zip(("prediction", "probability"), said, strict=True))
        return _kept(places, directory, BINARY, {"x": X[:2]}, outputs)


def _layered(random: np.random.Generator, layers: int, side: int) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    sizes = [place.WIDTH, *[side] * (layers + 1), 1]
    weights = [random.normal(0, 1 / np.sqrt(a), (a, b)).astype(np.float32) for a, b in pairwise(sizes)]
    constants = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    constants += [
        numpy_helper.from_array(np.array(0.5, np.float32), "half"),
        numpy_helper.from_array(np.array([1]), "last"),
    ]
    names = ["x", *[f"h{i}" for i in range(len(weights))]]
    nodes = [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(len(weights))]
    nodes += [
        helper.make_node("Squeeze", [names[-1], "last"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["probability"]),
        helper.make_node("Greater", ["probability", "half"], ["above"]),
        helper.make_node("Cast", ["above"], ["prediction"], to=TensorProto.INT64),
    ]
    graph = helper.make_graph(
        nodes,
        "weighty",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, place.WIDTH])],
        [
            helper.make_tensor_value_info("prediction", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None]),
        ],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def code(places: Places, salt: int, *, inline: bool, pause: float = 0.0) -> Digest:
    """The class above, in a process of its own or (see `benchmarks.inline`) in the serving process.

    It answers x times TEN plus `salt` after `pause` seconds.
    """
    runtime = "bench-inline" if inline else "python"
    made = Bundle(service=place.SERVICE, runtime=runtime, signature=TOLD, entry="model:Model")
    text = CODE.format(salt=salt, alive=ALIVE, wiped=WIPED, ten=TEN, pause=pause)
    x = np.arange(8)
    return _written(places, text, made, {"x": x}, {"answer": x * TEN + salt, "mark": np.full(8, ALIVE)})


def slow(places: Places, salt: int, seconds: float) -> Digest:
    """Code of the Signature of `place.bundle` which computes for so many seconds when it is loaded, in a child."""
    X, _ = place.data()
    outputs: dict[str, NDArray[Any]] = {"prediction": np.zeros(8, np.int64), "probability": np.zeros(8, np.float32)}
    made = replace(BINARY, runtime="python", entry="model:Model", columns=())
    return _written(places, SLOW.format(seconds=seconds, salt=salt), made, {"x": X[:8]}, outputs)


def _written(
    places: Places, text: str, bundle: Bundle, inputs: dict[str, NDArray[Any]], outputs: dict[str, NDArray[Any]]
) -> Digest:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "code").mkdir()
        (Path(name) / "code" / "model.py").write_text(text)
        return _kept(places, Path(name), bundle, inputs, outputs)


def _kept(
    places: Places,
    directory: Path,
    bundle: Bundle,
    inputs: dict[str, NDArray[Any]],
    outputs: dict[str, NDArray[Any]],
) -> Digest:
    """Manifest and golden examples beside the model, and all of it into the store."""
    (directory / "bundle.json").write_bytes(canonical(bundle))
    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        if values.ndim > 1
        else values
        for name, values in inputs.items()
    }
    pq.write_table(
        pa.table({**columns, **{f"_out_{name}": values for name, values in outputs.items()}}),
        directory / "golden.parquet",
    )
    return Trees(places.trees).put(directory)
