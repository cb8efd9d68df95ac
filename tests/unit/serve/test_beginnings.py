"""Beginnings of messages: what is read by a known one is what parsing would have read, to the last error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.core.errors import Invalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.beginnings import Beginnings, varint
from keepfit.serve.wire.calls import Calls, request_of
from keepfit.serve.wire.inference import Inference
from keepfit.serve.wire.protocol import messages

Message = messages()["ModelInferRequest"]


def calls(*inputs: Field, batched: bool = True) -> Calls:
    signature = Signature(inputs, (Field("y", DType.FP32),), batched)
    return Calls("toy", 1, "d" * 64, signature, Inference("toy", 1, "d" * 64, signature))


def message(content: bytes, *, name: str = "x", datatype: str = "FP32", shape: tuple[int, ...] = (1, 3)) -> Any:
    made = Message(model_name="toy", raw_input_contents=[content])
    made.inputs.add(name=name, datatype=datatype, shape=shape)
    return made


def learnt(made: Any) -> Beginnings:
    found = Beginnings(Message)
    found.learn(made.SerializeToString(), made, request_of(made)[0])
    return found


def outcome(read: Any) -> Any:
    try:
        call = read()
    except Invalid as error:
        return error.code, str(error)
    return {name: (values.dtype, values.shape, values.tobytes()) for name, values in call.inputs.items()}, call.rows


FIELDS = [
    Field("x", DType.FP32, (3,)),
    Field("x", DType.FP32, (3,), nullable=True),
    Field("x", DType.FP64, (3,)),
    Field("x", DType.FP16, (3,)),
    Field("x", DType.FP32, (-1,)),
    Field("x", DType.INT64, (3,)),
    Field("x", DType.BYTES, (3,)),
    Field("z", DType.FP32, (3,)),
]


@given(
    field=st.sampled_from(FIELDS),
    batched=st.booleans(),
    datatype=st.sampled_from(["FP32", "FP64", "FP16", "INT64", "BYTES", ""]),
    shape=st.sampled_from([(1, 3), (2, 3), (1, 4), (3,), (), (-1, 3), (2**40, 3), (0, 3), (40, 3)]),
    content=st.binary(max_size=32) | st.sampled_from([bytes(12), bytes(24), bytes(480), b"\x3a\x04" * 6]),
    parameter=st.sampled_from(["", "timeout", "sequence_id"]),
    wanted=st.sampled_from(["", "y", "odds"]),
    data=st.data(),
)
@settings(max_examples=400, deadline=None)
def test_what_follows_a_known_beginning_is_read_as_if_it_were_parsed(
    field: Field, batched: bool, datatype: str, shape: Any, content: bytes, parameter: str, wanted: str, data: Any
) -> None:
    """Arrays, types, rows and errors are the same, whatever the second content is, and whatever the Signature."""
    first = message(content, datatype=datatype, shape=shape)
    if parameter:
        first.parameters[parameter].int64_param = 7
    if wanted:
        first.outputs.add(name=wanted)
    beginnings, wire = learnt(first), calls(field, batched=batched)
    second = Message()
    second.CopyFrom(first)
    second.raw_input_contents[0] = data.draw(st.binary(min_size=len(content), max_size=len(content)))
    body = second.SerializeToString()
    begun = beginnings.of(body)
    assert begun is not None
    assert (begun.model_name, begun.model_version) == ("toy", "")
    for _ in range(2):
        assert outcome(lambda: wire.take(begun, body)) == outcome(lambda: wire.decode(*request_of(second)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("rows", [1, 50])
def test_numbers_that_are_none_are_refused_as_ever(value: float, rows: int) -> None:
    """NaN and the infinities are found among few numbers and among many; the largest number there is, is one."""
    usual = np.ones((rows, 3), np.float32)
    made = message(usual.tobytes(), shape=(rows, 3))
    wire, odd = calls(FIELDS[0]), usual.copy()
    odd[-1, -1] = value
    body = message(odd.tobytes(), shape=(rows, 3)).SerializeToString()
    begun = learnt(made).of(body)
    assert begun is not None
    if np.isfinite(value):
        np.testing.assert_array_equal(wire.take(begun, body).inputs["x"], odd)
        return
    with pytest.raises(Invalid) as caught:
        wire.take(begun, body)
    assert caught.value.code == "not_finite"


def test_another_version_reads_a_known_beginning_by_its_own_signature() -> None:
    """After a swap the same bytes are held against the new Signature, and back."""
    made = message(bytes(12))
    body, narrow, wide = made.SerializeToString(), calls(FIELDS[0]), calls(Field("x", DType.FP64, (3,)))
    begun = learnt(made).of(body)
    assert begun is not None
    for wire, dtype in ((narrow, np.float32), (wide, np.float64), (narrow, np.float32)):
        assert wire.take(begun, body).inputs["x"].dtype == dtype


def test_only_what_can_come_again_is_kept() -> None:
    """Not with an id, with two contents, with a long beginning, or where the content does not come last."""
    named, double, long = (message(bytes(12)) for _ in range(3))
    named.id = "me"
    double.raw_input_contents.append(bytes(12))
    double.inputs.add(name="z", datatype="FP32", shape=[1, 3])
    long.inputs[0].parameters["note"].string_param = "n" * 3000
    for made in (named, double, long):
        assert learnt(made).of(made.SerializeToString()) is None
    body = message(b"").SerializeToString()[: -len(b"\x3a\x00")]
    moved = b"\x3a\x04" + bytes(4) + body + b"\x0a\x06\x3a\x04" + bytes(4)  # the model's name looks like the content
    parsed = Message.FromString(moved)
    beginnings = Beginnings(Message)
    beginnings.learn(moved, parsed, request_of(parsed)[0])
    assert beginnings.of(moved) is None


def test_a_table_that_is_full_begins_anew() -> None:
    """Who never says the same twice takes no more room than a thousand beginnings."""
    beginnings = Beginnings(Message)
    for number in range(2000):
        made = message(bytes(12), name=f"x{number}")
        beginnings.learn(made.SerializeToString(), made, request_of(made)[0])
    assert len(beginnings) <= 1024
    assert beginnings.of(made.SerializeToString()) is not None


@pytest.mark.parametrize("number", [0, 127, 128, 300, 2**21, 2**63])
def test_a_varint_is_protobufs(number: int) -> None:
    """Whatever is written is what protobuf writes."""
    made = messages()["InferParameter"](uint64_param=number)
    assert made.SerializeToString() == b"\x28" + varint(number)
