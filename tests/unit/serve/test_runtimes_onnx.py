"""ONNX: graphs of any shape are answered, and files that reach outside, or compute what is not served, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from keepfit.core.errors import ModelFault, Refused
from keepfit.core.nouns import Bundle, Task
from keepfit.core.protocols import Predictor
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.runtimes.memory import memory
from keepfit.serve.runtimes.onnx import Onnx

FLOAT = TensorProto.FLOAT
MB = 2**20


def bundle(signature: Signature, **fields: Any) -> Bundle:
    """A Bundle without a task."""
    return Bundle(service="x", runtime="onnx", signature=signature, **fields)


def saved(
    place: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Any = (), **fields: Any
) -> Path:
    """A graph as model.onnx in a directory."""
    place.mkdir(exist_ok=True)
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(name, 1) for name in fields.pop("domains", ()))]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), place / "model.onnx", **fields)
    return place


def info(name: str, shape: list[Any], kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def signature(
    shape: tuple[int, ...], out: tuple[int, ...], *, batched: bool = True, dtype: DType = DType.FP32
) -> Signature:
    return Signature((Field("x", dtype, shape),), (Field("y", dtype, out),), batched=batched)


def relu(place: Path, shape: list[Any]) -> Path:
    return saved(place, [helper.make_node("Relu", ["x"], ["y"])], [info("x", shape)], [info("y", shape)])


@pytest.mark.parametrize("shape", [[], [3], [2, 3], [1, 2, 3, 4]])
def test_a_graph_of_fixed_shape_answers_one_record(tmp_path: Path, shape: list[int]) -> None:
    """Whole tensors of any rank go in without the leading 1 and come out with it; several are answered in turn."""
    made = bundle(signature(tuple(shape), tuple(shape), batched=False))
    predictor = Onnx().load(relu(tmp_path, shape), made)
    for rows in (1, 3):
        values = np.random.default_rng(0).normal(size=(rows, *shape)).astype(np.float32)
        answer = predictor.predict({"x": values})["y"]
        np.testing.assert_array_equal(answer, np.maximum(values, 0))
        assert answer.shape == values.shape


def test_a_graph_of_fixed_rows_cannot_be_batched(tmp_path: Path) -> None:
    """What takes exactly two rows is refused at loading, not at the first request of one."""
    with pytest.raises(Refused, match="exactly 2 records") as caught:
        Onnx().load(relu(tmp_path, [2, 3]), bundle(signature((3,), (3,))))
    assert caught.value.code == "wrong_signature"


def test_a_shape_that_the_graph_does_not_take_is_refused(tmp_path: Path) -> None:
    """The Signature promises callers no shape that the graph lacks."""
    for shape in ((4,), (-1,), (3, 1)):
        with pytest.raises(Refused, match="the graph takes"):
            Onnx().load(relu(tmp_path, [None, 3]), bundle(signature(shape, shape)))


def test_free_dimensions_and_text(tmp_path: Path) -> None:
    """A free dimension takes any size, and text comes back as text."""
    text = TensorProto.STRING
    saved(tmp_path, [helper.make_node("Identity", ["x"], ["y"])], [info("x", ["n", "m"], text)],
          [info("y", ["n", "m"], text)])  # fmt: skip
    predictor = Onnx().load(tmp_path, bundle(signature((-1,), (-1,), dtype=DType.BYTES)))
    for width in (1, 5):
        words = np.full((2, width), "é", object)
        assert predictor.predict({"x": words})["y"].tolist() == words.tolist()


def test_an_input_with_an_initialiser_need_not_be_sent(tmp_path: Path) -> None:
    """A weight listed among the inputs, as old exporters do, is no input of the Signature."""
    weight = numpy_helper.from_array(np.float32([1, 2, 3]), "w")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    saved(tmp_path, nodes, [info("x", [None, 3]), info("w", [3])], [info("y", [None, 3])], [weight])
    predictor = Onnx().load(tmp_path, bundle(signature((3,), (3,))))
    assert predictor.predict({"x": np.zeros((1, 3), np.float32)})["y"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("domain", "code"), [("ai.onnx.preview.training", "training_operator"), ("me", "custom_operator")]
)
def test_operators_that_are_not_served_are_named(tmp_path: Path, domain: str, code: str) -> None:
    """Also where they hide in the branch of an If."""
    inner = helper.make_graph([helper.make_node("Gradient", ["x"], ["z"], domain=domain)], "i", [], [info("z", [None])])
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)]
    inputs = [info("x", [None]), info("c", [], TensorProto.BOOL)]
    saved(tmp_path, nodes, inputs, [info("y", [None])], domains=(domain,))
    with pytest.raises(Refused, match=rf"{domain}\.Gradient") as caught:
        Onnx().load(tmp_path, bundle(signature((), ())))
    assert caught.value.code == code


def heavy(place: Path, size: int, layers: int, *, beside: bool) -> Bundle:
    """A chain of products whose weights are in the file, or in one beside it."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(size=(size, size)).astype(np.float32) / size, f"w{n}")
        for n in range(layers)
    ]
    names = ["x", *(f"h{n}" for n in range(layers - 1)), "y"]
    nodes = [helper.make_node("MatMul", [names[n], f"w{n}"], [names[n + 1]]) for n in range(layers)]
    external = {"save_as_external_data": True, "location": "weights.bin"} if beside else {}
    saved(place, nodes, [info("x", [None, size])], [info("y", [None, size])], weights, **external)
    return bundle(signature((size,), (size,)))


