"""Inference messages over gRPC: no bytes whatever are anybody's fault but the caller's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import contracts
from keepfit.core.errors import Invalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.calls import Calls, request_of
from keepfit.serve.wire.inference import Inference
from keepfit.serve.wire.protocol import messages
from keepfit.serve.wire.typed import Typed, from_binary

SIGNATURE = Signature(
    (Field("x", DType.FP32, (-1,)), Field("t", DType.BYTES, nullable=True), Field("h", DType.FP16)),
    (Field("y", DType.FP16), Field("s", DType.BYTES), Field("v", DType.INT64, (-1,))),
)
NAMES = st.sampled_from(["x", "t", "h", "z", ""])
DATATYPES = st.sampled_from(["FP32", "BYTES", "FP16", "INT8", "BF16", ""])
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3)


def calls(signature: Signature) -> Calls:
    return Calls("toy", 1, "d" * 64, signature, Inference("toy", 1, "d" * 64, signature))


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """Messages that are nearly right."""
    message = messages()["ModelInferRequest"](id=draw(st.text(max_size=3)))
    for _ in range(draw(st.integers(0, 4))):
        tensor = message.inputs.add(
            name=draw(NAMES), datatype=draw(DATATYPES), shape=draw(st.lists(NUMBERS, max_size=3))
        )
        if draw(st.booleans()):
            tensor.contents.fp32_contents.extend(draw(st.lists(st.floats(width=32), max_size=3)))
        if draw(st.booleans()):
            tensor.contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=5), max_size=3)))
    message.raw_input_contents.extend(draw(st.lists(st.binary(max_size=16), max_size=4)))
    for name in draw(st.lists(st.sampled_from(["timeout", "sequence_id", "binary_data_output", "x"]), max_size=2)):
        message.parameters[name].int64_param = draw(NUMBERS)
    for name in draw(st.lists(st.sampled_from(["y", "s", "q"]), max_size=2)):
        message.outputs.add(name=name).parameters["classification"].int64_param = draw(st.integers(0, 1))
    return message


@given(requests())
@settings(max_examples=300, deadline=None)
def test_nearly_right_requests_are_read_or_refused(message: Any) -> None:
    """What is read has one row per record and the Signature's types; everything else is Invalid."""
    try:
        call = calls(SIGNATURE).decode(*request_of(message))
    except Invalid:
        return
    assert {len(values) for values in call.inputs.values()} == {call.rows}
    assert [call.inputs[name].dtype for name in ("x", "t", "h")] == [np.float32, object, np.float16]


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    """Neither wire fails on bytes: the few that happen to be a message have the Signature's types."""
    typed = Typed("toy", SIGNATURE)
    for json in (True, False):
        for method in typed.methods.values():
            try:
                batch = typed.decode(method, body, json=json)
            except Invalid:
                continue
            assert [batch.inputs[name].dtype for name in ("x", "t", "h")] == [np.float32, object, np.float16]
    with pytest.raises(Invalid):
        calls(SIGNATURE).decode(*request_of(from_binary(messages()["ModelInferRequest"], body)))


@pytest.mark.parametrize("seed", range(40))
def test_raw_requests_give_their_arrays_back(seed: int) -> None:
    """Of random Signatures, what is sent raw is what is read; and the answer, raw or typed, is what was answered."""
    random = np.random.default_rng(seed)
    drawn = contracts.signature(random, batched=seed % 4 > 0)
    rows = int(random.integers(1, 4)) if drawn.batched else 1
    inputs, outputs = contracts.record(random, drawn.inputs, rows), contracts.record(random, drawn.outputs, rows)
    inputs = {name: values for name, values in inputs.items() if values.size}
    plain = tuple(replace(field, oneof="") for field in drawn.inputs if field.name in inputs)
    if not plain:
        return
    signature = Signature(plain, drawn.outputs, drawn.batched)
    wire = calls(signature)
    message = messages()["ModelInferRequest"](model_name="toy")
    for field in signature.inputs:
        values = inputs[field.name]
        shape = values.shape if signature.batched else values.shape[1:]
        message.inputs.add(name=field.name, datatype=field.dtype.value, shape=shape)
        message.raw_input_contents.append(raw(values))
    call = wire.decode(*request_of(message))
    for name, values in inputs.items():
        np.testing.assert_array_equal(call.inputs[name], values, err_msg=name)
    for as_raw in (True, False):
        answer = messages()["ModelInferResponse"].FromString(wire.encode(call, "me", outputs, raw=as_raw))
        assert (answer.id, answer.model_name, answer.model_version) == ("me", "toy", "1")
        for place, (field, said) in enumerate(zip(signature.outputs, answer.outputs, strict=True)):
            values = outputs[field.name]
            assert (said.name, said.datatype) == (field.name, field.dtype.value)
            assert tuple(said.shape) == (values.shape if signature.batched else values.shape[1:])
            if answer.raw_output_contents:
                assert answer.raw_output_contents[place] == raw(values)


def raw(values: np.ndarray[Any, Any]) -> bytes:
    if values.dtype != object:
        return values.tobytes()
    return b"".join(len(t.encode()).to_bytes(4, "little") + t.encode() for t in values.reshape(-1))
