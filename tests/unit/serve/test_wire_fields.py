"""Wires: richer fields (choices, timestamps, oneofs, whole tensors), and what hides in JSON that looks right."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import toys
from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import MISSING_TIME, DType, Field, Signature
from keepfit.serve.wire import Call, Inference, Rows

OUT = (Field("prediction", DType.INT64), Field("probabilities", DType.FP32, (3,)))
ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def infer(signature: Signature, inputs: Any, **more: Any) -> Any:
    return Inference("m", 7, "abc", signature).decode(json.dumps({"inputs": inputs, **more}).encode())


FULL = Signature(
    (
        Field("when", DType.INT64, nullable=True, timestamp=True),
        Field("colour", DType.BYTES, choices=("red", "blue")),
        Field("pair", DType.FP32, (2,)),
    ),
    (
        Field("when", DType.INT64, nullable=True, timestamp=True),
        Field("word", DType.BYTES, nullable=True),
        Field("free", DType.FP64, (-1,)),
    ),
)


def test_choices_and_timestamps() -> None:
    """A text must be among its choices; a timestamp is an INT64, and null where it may be missing."""
    inputs = [tensor("when", "INT64", [2], [1, None]), tensor("colour", "BYTES", [2], ["red", "blue"])]
    inputs.append(tensor("pair", "FP32", [2, 2], [1, 2, 3, 4]))
    call = infer(FULL, inputs)
    assert call.inputs["when"].tolist() == [1, MISSING_TIME]
    assert list(call.inputs["colour"]) == ["red", "blue"]
    inputs[1]["data"] = ["red", "green"]
    with pytest.raises(SignatureInvalid, match="'green'") as caught:
        infer(FULL, inputs)
    assert caught.value.code == "wrong_choice"
    row = {"when": None, "colour": "green", "pair": [1, 2]}
    with pytest.raises(SignatureInvalid, match="'red', 'blue'") as caught:
        Rows(FULL).decode(json.dumps(row).encode())
    assert caught.value.code == "wrong_choice"
    batch = Rows(FULL).decode(json.dumps(row | {"colour": "red"}).encode())
    assert batch.inputs["when"].tolist() == [MISSING_TIME]


def test_missing_and_free_outputs_are_written_as_they_are() -> None:
    """A missing timestamp or text is null, and a free dimension has the size it has in this answer."""
    outputs = {
        "when": np.array([5, MISSING_TIME]),
        "word": np.array(["a", ""], dtype=object),
        "free": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    }
    answer = json.loads(Inference("m", 7, "abc", FULL).encode(Call("", 2, {}), "r", outputs))
    assert [(o["shape"], o["data"]) for o in answer["outputs"]] == [
        ([2], [5, None]),
        ([2], ["a", None]),
        ([2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ]
    found = json.loads(Rows(FULL).encode(["x", "y"], outputs, single=False))
    assert found[1] == {"_id": "y", "when": None, "word": None, "free": [4.0, 5.0, 6.0]}


ONE = Signature(
    (
        Field("iban", DType.BYTES, nullable=True, oneof="account"),
        Field("number", DType.INT64, nullable=True, oneof="account"),
        Field("grid", DType.FP32, (2,), nullable=True, oneof="account"),
        Field("amount", DType.FP64),
    ),
    OUT,
)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"iban": ["a", "b"]}, ""),
        ({"number": [1, 2]}, ""),
        ({"grid": [1, 2, 3, 4]}, ""),
        ({"iban": ["a", "b"], "grid": [None, None, None, None]}, ""),
        ({"iban": ["a", None], "grid": [None, None, 1, 2]}, ""),
        ({}, "oneof"),
        ({"iban": ["a", None]}, "oneof"),
        ({"iban": ["a", "b"], "number": [1, 2]}, "oneof"),
    ],
)
def test_exactly_one_of_a_oneof_is_sent(sent: dict[str, Any], code: str) -> None:
    """The others may be left out or null; none, or two, for a record is an error."""
    types = {"iban": "BYTES", "number": "INT64", "grid": "FP32"}
    inputs = [tensor(n, types[n], [2, 2] if n == "grid" else [2], v) for n, v in sent.items()]
    inputs.append(tensor("amount", "FP64", [2], [1, 2]))
    if not code:
        call = infer(ONE, inputs)
        assert {name: len(values) for name, values in call.inputs.items()} == dict.fromkeys(
            ("iban", "number", "grid", "amount"), 2
        )
        assert call.inputs["grid"].shape == (2, 2)
        return
    with pytest.raises(SignatureInvalid, match="account") as caught:
        infer(ONE, inputs)
    assert caught.value.code == code


def test_rows_choose_their_member_of_a_oneof_each() -> None:
    """Row by row another member may be sent."""
    wire = Rows(ONE)
    batch = wire.decode(json.dumps([{"amount": 1, "iban": "a"}, {"amount": 2, "grid": [1, 2], "iban": None}]).encode())
    assert (list(batch.inputs["iban"]), batch.inputs["number"].tolist()) == (["a", ""], [0, 0])
    np.testing.assert_array_equal(batch.inputs["grid"], [[np.nan, np.nan], [1, 2]])
    for row in ({"amount": 1}, {"amount": 1, "iban": "a", "number": 2}):
        with pytest.raises(SignatureInvalid) as caught:
            wire.decode(json.dumps(row).encode())
        assert caught.value.code == "oneof"
    with pytest.raises(SignatureInvalid) as caught:
        wire.decode(b'{"amount":1,"number":"x"}')
    assert caught.value.code == "wrong_type"


WHOLE = Signature(
    (Field("image", DType.FP32, (2, 2)), Field("k", DType.INT64)), (Field("out", DType.FP32, (1, 3)),), batched=False
)


def test_a_model_of_whole_tensors_takes_one_record() -> None:
    """Where the Signature is not batched the wires have no leading dimension, and the arrays have one of 1."""
    wire = Inference("m", 7, "abc", WHOLE)
    call = infer(WHOLE, [tensor("image", "FP32", [2, 2], [1, 2, 3, 4]), tensor("k", "INT64", [], [3])])
    assert (call.rows, call.inputs["image"].shape, call.inputs["k"].shape) == (1, (1, 2, 2), (1,))
    answer = json.loads(wire.encode(call, "r", {"out": np.array([[[1, 2, 3]]], dtype=np.float32)}))
    assert answer["outputs"][0]["shape"] == [1, 3]
    text, length = wire.encode_binary(
        Call("", 1, {}, binary=frozenset({"out"})), "r", {"out": np.array([[[1, 2, 3]]], dtype=np.float32)}
    )
    assert json.loads(text[:length])["outputs"][0]["shape"] == [1, 3]
    with pytest.raises(SignatureInvalid, match=r"\[2, 2\]") as caught:
        infer(WHOLE, [tensor("image", "FP32", [1, 2, 2], [1, 2, 3, 4]), tensor("k", "INT64", [], [3])])
    assert caught.value.code == "wrong_shape"
    assert Rows(WHOLE).decode(b'[{"image":[1,2,3,4],"k":3}]').inputs["image"].shape == (1, 2, 2)
    with pytest.raises(SignatureInvalid) as caught:
        Rows(WHOLE).decode(b'[{"image":[1,2,3,4],"k":3},{"image":[1,2,3,4],"k":3}]')
    assert caught.value.code == "one_record"


T = b'{"name":"x","datatype":"FP64","shape":[1],"data":[1]}'
SMALL = Signature((Field("x", DType.FP64),), OUT)


@pytest.mark.parametrize(
    ("body", "doubled"),
    [
        (b'{"inputs":[%s]}' % T, False),
        (b'{"id":"me","inputs":[%s],"parameters":{"a":1,"b":"c"},"outputs":[{"name":"prediction"}]}' % T, False),
        (b'{"inputs":[%s],"unknown":{"a":1}}' % T, False),
        (b'{"inputs":[%s],"inputs":[%s]}' % (T, T), True),
        (b'{"inputs":[],"inputs":[%s]}' % T, True),
        (b'{"inputs":[%s],"id":"a","id":""}' % T, True),
        (b'{"inputs":[%s],"\\u0069nputs":[%s]}' % (T, T), True),
        (b'{"inputs":[{"shape":[9],%s]}' % T[1:], True),
        (b'{"inputs":[{"data":[2],%s]}' % T[1:], True),
        (b'{"inputs":[%s],"parameters":{"timeout":1,"timeout":2}}' % T, True),
        (b'{"inputs":[%s],"unknown":{"a":1,"a":2}}' % T, True),
    ],
)
def test_keys_that_come_twice_are_refused(body: bytes, doubled: bool) -> None:
    """However they are hidden: a checker before us may have read the other one."""
    wire = Inference("m", 7, "abc", SMALL)
    if not doubled:
        assert wire.decode(body).inputs["x"].tolist() == [1.0]
        return
    with pytest.raises(SignatureInvalid, match="twice") as caught:
        wire.decode(body)
    assert caught.value.code == "duplicate_key"


@pytest.mark.parametrize(
    "body",
    [
        '{"amount":1,"count":2,"city":"a","new":true,"amount":3}',
        '[{"amount":1,"count":2,"city":"a","new":true},{"amount":1,"count":2,"city":null,"new":true,"c\\u006funt":3}]',
        '{"amount":1,"count":2,"city":null,"new":true,"_id":"a","_id":"b"}',
        '{"amount":1,"count":2,"city":"x","new":true,"city":null}',
    ],
)
def test_rows_refuse_keys_that_come_twice(body: str) -> None:
    """Also where a missing text would make room for the other key."""
    with pytest.raises(SignatureInvalid) as caught:
        Rows(toys.COLUMNS).decode(body.encode())
    assert caught.value.code == "duplicate_key"


def test_texts_that_are_not_utf8_are_refused() -> None:
    """Wherever they are: a tensor's data is only looked at when its type is known."""
    signature = Signature((Field("b", DType.BYTES),), OUT)
    body = b'{"inputs":[{"name":"b","datatype":"BYTES","shape":[1],"data":["\xee"]}]}'
    with pytest.raises(SignatureInvalid, match="utf-8") as caught:
        Inference("m", 7, "abc", signature).decode(body)
    assert caught.value.code == "invalid_json"


