"""Typed methods: protobuf and its JSON say the same, and what does not fit is refused with the field's name."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2

import contracts
from keepfit.core.errors import Invalid, ModelFault, NotFound
from keepfit.core.signature import Compatibility, DType, Field, Signature, compare
from keepfit.serve.wire.members import writer_of
from keepfit.serve.wire.typed import Typed, to_json


def said(typed: Typed, inputs: dict[str, np.ndarray[Any, Any]], rows: int, method: str) -> Any:
    """The request message that holds these arrays."""
    message = typed.method(method).takes()
    into = [message] if method == "predict" else [message.rows.add() for _ in range(rows)]
    for member in typed.proto.inputs:
        writer_of(member).write(into, inputs[member.field.name])
    return message


def same(left: dict[str, np.ndarray[Any, Any]], right: dict[str, np.ndarray[Any, Any]]) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        assert values.dtype == right[name].dtype, name
        np.testing.assert_array_equal(values, right[name], err_msg=name)


@pytest.mark.parametrize("seed", range(125))
def test_both_forms_say_the_same(seed: int) -> None:
    """Of 500 generated messages of random Signatures, protobuf and JSON give the arrays they were made of, and answers
    in both forms are the same message."""
    random = np.random.default_rng(seed)
    signature = contracts.signature(random, batched=seed % 5 > 0)
    typed = Typed("arrival-delay", signature, major=1 + seed % 2)
    for number in range(4):
        name = "predict_rows" if signature.batched and number % 2 else "predict"
        method, rows = typed.method(name), 1 if name == "predict" else int(random.integers(1, 4))
        inputs = contracts.record(random, signature.inputs, rows)
        message = said(typed, inputs, rows, name)
        binary = typed.decode(method, message.SerializeToString(), json=False)
        spoken = typed.decode(method, to_json(message), json=True)
        same(binary.inputs, inputs)
        same(spoken.inputs, inputs)
        assert (binary.rows, binary.single, binary.ids) == (spoken.rows, spoken.single, spoken.ids)
        outputs = contracts.record(random, signature.outputs, rows)
        ids = [f"r{row}" for row in range(rows)]
        answer = method.gives.FromString(typed.encode(method, ids, outputs, json=False))
        assert json.loads(typed.encode(method, ids, outputs, json=True)) == json.loads(to_json(answer))


SIGNATURE = Signature(
    (
        Field("amount", DType.FP64, nullable=True),
        Field("count", DType.INT8),
        Field("city", DType.BYTES, choices=("Rome", "New York")),
        Field("at", DType.INT64, timestamp=True),
        Field("pickup.lat", DType.FP16),
        Field("weights", DType.FP32, (3,)),
        Field("image", DType.UINT8, (2, -1)),
        Field("mail", DType.BYTES, nullable=True, oneof="contact"),
        Field("phone", DType.INT64, nullable=True, oneof="contact"),
        Field("Größe", DType.BOOL),
    ),
    (Field("p", DType.FP32), Field("kind", DType.BYTES, nullable=True, choices=("a", "b"))),
)
RECORD: dict[str, Any] = {
    "amount": 1.5, "count": -3, "city": "CITY_NEW_YORK", "at": "2026-11-21T10:00:00.5Z", "pickup": {"lat": 0.5},
    "weights": [1, 2, 3], "image": {"shape": ["2", "1"], "data": [7, 8]}, "phone": "12", "Größe": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def typed() -> Typed:
    return Typed("toy", SIGNATURE)


def decoded(typed: Typed, record: Any) -> Any:
    body = record if isinstance(record, bytes) else json.dumps(record).encode()
    return typed.decode(typed.method("predict"), body, json=True)


def test_json_reads_as_proto3_says(typed: Typed) -> None:
    """Enums are names or numbers, int64 are strings or numbers, moments RFC 3339; what is absent is missing, not 0."""
    inputs = decoded(typed, RECORD).inputs
    assert inputs["city"].tolist() == ["New York"]
    assert inputs["at"].tolist() == [1795255200_500000]
    assert inputs["image"].tolist() == [[[7], [8]]]
    assert (inputs["phone"].tolist(), inputs["mail"].tolist()) == ([12], [""])
    bare = {name: value for name, value in RECORD.items() if name != "amount"}
    assert np.isnan(decoded(typed, bare).inputs["amount"]).all()
    assert np.isnan(decoded(typed, RECORD | {"amount": None}).inputs["amount"]).all()
    number = dict(typed.proto.inputs[2].choices)["Rome"]
    other = {**bare, "city": number, "phone": 12, "Gr_e": True}
    del other["Größe"]
    assert decoded(typed, other).inputs["city"].tolist() == ["Rome"]
    rows = typed.decode(typed.method("predict_rows"), json.dumps({"rows": [RECORD, bare]}).encode(), json=True)
    assert rows.inputs["amount"].tolist()[0] == 1.5
    assert np.isnan(rows.inputs["amount"][1])


WRONG: list[tuple[dict[str, Any] | bytes, str, str]] = [
    ({"count": None}, "missing_input", "count"),
    ({"Größe": None}, "missing_input", "Größe"),
    ({"city": "CITY_UNSPECIFIED"}, "missing_input", "city"),
    ({"city": "Paris"}, "wrong_type", "city"),
    ({"city": 5}, "wrong_choice", "city"),
    ({"count": 200}, "wrong_type", "count"),
    ({"count": 1.5}, "wrong_type", "count"),
    ({"count": "x"}, "wrong_type", "count"),
    ({"count": 2**70}, "wrong_type", "count"),
    ({"amount": "Infinity"}, "not_finite", "amount"),
    ({"pickup": {"lat": "NaN"}}, "not_finite", "pickup.lat"),
    ({"pickup": {"lat": 70000}}, "not_finite", "pickup.lat"),
    ({"pickup": {}}, "missing_input", "pickup.lat"),
    ({"pickup": {"lat": 1, "lot": 1}}, "unknown_input", "lot"),
    ({"pickup": [1]}, "wrong_type", ""),
    ({"at": "yesterday"}, "wrong_type", "at"),
    ({"weights": [1, 2]}, "wrong_shape", "weights"),
    ({"weights": None}, "wrong_shape", "weights"),
    ({"weights": [1, None, 2]}, "wrong_type", "weights"),
    ({"image": {"shape": [3, 1], "data": [1, 2, 3]}}, "wrong_shape", "image"),
    ({"image": {"shape": [2, -1], "data": []}}, "wrong_shape", "image"),
    ({"image": {"shape": [2, 2**62], "data": [1]}}, "wrong_shape", "image"),
    ({"image": {"data": [1, 2]}}, "wrong_shape", "image"),
    ({"image": {"shape": [2, 1], "data": [1, 256]}}, "wrong_type", "image"),
    ({"image": None}, "missing_input", "image"),
    ({"phone": None}, "oneof", "phone"),
    ({"mail": "a@b"}, "wrong_type", "contact"),
    ({"colour": 1}, "unknown_input", "colour"),
    (b"[]", "invalid_json", ""),
    (b"5", "invalid_json", ""),
    (b"{", "invalid_json", ""),
    (b"{\xff}", "", ""),
    (b'{"count": ' + b"[" * 100_000, "", ""),
    (b'{"pickup": ' + b'{"lat": ' * 200 + b"1" + b"}" * 201, "", ""),
    (b'{"count": 1, "count": 2}', "invalid_json", "count"),
    (b'{"count": ' + b"9" * 5000 + b"}", "invalid_json", ""),
]


@pytest.mark.parametrize(("change", "code", "named"), WRONG)
def test_what_does_not_fit_is_refused_by_name(
    typed: Typed, change: dict[str, Any] | bytes, code: str, named: str
) -> None:
    """Every kind of wrong JSON is the caller's fault, with a machine code and the field's name."""
    record = change if isinstance(change, bytes) else RECORD | change
    with pytest.raises(Invalid) as caught:
        decoded(typed, record)
    assert named in str(caught.value)
    assert not code or caught.value.code == code, str(caught.value)


def test_binary_that_does_not_fit_is_refused(typed: Typed) -> None:
    """Bytes that are no message, that have fields nobody declared, or fields of another type, are refused."""
    good = said(typed, decoded(typed, RECORD).inputs, 1, "predict").SerializeToString()
    method = typed.method("predict")
    assert typed.decode(method, good, json=False).inputs["count"].tolist() == [-3]
    for bad, code, named in (
        (good[:-1], "invalid_protobuf", "ToyInput"),
        (good + b"\xba\x3e\x01x", "unknown_input", "999"),
        (good + b"\x15\x00\x00\x80\x3f", "wrong_type", "count"),  # number 2 as a float
        (b"", "missing_input", "count"),
        (good + b"\x42\x01\xff", "invalid_protobuf", ""),  # mail, not UTF-8
        (good + b"\x2a\x08\x0d\x00\x00\x80\x7f\x50\x01\x52\x00", "", ""),
    ):
        with pytest.raises(Invalid) as caught:
            typed.decode(method, bad, json=False)
        assert named in str(caught.value)
        assert not code or caught.value.code == code, str(caught.value)


def test_two_rows_cannot_have_one_id(typed: Typed) -> None:
    """Ids come with the records, and must differ."""
    rows = {"rows": [RECORD | {"_id": "mine"}, RECORD]}
    method = typed.method("predict_rows")
    assert typed.decode(method, json.dumps(rows).encode(), json=True).ids == ["mine", ""]
    rows["rows"][1] = RECORD | {"_id": "mine"}
    with pytest.raises(Invalid, match="mine"):
        typed.decode(method, json.dumps(rows).encode(), json=True)
    with pytest.raises(Invalid, match="no rows"):
        typed.decode(method, b"", json=False)


def test_answers_say_what_is_missing_and_what_is_zero(typed: Typed) -> None:
    """A zero is said, a missing value is not; a choice nobody declared is the model's fault."""
    method = typed.method("predict")
    outputs = {"p": np.zeros(1, np.float32), "kind": np.array([""], dtype=object)}
    assert json.loads(typed.encode(method, ["me"], outputs, json=True)) == {"_id": "me", "p": 0.0}
    outputs["kind"][0] = "c"
    with pytest.raises(ModelFault, match="none of its choices"):
        typed.encode(method, ["me"], outputs, json=True)


