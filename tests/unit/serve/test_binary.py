"""Raw tensors in and out: what is in place is exact, what is not is a precise error."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

import toys
from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire import Inference
from keepfit.serve.wire.binary import from_raw, to_raw

OUT = toys.TENSOR.outputs
NUMBERS = [dtype for dtype in DType if dtype is not DType.BYTES]


def asked(tensors: list[dict[str, Any]], raw: bytes, **more: Any) -> tuple[bytes, bytes]:
    """A body and its header."""
    text = json.dumps({"inputs": tensors, **more}).encode()
    return text + raw, b"%d" % len(text)


def raw(name: str, datatype: str, shape: list[int], size: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}, **more}


def one(field: Field) -> Inference:
    return Inference("m", 7, "abc", Signature((field,), OUT))


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("pad", range(3))
def test_numbers_arrive_exactly(dtype: DType, pad: int) -> None:
    """Every type, wherever in the body it lies, as aligned arrays of exactly that type."""
    values = np.array([[0, 1], [1, 0]]).astype({"BOOL": "bool"}.get(dtype, dtype.lower().replace("fp", "float")))
    body, head = asked([raw("x", dtype, [2, 2], values.nbytes)], values.tobytes(), id="p" * pad)
    found = one(Field("x", dtype, (2,))).decode(body, head).inputs["x"]
    assert (found.dtype, found.flags.aligned) == (values.dtype, True)
    np.testing.assert_array_equal(found, values)


def test_texts_arrive_exactly() -> None:
    """A length and UTF-8 for each."""
    texts = ["", "é", "a\x00b", "x" * 300]
    data = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    body, head = asked([raw("x", "BYTES", [4], len(data))], data)
    assert list(one(Field("x", DType.BYTES)).decode(body, head).inputs["x"]) == texts
    assert to_raw(np.array(texts, dtype=object)) == data


def test_raw_and_json_tensors_mix() -> None:
    """Each input as it likes; a narrower type is welcome here as well."""
    signature = Signature((Field("a", DType.FP64), Field("b", DType.BYTES), Field("c", DType.INT64)), OUT)
    data = np.array([0.5, 1.5], np.float32).tobytes() + np.array([-3, 4], np.int16).tobytes()
    tensors = [
        raw("a", "FP32", [2], 8),
        {"name": "b", "datatype": "BYTES", "shape": [2], "data": ["x", "y"]},
        raw("c", "INT16", [2, 1], 4),
    ]
    body, head = asked(tensors, data)
    call = Inference("m", 7, "abc", signature).decode(body, head)
    assert {name: values.tolist() for name, values in call.inputs.items()} == {
        "a": [0.5, 1.5],
        "b": ["x", "y"],
        "c": [-3, 4],
    }
    assert (call.inputs["a"].dtype, call.inputs["c"].dtype) == (np.float64, np.int64)


def test_numbers_of_their_own_type_are_not_copied() -> None:
    """One view of the body per tensor, where the processor likes the address."""
    buffer = memoryview(bytes(1024))
    field = Field("x", DType.FP32)
    shared = [np.shares_memory(from_raw(field, "FP32", buffer[at : at + 64], 16), buffer) for at in range(8)]
    assert shared.count(True) == 2


@pytest.mark.parametrize(
    ("parameters", "outputs", "binary"),
    [
        ({}, None, set()),
        ({"binary_data_output": True}, None, {"prediction", "probability"}),
        ({"binary_data_output": True}, [{"name": "probability"}], {"probability"}),
        ({}, [{"name": "probability", "parameters": {"binary_data": True}}, {"name": "prediction"}], {"probability"}),
        ({"binary_data_output": True}, [{"name": "probability", "parameters": {"binary_data": False}}], set()),
    ],
)
def test_outputs_are_raw_where_they_are_wished_so(parameters: Any, outputs: Any, binary: set[str]) -> None:
    """By output, or for all that do not say otherwise; raw ones follow the JSON in its order."""
    wire = Inference("m", 7, "abc", toys.TENSOR)
    more = {"parameters": parameters} | ({"outputs": outputs} if outputs else {})
    x = np.zeros((2, 20), np.float32)
    call = wire.decode(*asked([raw("x", "FP32", [2, 20], x.nbytes)], x.tobytes(), **more))
    assert call.binary == binary
    answers = {"prediction": np.array([1, 0]), "probability": np.array([0.25, 0.5], np.float32)}
    body, length = wire.encode_binary(call, "r", answers)
    at = length
    found = {}
    for output in json.loads(body[:length])["outputs"]:
        values = answers[output["name"]]
        if output["name"] in binary:
            size = output["parameters"]["binary_data_size"]
            found[output["name"]] = np.frombuffer(body[at : at + size], values.dtype).tolist()
            at += size
        else:
            found[output["name"]] = output["data"]
        assert (output["shape"], found[output["name"]]) == ([2], values.tolist())
    assert at == len(body)
    assert set(found) == ({o["name"] for o in outputs} if outputs else set(answers))


X = np.zeros((1, 20), np.float32).tobytes()
NAN, INFINITE = (np.full((1, 20), value, np.float32).tobytes() for value in (np.nan, -np.inf))


@pytest.mark.parametrize(
    ("tensors", "tail", "head", "code"),
    [
        ([raw("x", "FP32", [1, 20], 80)], X, b"9999", "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"-1", "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"+71", "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"7_1", "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"", "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"1" * 30, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"\xb2", "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"0", "invalid_json"),
        ([raw("x", "FP32", [1, 20], 80)], X, b"20", "invalid_json"),
        ([raw("x", "FP32", [1, 20], 80)], X[:-1], None, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80)], X + b"\0", None, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 76)], X[:-4], None, "wrong_shape"),
        ([raw("x", "FP32", [2, 20], 80)], X, None, "wrong_shape"),
        ([raw("x", "FP32", [-1, 20], 80)], X, None, "wrong_shape"),
        ([raw("x", "FP32", [2**63, 20], 80)], X, None, "too_many_rows"),
        ([raw("x", "FP32", [2**63, 2**63], 80)], X, None, "wrong_shape"),
        ([raw("x", "FP32", [0, 20], 0)], b"", None, "empty_batch"),
        ([raw("x", "FP64", [1, 20], 80)], X, None, "wrong_type"),
        ([raw("x", "FP32", [1, 20], -80)], X, None, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], "80")], X, None, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80.0)], X, None, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], True)], X, None, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 10**30)], X, None, "invalid_framing"),
        ([raw("x", "FP32", [1, 20], 80, data=[0.0] * 20)], X, None, "invalid_framing"),
        ([{"name": "x", "datatype": "FP32", "shape": [1, 20]}], b"", None, "missing_data"),
        ([raw("x", "FP32", [1, 20], 80)], NAN, None, "not_finite"),
        ([raw("x", "FP32", [1, 20], 80)], INFINITE, None, "not_finite"),
        ([raw("x", "FP32", [1, 20], 80), raw("x", "FP32", [1, 20], 80)], X + X, None, "duplicate_input"),
    ],
)
def test_wrong_framing_is_told_precisely(tensors: Any, tail: bytes, head: bytes | None, code: str) -> None:
    """Each mistake has its machine code and a sentence."""
    body, right = asked(tensors, tail)
    with pytest.raises(SignatureInvalid) as caught:
        Inference("m", 7, "abc", toys.TENSOR).decode(body, right if head is None else head)
    assert caught.value.code == code, str(caught.value)
    assert len(str(caught.value)) < 400


def test_raw_data_needs_its_header() -> None:
    """Without it nobody can say where the JSON ends."""
    with pytest.raises(SignatureInvalid, match="Inference-Header-Content-Length") as caught:
        Inference("m", 7, "abc", toys.TENSOR).decode(asked([raw("x", "FP32", [1, 20], 80)], b"")[0])
    assert caught.value.code == "invalid_framing"


def _texts(*lengths: int, tail: bytes = b"") -> bytes:
    return b"".join(struct.pack("<I", n) + b"a" * min(n, 5) for n in lengths) + tail


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (_texts(5, tail=b"\x01"), "invalid_framing"),
        (_texts(5, 2**32 - 1), "invalid_framing"),
        (_texts(5), "wrong_shape"),
        (_texts(1, 1, 1), "wrong_shape"),
        (struct.pack("<I", 2) + b"\xff\xfe" + _texts(1), "not_utf8"),
        (struct.pack("<I", 3) + b"\xed\xa0\x80" + _texts(1), "not_utf8"),
        (b"", "wrong_shape"),
    ],
)
def test_texts_that_are_cut_or_none_are_refused(data: bytes, code: str) -> None:
    """A length beyond the data, bytes that are not UTF-8, too few or too many."""
    body, head = asked([raw("x", "BYTES", [2], len(data))], data)
    with pytest.raises(SignatureInvalid) as caught:
        one(Field("x", DType.BYTES)).decode(body, head)
    assert caught.value.code == code, str(caught.value)


def test_values_are_held_against_their_field() -> None:
    """A truth value is 0 or 1, a text one of the choices, NaN only where a value may be missing."""
    cases = [
        (Field("x", DType.BOOL), "BOOL", b"\x02", "wrong_type"),
        (Field("x", DType.BYTES, choices=("a",)), "BYTES", _texts(2), "wrong_choice"),
        (Field("x", DType.FP64, nullable=True), "FP64", np.array([np.inf]).tobytes(), "not_finite"),
    ]
    for field, datatype, data, code in cases:
        body, head = asked([raw("x", datatype, [1], len(data))], data)
        with pytest.raises(SignatureInvalid) as caught:
            one(field).decode(body, head)
        assert caught.value.code == code
    body, head = asked([raw("x", "FP64", [1], 8)], np.array([np.nan]).tobytes())
    assert np.isnan(one(Field("x", DType.FP64, nullable=True)).decode(body, head).inputs["x"]).all()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"outputs": [{"name": "prediction", "parameters": {"classification": 3}}]}, "unsupported_parameter"),
        ({"parameters": {"sequence_id": 7}}, "unsupported_parameter"),
        ({"parameters": {"timeout": "soon"}}, "wrong_type"),
        ({"parameters": {"timeout": -1}}, "wrong_type"),
        ({"parameters": {"binary_data_output": 1}}, "wrong_type"),
        ({"parameters": [1]}, "invalid_request"),
        ({"outputs": [{"name": "prediction"}, {"name": "prediction"}]}, "duplicate_output"),
    ],
)
def test_wishes_that_cannot_be_granted_are_refused(more: Any, code: str) -> None:
    """What would change the answer is never left out silently."""
    body, head = asked([raw("x", "FP32", [1, 20], 80)], X, **more)
    with pytest.raises(SignatureInvalid) as caught:
        Inference("m", 7, "abc", toys.TENSOR).decode(body, head)
    assert caught.value.code == code


def test_wishes_that_change_nothing_are_read() -> None:
    """A deadline is known to the door; a priority, and what others invented, is no error."""
    body, head = asked([raw("x", "FP32", [1, 20], 80)], X, parameters={"timeout": 500, "priority": 3, "mine": "a"})
    assert Inference("m", 7, "abc", toys.TENSOR).decode(body, head).timeout == 500


def test_what_was_read_before_is_read_the_same_again() -> None:
    """Equal JSON before other numbers: the answer to each is what a reader that has seen nothing would give."""
    fields = (Field("x", DType.FP32, (2,)), Field("n", DType.INT64), Field("t", DType.BYTES))
    signature = Signature(fields, (Field("y", DType.FP32),))
    seasoned = Inference("s", 1, "d", signature)
    wishes = {"parameters": {"binary_data_output": True, "timeout": 7}, "outputs": [{"name": "y"}]}
    rng = np.random.default_rng(1)
    for turn in range(60):
        words = _texts(*([3, 5] if turn % 3 else [5, 3]))
        x, n = rng.normal(size=(2, 2)).astype(np.float32), rng.integers(0, 9, 2).astype(np.int32)
        if turn % 7 == 6:
            x[1, 1] = np.nan
        if turn % 11 == 10:
            words = _texts(8)
        tensors = [raw("x", "FP32", [2, 2], 16), raw("n", "INT32", [2], 8), raw("t", "BYTES", [2], len(words))]
        data = x.tobytes() + n.tobytes() + words
        body, head = asked(tensors, data[:-1] if turn % 13 == 12 else data, **(wishes if turn % 2 else {}))
        assert _outcome(seasoned, body, head) == _outcome(Inference("s", 1, "d", signature), body, head)


def _outcome(inference: Inference, body: bytes, head: bytes) -> Any:
    try:
        call = inference.decode(body, head)
    except SignatureInvalid as error:
        return error.code, str(error)
    inputs = {name: (array.dtype, array.shape, array.tolist()) for name, array in call.inputs.items()}
    return call.id, call.rows, inputs, call.wanted, call.binary, call.timeout


def test_few_beginnings_are_remembered() -> None:
    """Callers that number their requests fill no memory, whether by ids or by parameters."""
    inference = one(Field("x", DType.FP32))
    for turn in range(3000):
        body, head = asked([raw("x", "FP32", [1], 4)], bytes(4), parameters={"turn": turn})
        assert inference.decode(body, head).inputs["x"].tolist() == [0.0]
        body, head = asked([raw("x", "FP32", [1], 4)], bytes(4), id=f"r{turn}")
        assert inference.decode(body, head).id == f"r{turn}"
    assert 0 < len(inference._known) <= 1024
