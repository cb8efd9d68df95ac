"""Wires: what callers send becomes arrays or a precise error; what a model answers becomes JSON or Arrow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import toys
from keepfit.core.errors import SignatureInvalid
from keepfit.core.nouns import Task
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire import Inference, Labels, Rows, from_table, to_columns

OUT = (Field("prediction", DType.INT64), Field("probabilities", DType.FP32, (3,)))
EVERY = Signature(tuple(Field(str(dtype), dtype) for dtype in DType), OUT)


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def columns() -> list[dict[str, Any]]:
    return [
        tensor("amount", "FP64", [2], [1.5, None]),
        tensor("count", "INT64", [2, 1], [3, -4]),
        tensor("city", "BYTES", [2], ["Rome", None]),
        tensor("new", "BOOL", [2], [True, False]),
    ]


def infer(signature: Signature, inputs: Any, **more: Any) -> Any:
    return Inference("m", 7, "abc", signature).decode(json.dumps({"inputs": inputs, **more}).encode())


def test_every_type_arrives_as_its_own_dtype() -> None:
    """All element types of the protocol are read into arrays of exactly that type."""
    data: dict[DType, list[Any]] = {DType.BOOL: [True, False], DType.BYTES: ["a", "é"]}
    call = infer(EVERY, [tensor(str(d), str(d), [2], data.get(d, [1, 2])) for d in DType])
    for dtype in DType:
        expected = np.dtype(object) if dtype is DType.BYTES else np.asarray(data.get(dtype, [1, 2])).dtype
        assert call.inputs[dtype].shape == (2,)
        assert dtype in (DType.BYTES, DType.BOOL) or str(call.inputs[dtype].dtype) == dtype.lower().replace(
            "fp", "float"
        )
        assert list(call.inputs[dtype]) == data.get(dtype, [1, 2]), expected


def test_missing_values_are_nan_and_empty() -> None:
    """null is read as NaN or the empty string where the Field may be missing."""
    call = infer(toys.COLUMNS, columns(), id="me")
    assert (call.id, call.rows) == ("me", 2)
    np.testing.assert_array_equal(call.inputs["amount"], [1.5, np.nan])
    assert list(call.inputs["city"]) == ["Rome", ""]
    assert call.inputs["count"].tolist() == [3, -4]


@pytest.mark.parametrize("data", [list(range(40)), [list(range(20)), list(range(20, 40))]], ids=["flat", "nested"])
def test_tensors_come_flat_or_nested(data: list[Any]) -> None:
    """The protocol allows both layouts of the same tensor."""
    call = infer(toys.TENSOR, [tensor("x", "FP32", [2, 20], data)])
    np.testing.assert_array_equal(call.inputs["x"], np.arange(40, dtype=np.float32).reshape(2, 20))


def test_a_narrower_type_is_welcome() -> None:
    """Callers of a Version before a widening are understood after it."""
    signature = Signature((Field("a", DType.FP64), Field("b", DType.INT64)), OUT)
    call = infer(signature, [tensor("a", "FP32", [1], [0.5]), tensor("b", "INT8", [1], [3])])
    assert call.inputs["a"].dtype == np.float64
    assert call.inputs["b"].dtype == np.int64


def _changed(index: int, **changes: Any) -> list[dict[str, Any]]:
    inputs = columns()
    inputs[index] |= changes
    return inputs


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        (columns()[:3], "missing_input"),
        ([*columns(), tensor("more", "FP64", [2], [1, 2])], "unknown_input"),
        ([*columns(), columns()[0]], "duplicate_input"),
        (_changed(0, datatype="BYTES"), "wrong_type"),
        (_changed(1, datatype="FP64"), "wrong_type"),
        (_changed(1, datatype="NONSENSE"), "wrong_type"),
        (_changed(1, data=[1.5, 2]), "wrong_type"),
        (_changed(1, data=["1", "2"]), "wrong_type"),
        (_changed(1, data=[None, 2]), "wrong_type"),
        (_changed(1, data=[True, 2]), "wrong_type"),
        (_changed(1, data=[10**30, 2]), "wrong_type"),
        (_changed(1, data="text"), "wrong_type"),
        (_changed(1, data={}), "wrong_type"),
        (_changed(3, data=[1, 0]), "wrong_type"),
        (_changed(2, data=[1, "b"]), "wrong_type"),
        (_changed(0, data=[1.0]), "wrong_shape"),
        (_changed(0, shape=[3]), "wrong_shape"),
        (_changed(0, shape=[2, 2]), "wrong_shape"),
        (_changed(0, shape=[]), "wrong_shape"),
        (_changed(0, shape=[-2]), "wrong_shape"),
        (_changed(0, shape=[-2, 1]), "wrong_shape"),
        (_changed(0, shape=[1], data=[1.0]), "wrong_shape"),
        ([{**t, "shape": [0], "data": []} for t in columns()], "empty_batch"),
        ([], "missing_input"),
        ([{"name": "x"}], "invalid_request"),
        ("no", "invalid_request"),
    ],
)
def test_inference_errors_are_precise(inputs: Any, code: str) -> None:
    """Each thing that does not fit has its machine code and a sentence."""
    with pytest.raises(SignatureInvalid) as caught:
        infer(toys.COLUMNS, inputs)
    assert caught.value.code == code, str(caught.value)
    assert len(str(caught.value)) > 10


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 100_000, "invalid_request"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,20],"data":%s}]}' % (b"[" * 100_000), "too_deep"),
        (
            b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,20],"data":%s1%s}]}' % (b"[" * 500, b"]" * 500),
            "wrong_shape",
        ),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}', "not_finite"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[-Infinity]}]}', "not_finite"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,20],"data":[%s1e39]}]}' % (b"0," * 19), "wrong_type"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,20],"data":[%s1e999]}]}' % (b"0," * 19), "not_finite"),
    ],
)
def test_numbers_that_are_none(body: bytes, code: str) -> None:
    """Bytes that are no JSON, NaN, Infinity and numbers beyond the type are told apart."""
    with pytest.raises(SignatureInvalid) as caught:
        Inference("m", 7, "abc", toys.TENSOR).decode(body)
    assert caught.value.code == code


def test_answers_name_version_and_digest() -> None:
    """The answer is the protocol's JSON, with the Version and the bundle's digest."""
    wire = Inference("m", 7, "abc", Signature(toys.TENSOR.inputs, OUT))
    body = json.dumps({"inputs": [tensor("x", "FP32", [2, 20], [0.0] * 40)]}).encode()
    outputs = {"prediction": np.array([1, 0]), "probabilities": np.array([[0.5, 0.25, 0.25]] * 2, dtype=np.float32)}
    assert json.loads(wire.encode(wire.decode(body), "r1", outputs)) == {
        "model_name": "m",
        "model_version": "7",
        "parameters": {"digest": "abc"},
        "id": "r1",
        "outputs": [
            tensor("prediction", "INT64", [2], [1, 0]),
            tensor("probabilities", "FP32", [2, 3], [0.5, 0.25, 0.25, 0.5, 0.25, 0.25]),
        ],
    }


def test_only_the_outputs_asked_for_are_sent() -> None:
    """`outputs` of the request chooses; a name that does not exist is an error."""
    wire = Inference("m", 7, "abc", Signature(toys.TENSOR.inputs, OUT))
    inputs = [tensor("x", "FP32", [1, 20], [0.0] * 20)]
    call = wire.decode(json.dumps({"inputs": inputs, "outputs": [{"name": "prediction"}]}).encode())
    answer = json.loads(wire.encode(call, "r", {"prediction": np.array([1]), "probabilities": np.zeros((1, 3))}))
    assert [output["name"] for output in answer["outputs"]] == ["prediction"]
    with pytest.raises(SignatureInvalid) as caught:
        wire.decode(json.dumps({"inputs": inputs, "outputs": [{"name": "nope"}]}).encode())
    assert caught.value.code == "unknown_output"


ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}


def rows(value: Any) -> Any:
    return Rows(toys.COLUMNS).decode(value if isinstance(value, bytes) else json.dumps(value).encode())


def test_rows_become_columns() -> None:
    """Rows with ids, missing values and whole numbers for real ones are read; one object is a batch of one."""
    batch = rows([ROW, {**ROW, "_id": "b", "amount": None, "city": None}, {**ROW, "amount": 2}])
    assert (batch.ids, batch.rows, batch.single) == (["", "b", ""], 3, False)
    np.testing.assert_array_equal(batch.inputs["amount"], [1.5, np.nan, 2.0])
    assert list(batch.inputs["city"]) == ["Rome", "", "Rome"]
    assert rows(ROW).single


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "empty_batch"),
        ([{**ROW, "mistake": 1}], "unknown_input"),
        ([{"amount": 1.5}], "missing_input"),
        ([ROW, {**ROW, "count": "3"}], "wrong_type"),
        ([{**ROW, "count": 3.5}], "wrong_type"),
        ([{**ROW, "count": None}], "wrong_type"),
        ([{**ROW, "new": 1}], "wrong_type"),
        ([{**ROW, "count": 2**70}], "wrong_type"),
        ([{**ROW, "_id": 3}], "wrong_type"),
        ([{**ROW, "_id": "a"}, {**ROW, "_id": "a"}], "duplicate_id"),
        ([1], "wrong_type"),
        ("text", "wrong_type"),
        (b"[{", "invalid_json"),
        (b'[{"amount": NaN}]', "not_finite"),
    ],
)
def test_row_errors_are_precise(body: Any, code: str) -> None:
    """Each thing that does not fit has its machine code and a sentence."""
    with pytest.raises(SignatureInvalid) as caught:
        rows(body)
    assert caught.value.code == code, str(caught.value)


def test_rows_hold_tensors() -> None:
    """A Field with a shape is a list in each row; another length is an error."""
    wire = Rows(toys.TENSOR)
    batch = wire.decode(json.dumps([{"x": list(range(20))}, {"x": [0.5] * 20}]).encode())
    assert batch.inputs["x"].shape == (2, 20)
    with pytest.raises(SignatureInvalid) as caught:
        wire.decode(json.dumps([{"x": [1, 2]}]).encode())
    assert caught.value.code == "wrong_shape"


def test_row_answers_have_ids_and_outputs() -> None:
    """Answers come in the shape of the request."""
    wire = Rows(Signature(toys.TENSOR.inputs, OUT))
    outputs = {"prediction": np.array([1]), "probabilities": np.array([[0.5, 0.25, 0.25]])}
    expected = {"_id": "a", "prediction": 1, "probabilities": [0.5, 0.25, 0.25]}
    assert json.loads(wire.encode(["a"], outputs, single=True)) == expected
    assert json.loads(wire.encode(["a"], outputs, single=False)) == [expected]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([{"id": "a", "label": 2}], "label_wrong_type"),
        ([{"id": "a", "label": 1}, {"id": "b", "label": "1"}], "label_wrong_type"),
        ([{"id": "a", "label": True}], "label_wrong_type"),
        ([{"id": "a", "label": None}], "label_wrong_type"),
        ([{"id": "a"}], "invalid_request"),
        ([{"id": 1, "label": 1}], "invalid_request"),
        ([{"id": "a", "label": 1, "more": 2}], "invalid_request"),
        ([], "empty_batch"),
    ],
)
def test_label_errors_are_precise(body: Any, code: str) -> None:
    """A label of another type or class than the Service's is named."""
    with pytest.raises(SignatureInvalid) as caught:
        Labels(Field("late", DType.INT64), Task.BINARY, (0, 1)).decode(json.dumps(body).encode())
    assert caught.value.code == code


