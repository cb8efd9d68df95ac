"""MLflow's scoring protocol: its requests are answered as its own server answers them, its mistakes told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toys
from answering import Answering, answering
from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.invocations import Invocations

NAMES = ["amount", "count", "city", "new"]
ROWS = [[1.5, 3, "Rome", True], [None, -40, None, False]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    with answering(tmp_path_factory.mktemp("mlflow"), toys.COLUMNS) as found:
        yield found


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "index": [0, 1], "data": ROWS}},
        {"dataframe_split": {"columns": ["more", *NAMES], "data": [["x", *row] for row in ROWS]}},
        {"dataframe_records": RECORDS},
        {"instances": RECORDS, "signature_name": "x"},
        {"inputs": {name: [row[name] for row in RECORDS] for name in NAMES}, "params": {}},
    ],
)
def test_every_form_is_answered(served: Answering, body: Any) -> None:
    """One prediction a row, as a model of scikit-learn's answers behind MLflow."""
    assert served.said("POST", "/invocations", body) == (200, {"predictions": [1, 0]})


def test_csv_is_answered(served: Answering) -> None:
    """With a header, an index nobody asked for, and empty cells where a value is missing."""
    text = ",amount,count,city,new\n0,1.5,3,Rome,True\n1,,-40,,false\n"
    for kind in ("text/csv", "text/csv; charset=utf-8"):
        assert served.said("POST", "/invocations", text.encode(), content_type=kind) == (200, {"predictions": [1, 0]})


def test_a_model_of_one_tensor(tmp_path: Path) -> None:
    """Instances and inputs may be the tensor itself."""
    x = np.zeros((2, 20)).tolist()
    with answering(tmp_path, toys.TENSOR) as found:
        for body in ({"instances": x}, {"inputs": x}, {"inputs": {"x": x}}, {"instances": [{"x": row} for row in x]}):
            assert found.said("POST", "/invocations", body) == (200, {"predictions": [1, 1]})


def test_several_outputs_are_one_object_a_row() -> None:
    """As MLflow answers for a model whose outputs are a data frame; a missing one is null."""
    outputs = (Field("low", DType.FP32), Field("word", DType.BYTES, nullable=True))
    wire = Invocations(Signature(toys.COLUMNS.inputs, outputs))
    found = wire.encode({"low": np.array([0.5, 1.0], np.float32), "word": np.array(["a", ""], dtype=object)})
    assert json.loads(found) == {"predictions": [{"low": 0.5, "word": "a"}, {"low": 1.0, "word": None}]}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ([], 422, "invalid_request"),
        ({"dataframe_records": RECORDS, "inputs": {}}, 422, "invalid_request"),
        ({"dataframe_records": RECORDS, "params": {"temperature": 1}}, 422, "unsupported_parameter"),
        ({"dataframe_records": []}, 422, "missing_input"),
        ({"dataframe_records": {}}, 422, "invalid_request"),
        ({"dataframe_records": [1]}, 422, "wrong_type"),
        ({"dataframe_records": [RECORDS[0], {}]}, 422, "missing_input"),
        ({"dataframe_records": [{"amount": 1}]}, 422, "missing_input"),
        ({"dataframe_split": {"columns": NAMES, "data": []}}, 400, "empty_batch"),
        ({"dataframe_split": {"columns": NAMES, "data": [[1]]}}, 422, "wrong_shape"),
        ({"dataframe_split": {"columns": NAMES, "data": [1]}}, 422, "wrong_shape"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, 422, "invalid_request"),
        ({"dataframe_split": {"columns": [*NAMES, "new"], "data": [[*ROWS[0], True]]}}, 422, "duplicate_input"),
        ({"dataframe_split": []}, 422, "invalid_request"),
        ({"instances": [[1, 2]]}, 422, "invalid_request"),
        ({"inputs": {"amount": 1}}, 422, "invalid_request"),
        ({"inputs": {"amount": [1], "count": [1, 2], "city": ["a"], "new": [True]}}, 422, "wrong_shape"),
        ({"inputs": {"amount": ["a"], "count": [1], "city": ["a"], "new": [True]}}, 422, "wrong_type"),
        ({"inputs": {"amount": [[1]], "count": [1], "city": ["a"], "new": [True]}}, 422, "wrong_type"),
        (b'{"instances": [NaN]}', 400, "not_finite"),
        (b'{"instances": [1], "instances": [2]}', 400, "duplicate_key"),
        (b"{", 400, "invalid_json"),
        (b"[" * 100_000, 400, "too_deep"),
    ],
)
def test_mistakes_are_told(served: Answering, body: Any, status: int, code: str) -> None:
    """Each has its status, its code and a sentence."""
    found, said = served.said("POST", "/invocations", body)
    assert (found, said["code"]) == (status, code), said


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "empty_batch"),
        (b"amount,count,city,new\n", "empty_batch"),
        (b"amount,count\n1,2\n", "missing_input"),
        (b"amount,count,city,new\n1,2\n", "wrong_shape"),
        (b"amount,count,city,new\nx,2,a,true\n", "wrong_type"),
        (b"amount,count,city,new\n1e999,2,a,true\n", "wrong_type"),
        (b"amount,count,city,new\n-inf,2,a,true\n", "wrong_type"),
        (b"amount,count,city,new\n1,nan,a,true\n", "wrong_type"),
        (b"amount,count,city,new\n1,,a,true\n", "wrong_type"),
        (b"amount,count,city,new\n1,99999999999999999999,a,true\n", "wrong_type"),
        (b'amount,count,city,new\n1,2,"a"b,true\n', "invalid_csv"),
        (b"\xff\xfe", "not_utf8"),
        (b"a" * 200_000, "invalid_csv"),
    ],
)
def test_csv_that_does_not_fit_is_told(served: Answering, text: bytes, code: str) -> None:
    """By the same words as JSON."""
    assert served.said("POST", "/invocations", text, content_type="text/csv")[1]["code"] == code


def test_tensors_of_another_shape_are_told() -> None:
    """Lists of other lengths, and no lists."""
    wire = Invocations(toys.TENSOR)
    for x in ([[1, 2]], [1, 2], [[1] * 20, [1] * 19], [[[1]] * 20]):
        with pytest.raises(SignatureInvalid) as caught:
            wire.decode(json.dumps({"inputs": x}).encode())
        assert caught.value.code in ("wrong_shape", "wrong_type")


def test_health_is_told_as_mlflow_tells_it(served: Answering, tmp_path: Path) -> None:
    """200 with an empty line where a version answers, 503 where none does."""
    for path in ("/ping", "/health"):
        assert served.ask("GET", path)[::2] == (200, b"\n")
    assert served.ask("GET", "/version").status == 200
    with answering(tmp_path) as nothing:
        assert nothing.ask("GET", "/ping").status == 503
