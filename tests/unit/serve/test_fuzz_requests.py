"""Fuzzing: requests that are nearly right are answered or refused, never by a 5xx or an exception that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import toys
from answering import Answering, answering
from keepfit.core.errors import KeepfitError
from keepfit.core.nouns import Held, Placement, Task
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire import Inference, Labels, Rows
from keepfit.serve.wire.invocations import Invocations

bounded = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
RICH = Signature(
    (
        Field("when", DType.INT64, nullable=True, timestamp=True),
        Field("colour", DType.BYTES, choices=("red", "blue"), nullable=True),
        Field("free", DType.FP16, (-1,)),
        Field("grid", DType.UINT8, (2, 2)),
        Field("iban", DType.BYTES, nullable=True, oneof="account"),
        Field("number", DType.INT64, nullable=True, oneof="account"),
    ),
    toys.TENSOR.outputs,
)
WHOLE = Signature((Field("image", DType.FP32, (2, 2)), Field("k", DType.INT64)), toys.TENSOR.outputs, batched=False)
SIGNATURES = (toys.TENSOR, toys.COLUMNS, RICH, WHOLE)
ODD: list[Any] = [
    None, True, 0, -1, 1.5, 1e39, -1e308, 2**31, 2**63, -(2**63), 2**64, 10**40, "", "red", "x\x00", "é", [], [[]], {},
    [None], [1, [2]], {"a": {}}, "9" * 400, [0] * 20, [[0] * 20], [0.5], "NaN", "BYTES", "FP64", "INT8", [2**63],
    [-1, -20], [1, 20],
]  # fmt: skip
KEYS = [
    "inputs",
    "name",
    "shape",
    "datatype",
    "data",
    "parameters",
    "outputs",
    "id",
    "binary_data_size",
    "timeout",
    "_id",
]


def tensors(signature: Signature, rows: int, draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[Any, bytes]:
    """The JSON of a request that is right, and the raw data after it."""
    inputs, tail = [], b""
    for field in signature.inputs:
        if field.oneof and field.name != "iban":
            continue
        shape = [rows] * signature.batched + [3 if size < 0 else size for size in field.shape]
        count = int(np.prod(shape))
        values: list[Any] = {"BYTES": ["red"], "BOOL": [True]}.get(field.dtype, [1]) * count
        found: dict[str, Any] = {"name": field.name, "datatype": field.dtype.value, "shape": shape}
        if field.dtype is not DType.BYTES and draw(st.booleans()):
            kind = "bool" if field.dtype is DType.BOOL else field.dtype.lower().replace("fp", "float")
            raw = np.array(values, kind).tobytes()
            found["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        else:
            found["data"] = values
        inputs.append(found)
    return {"inputs": inputs}, tail


def rows_of(signature: Signature, rows: int) -> Any:
    """Rows that are right."""
    row = {
        field.name: [1] * (4 if field.shape == (2, 2) else 20 if field.shape == (20,) else 3)
        if field.shape
        else {"BYTES": "red", "BOOL": True}.get(field.dtype, 1)
        for field in signature.inputs
        if field.oneof != "account" or field.name == "iban"
    }
    return [row] * rows


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(items)[:30]:
        found += places(part, (*path, key))
    return found


def bent(value: Any, path: tuple[Any, ...], how: str, odd: Any) -> Any:
    """A JSON value with one part of it replaced, left out, doubled, or put into a list."""
    if path:
        key, rest = path[0], path[1:]
        copy = dict(value) if isinstance(value, dict) else list(value)
        if rest or how in ("replace", "wrap"):
            copy[key] = bent(copy[key], rest, how, odd)
        elif how == "drop":
            copy.pop(key)
        elif isinstance(copy, list):
            copy.insert(key, copy[key])
        else:
            copy[str(odd)[:20]] = copy[key]
        return copy
    return [value] if how == "wrap" else odd if how == "replace" else value


@st.composite
def nearly(draw: Callable[[st.SearchStrategy[Any]], Any], make: Callable[..., Any]) -> Any:
    """A signature's number, a body that is bent in a few places, and the header it comes with."""
    number = draw(st.integers(0, len(SIGNATURES) - 1))
    rows = draw(st.integers(1, 3))
    found = make(SIGNATURES[number], rows, draw)
    value, tail = found if isinstance(found, tuple) else (found, b"")
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(places(value)))
        how = draw(st.sampled_from(["replace", "drop", "double", "wrap"]))
        value = bent(value, path, how, draw(st.sampled_from(ODD) | st.sampled_from(KEYS)))
    text = json.dumps(value).encode()
    head = b"%d" % len(text) if tail else None
    body = text + tail
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=6)) + body[at + draw(st.integers(0, 6)) :]
    if draw(st.integers(0, 9)) == 0:
        head = draw(st.sampled_from([b"", b"-1", b"0", b"99999", b"1e3", b"\xb2", None]))
    return number, body, head


