"""What an ONNX file says of itself is read whole, though the numbers of its forests are passed over."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, external_data_helper, helper

from keepfit.core.errors import Refused
from keepfit.serve.runtimes.onnx_file import contents

floats = st.lists(st.floats(width=32), max_size=40)
ints = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40)
texts = st.lists(st.binary(max_size=40), max_size=40)


def far(location: str) -> TensorProto:
    tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1], raw_data=bytes(4))
    external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    return tensor


def model(attribute: onnx.AttributeProto) -> bytes:
    node = onnx.NodeProto(op_type="Forest", domain="ai.onnx.ml", attribute=[attribute])
    return helper.make_model(helper.make_graph([node], "g", [], [])).SerializeToString()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graph") / "model.onnx"


@given(numbers=floats, wholes=ints, words=texts)
def test_weights_are_found_behind_any_numbers(
    path: Path, numbers: list[float], wholes: list[int], words: list[bytes]
) -> None:
    """Whatever numbers and strings an attribute has, weights that follow them are told, and so is the operator."""
    attribute = onnx.AttributeProto(name="a", floats=numbers, ints=wholes, strings=words, tensors=[far("beside")])
    path.write_bytes(model(attribute))
    found = contents(path)
    assert found.locations == {"beside"}
    assert found.operators == {("ai.onnx.ml", "Forest")}


@given(numbers=floats, wholes=ints, words=texts, cut=st.integers(1, 400))
def test_a_file_that_was_cut_short_is_refused(
    path: Path, numbers: list[float], wholes: list[int], words: list[bytes], cut: int
) -> None:
    """Wherever it ends, though it be in the middle of a number."""
    attribute = onnx.AttributeProto(name="a", floats=numbers, ints=wholes, strings=words)
    graph = onnx.GraphProto(name="g", node=[onnx.NodeProto(op_type="Forest", attribute=[attribute])])
    whole = onnx.ModelProto(graph=graph).SerializeToString()
    path.write_bytes(whole[: max(1, len(whole) - cut)])
    with pytest.raises(Refused):
        contents(path)


def test_a_number_of_more_than_64_bits_is_refused(path: Path) -> None:
    """What is passed over is what the format allows, and no more."""
    attribute = b"\x40" + b"\xff" * 10 + b"\x01"
    node = b"\x2a" + bytes([len(attribute)]) + attribute
    graph = b"\x0a" + bytes([len(node)]) + node
    path.write_bytes(b"\x3a" + bytes([len(graph)]) + graph)
    with pytest.raises(Refused, match="more than 64 bits"):
        contents(path)