def test_labels_are_read() -> None:
    """One or many; a whole number is a real one where the label is real."""
    labels = Labels(Field("y", DType.FP64), Task.REGRESSION, ())
    assert labels.decode(b'{"id":"a","label":1}') == (["a"], [1.0])
    assert labels.decode(b'[{"id":"a","label":1.5},{"id":"b","label":-2}]') == (["a", "b"], [1.5, -2.0])


def test_tables_become_arrays_and_back() -> None:
    """Nulls, dictionaries, chunks and lists of a table are the arrays a Predictor takes."""
    signature = Signature((*toys.COLUMNS.inputs, Field("x", DType.FP32, (2,))), toys.COLUMNS.outputs)
    part = pa.table(
        {
            "more": [1, 2],
            "amount": pa.array([1.5, None]),
            "count": pa.array([3, -4], pa.int8()),
            "city": pa.array(["Rome", None]).dictionary_encode(),
            "new": [True, False],
            "x": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        }
    )
    arrays = from_table(signature, pa.concat_tables([part, part.slice(1)]))
    np.testing.assert_array_equal(arrays["amount"], [1.5, np.nan, np.nan])
    assert (arrays["count"].dtype, arrays["count"].tolist()) == (np.int64, [3, -4, -4])
    assert list(arrays["city"]) == ["Rome", "", ""]
    np.testing.assert_array_equal(arrays["x"], [[1, 2], [3, 4], [3, 4]])
    assert to_columns({"x": arrays["x"]})["x"].to_pylist() == [[1, 2], [3, 4], [3, 4]]
    assert all(len(values) == 0 for values in from_table(signature, part.slice(2)).values())


@pytest.mark.parametrize(
    ("column", "code"),
    [
        (None, "missing_input"),
        (pa.array([1.5]), "wrong_type"),
        (pa.array([None], pa.int64()), "wrong_type"),
        (pa.array(["3"]), "wrong_type"),
        (pa.array([0], pa.timestamp("us")), "wrong_type"),
    ],
)
def test_table_errors_are_precise(column: pa.Array | None, code: str) -> None:
    """A column that is absent or cannot be the Field's type without loss is named."""
    table = pa.table({"other": [1]} if column is None else {"count": column})
    with pytest.raises(SignatureInvalid, match="count") as caught:
        from_table(Signature((Field("count", DType.INT64),), OUT), table)
    assert caught.value.code == code