def is_plain(decode: Callable[[], Any]) -> bool:
    """Whether it decodes, or ends in an error of ours with a code of its own and a short sentence; else it raises."""
    try:
        decode()
    except KeepfitError as error:
        return error.code != "error" and 0 < len(str(error)) < 1000
    return True


@bounded
@given(nearly(tensors))
def test_inference_requests(found: tuple[int, bytes, bytes | None]) -> None:
    """Of the Open Inference Protocol, JSON and raw."""
    number, body, head = found
    assert is_plain(lambda: Inference("m", 1, "d", SIGNATURES[number]).decode(body, head))


@bounded
@given(nearly(lambda signature, rows, draw: rows_of(signature, rows)))
def test_rows_and_labels(found: tuple[int, bytes, bytes | None]) -> None:
    """Plain rows, labels, and MLflow's forms, JSON and CSV."""
    number, body, _ = found
    assert is_plain(lambda: Rows(SIGNATURES[number]).decode(body))
    assert is_plain(lambda: Labels(Field("y", DType.INT64), Task.BINARY, (0, 1)).decode(body))
    wire = Invocations(SIGNATURES[number])
    assert is_plain(lambda: wire.decode(body))
    assert is_plain(lambda: wire.decode_csv(body))
    for form in (b"dataframe_records", b"instances", b"inputs"):
        assert is_plain(lambda form=form: wire.decode(b'{"%s":%s}' % (form, body)))  # type: ignore[misc]


@bounded
@given(nearly(lambda signature, rows, draw: [{"id": "a", "label": 1}] * rows))
def test_labels(found: tuple[int, bytes, bytes | None]) -> None:
    """Labels of every kind."""
    for field, classes in ((Field("y", DType.INT64), (0, 1)), (Field("y", DType.BYTES), ("a", "b"))):
        assert is_plain(lambda field=field, classes=classes: Labels(field, Task.BINARY, classes).decode(found[1]))  # type: ignore[misc]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    """Both toys, as `toy` and `toy@2`."""
    with answering(tmp_path_factory.mktemp("fuzz"), toys.TENSOR) as found:
        toys.bundle(found.slots._verified("d9"), signature=toys.COLUMNS)
        found.place(Placement(Held(9, "d9")), major=2)
        yield found


PATHS = [
    "/v2/models/toy/infer", "/v2/models/toy@2/infer", "/v2/models/toy%402/versions/9/infer", "/predict", "/@2/predict",
    "/labels", "/invocations", "/@2/invocations", "/v2/repository/index", "/v2/repository/models/toy/load",
    "/model/methods/predict", "/@2/model/methods/predict_rows", "/v2/models/toy", "/openapi.json", "/@2/", "/@/predict",
]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["content_type", "x_request_timeout", "accept", "traceparent"]),
    st.sampled_from(
        [
            "application/json",
            "text/csv",
            "application/x-protobuf",
            "application/octet-stream",
            "1",
            "-1",
            "0.001",
            "é",
            "",
        ]
    ),
)


@bounded
@given(
    st.sampled_from(PATHS) | st.text(max_size=30).map("/".__add__),
    nearly(tensors) | nearly(lambda signature, rows, draw: rows_of(signature, rows)),
    HEADERS,
    st.sampled_from(["POST", "POST", "POST", "GET", "PUT"]),
)
def test_whatever_is_asked(
    served: Answering, path: str, found: tuple[int, bytes, bytes | None], headers: dict[str, str], method: str
) -> None:
    """The status is 2xx or 4xx; errors have a sentence and a code."""
    _, body, head = found
    if head is not None:
        headers = headers | {"inference_header_content_length": head.decode("latin-1")}
    answer = served.ask(method, path, body, **headers)
    assert 200 <= answer.status < 500, answer.body
    if answer.status >= 400:
        assert set(json.loads(answer.body)) == {"error", "code"}