def test_methods_are_named(typed: Typed) -> None:
    """Another name is answered with those there are; one record a request has one method."""
    with pytest.raises(NotFound, match="predict, predict_rows"):
        typed.method("train")
    single = Typed("toy", Signature(SIGNATURE.inputs, SIGNATURE.outputs, batched=False))
    assert list(single.methods) == ["predict"]


def test_old_callers_are_understood_after_a_widening() -> None:
    """A message made for a Signature is read the same by a wider one: wider numbers, more choices, values to miss."""
    old = Signature(
        (
            Field("n", DType.UINT8),
            Field("c", DType.BYTES, choices=("b", "a")),
            Field("x", DType.FP64),
            Field("f", DType.FP16),
            Field("l", DType.FP16, (4,)),
        ),
        (Field("p", DType.FP32),),
    )
    new = Signature(
        (
            Field("n", DType.INT64),
            Field("c", DType.BYTES, choices=("0", "a", "aa", "b")),
            Field("x", DType.FP64, nullable=True),
            Field("f", DType.FP32),
            Field("l", DType.FP32, (-1,)),
        ),
        (Field("p", DType.FP32), Field("q", DType.FP32)),
    )
    assert compare(old, new).kind is Compatibility.WIDENING
    inputs = {"n": np.array([255], np.uint8), "c": np.array(["a"], dtype=object), "x": np.zeros(1)}
    inputs |= {"f": np.array([0.5], np.float16), "l": np.arange(4, dtype=np.float16).reshape(1, 4)}
    before, after = Typed("toy", old), Typed("toy", new)
    found = after.decode(after.method("predict"), said(before, inputs, 1, "predict").SerializeToString(), json=False)
    assert {name: values.tolist() for name, values in found.inputs.items()} == {
        "n": [255], "c": ["a"], "x": [0.0], "f": [0.5], "l": [[0, 1, 2, 3]]
    }  # fmt: skip


def test_descriptors_are_plain_data(typed: Typed) -> None:
    """The contract is a FileDescriptorProto that can be sent on."""
    file = descriptor_pb2.FileDescriptorProto.FromString(typed.proto.file.SerializeToString())
    assert [method.name for method in file.service[0].method] == ["Predict", "PredictRows"]