def test_quotation_marks_in_texts_are_no_keys() -> None:
    """Texts may hold what looks like a key."""
    city = '"city": "inputs", "inputs" \\'
    types = zip(ROW, ("FP64", "INT64", "BYTES", "BOOL"), strict=True)
    inputs = [tensor(name, datatype, [1], [(ROW | {"city": city})[name]]) for name, datatype in types]
    assert list(infer(toys.COLUMNS, inputs).inputs["city"]) == [city]
    assert list(Rows(toys.COLUMNS).decode(json.dumps(ROW | {"city": city}).encode()).inputs["city"]) == [city]


@pytest.mark.parametrize("depth", [2, 3, 900])
def test_nesting_beyond_the_dimensions_is_refused_quickly(depth: int) -> None:
    """Deep nesting beside many values costs no more than reading them."""
    data = b"[%s,%s]" % (b",".join([b"1"] * 1000), b"[" * depth + b"1" + b"]" * depth)
    body = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1001],"data":%s}]}' % data
    with pytest.raises(SignatureInvalid) as caught:
        Inference("m", 7, "abc", SMALL).decode(body)
    assert caught.value.code == "wrong_shape"


@pytest.mark.parametrize("shape", [[2**63], [2**40, 2**40], [0, 2**70], [-(2**63)], [2**62, 0], [1, 0], [1, -1]])
def test_shapes_no_computer_has(shape: list[int]) -> None:
    """Sizes are held against the data before anything is made of them."""
    free = Signature((Field("x", DType.FP64, (-1,)),), OUT)
    for signature in (SMALL, free):
        with pytest.raises(SignatureInvalid) as caught:
            infer(signature, [tensor("x", "FP64", shape, [])])
        assert caught.value.code in ("wrong_shape", "empty_batch", "too_many_rows")


def test_a_request_has_no_more_rows_than_can_be_kept() -> None:
    """Each row gets an id and a Record: a few megabytes must not buy millions of them."""
    signature = Signature((Field("x", DType.BOOL),), OUT)
    head = b'{"inputs":[{"name":"x","datatype":"BOOL","shape":[%d],"parameters":{"binary_data_size":%d}}]}'
    many = 2**20 + 1
    text = head % (many, many)
    with pytest.raises(SignatureInvalid) as caught:
        Inference("m", 7, "abc", signature).decode(text + bytes(many), b"%d" % len(text))
    assert caught.value.code == "too_many_rows"