@pytest.mark.parametrize("beside", [False, True])
def test_weights_are_held_once_and_given_back(tmp_path: Path, beside: bool) -> None:
    """Loading 64 MB four times in turn holds them once, as predicted, and leaves nothing."""
    made = heavy(tmp_path, 2048, 4, beside=beside)
    us, given = psutil.Process(), {"x": np.zeros((1, 2048), np.float32)}
    Onnx().load(tmp_path, made).close()
    before = us.memory_info().rss
    for _ in range(4):
        predictor = Onnx().load(tmp_path, made)
        predictor.predict(given)
        held = us.memory_info().rss - before
        assert 0.9 * 64 * MB < held < 1.25 * 64 * MB
        assert held < memory(tmp_path, made)
        predictor.close()
    assert us.memory_info().rss - before < 4 * MB


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../weights.bin", "..\\weights.bin", ""])
def test_weights_outside_of_the_bundle_are_refused(tmp_path: Path, location: str) -> None:
    """A file may name no weights but those beside it."""
    place = tmp_path / "b"
    made = heavy(place, 64, 1, beside=True)
    (place / "weights.bin").rename(tmp_path / "weights.bin")
    model = onnx.load(place / "model.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    onnx.save(model, place / "model.onnx")
    with pytest.raises(Refused, match="out of the Bundle") as caught:
        Onnx().load(place, made)
    assert caught.value.code == "unsafe_path"


def test_weights_behind_a_link_are_refused(tmp_path: Path) -> None:
    """A link inside the Bundle that leads out of it is no way out."""
    place = tmp_path / "b"
    made = heavy(place, 64, 1, beside=True)
    (place / "weights.bin").rename(tmp_path / "weights.bin")
    (place / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(Refused, match="a link that leads out"):
        Onnx().load(place, made)


def probable(place: Path, **fields: Any) -> Predictor:
    """A graph that answers a probability and a decision of its own, at one half."""
    nodes = [helper.make_node("Squeeze", ["x", "one"], ["probability"]),
             helper.make_node("Greater", ["probability", "half"], ["above"]),
             helper.make_node("Cast", ["above"], ["prediction"], to=TensorProto.INT64)]  # fmt: skip
    weights = [numpy_helper.from_array(np.float32(0.5), "half"), numpy_helper.from_array(np.array([1]), "one")]
    outputs = [info("prediction", [None], TensorProto.INT64), info("probability", [None])]
    saved(place, nodes, [info("x", [None, 1])], outputs, weights)
    made = bundle(Signature((Field("x", DType.FP32),), (Field("prediction", DType.INT64),)), task=Task.BINARY,
                  classes=(0, 1), **fields)  # fmt: skip
    return Onnx().load(place, made)


def test_the_threshold_of_the_bundle_decides(tmp_path: Path) -> None:
    """Also where the Signature does not answer the probability; NaN is no decision."""
    rows = {"x": np.float32([0.2, 0.3, 0.5, 0.9])}
    assert probable(tmp_path).predict(rows)["prediction"].tolist() == [0, 0, 0, 1]
    assert probable(tmp_path, threshold=0.3).predict(rows)["prediction"].tolist() == [0, 1, 1, 1]
    with pytest.raises(ModelFault, match="NaN"):
        probable(tmp_path, threshold=0.3).predict({"x": np.float32([np.nan])})


def test_the_files_of_others(shared_data: Path, tmp_path: Path) -> None:
    """Of the samples two are broken and some compute gradients: each is refused; all others are opened or refused."""
    from keepfit.serve.runtimes.onnx import open_session

    refused = {}
    for path in sorted((shared_data / "models").rglob("*.onnx")):
        try:
            open_session(path)
        except Refused as error:
            refused[f"{path.parent.name}/{path.name}"] = error.code
    assert refused["OnnxModels/badModel.onnx"] == refused["OnnxModels/notModel.onnx"] == "corrupt"
    assert refused["test_gradient_of_add/model.onnx"] == "training_operator"
    assert not {name for name in refused if "Iris" in name or "super_resolution" in name or name.startswith("1/")}
