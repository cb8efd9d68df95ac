"""OpenAPI: the document is valid, and says of requests and answers what the doors say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import toys
from answering import Answering, answering
from keepfit.core.nouns import Held, Placement
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire import schemas
from keepfit.serve.wire.rows import Rows

ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}
RICH = Signature(
    (
        Field("trip.when", DType.INT64, nullable=True, timestamp=True),
        Field("colour", DType.BYTES, choices=("red", "blue"), nullable=True),
        Field("pair", DType.FP32, (2,)),
        Field("free", DType.UINT8, (-1,)),
        Field("iban", DType.BYTES, nullable=True, oneof="account"),
        Field("number", DType.INT64, nullable=True, oneof="account"),
    ),
    toys.TENSOR.outputs,
)
RIGHT = {"trip.when": 1, "colour": "red", "pair": [1, 2], "free": [1, 2, 3], "iban": "x"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    with answering(tmp_path_factory.mktemp("openapi"), toys.COLUMNS) as found:
        yield found


def schema(document: Any, path: str, way: str = "requestBody") -> Draft202012Validator:
    """What validates the JSON of one door."""
    post = document["paths"][path]["post"]
    place = post["requestBody"] if way == "requestBody" else post["responses"][way]
    return Draft202012Validator(
        {**place["content"]["application/json"]["schema"], "components": document["components"]}
    )


def test_the_document_is_valid_and_names_the_version(served: Answering) -> None:
    """By OpenAPI's own validator; every door of JSON is in it."""
    answer = served.ask("GET", "/openapi.json")
    document = json.loads(answer.body)
    OpenAPIV31SpecValidator(document).validate()
    assert document["info"]["version"] == "1"
    assert b"keepfit-version: 1\r\n" in answer.headers
    assert {"/predict", "/labels", "/invocations", "/v2/models/toy/infer", "/model/methods/predict"} <= set(
        document["paths"]
    )


def test_a_major_has_its_own_document(served: Answering) -> None:
    """Behind its own prefix, with its own Signature."""
    toys.bundle(served.slots._verified("d9"), signature=toys.TENSOR)
    served.place(Placement(Held(9, "d9")), major=2)
    status, document = served.said("GET", "/@2/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    assert (status, document["servers"]) == (200, [{"url": "/@2"}])
    assert list(document["components"]["schemas"]["Row"]["properties"]) == ["_id", "x"]
    assert "/v2/models/toy@2/infer" in document["paths"]


def tensors(**changes: Any) -> dict[str, Any]:
    types = {"amount": "FP64", "count": "INT64", "city": "BYTES", "new": "BOOL"}
    return {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [1], "data": [ROW[name]]} | changes.get(name, {})
            for name, datatype in types.items()
        ]
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", ROW),
        ("/predict", [ROW | {"_id": "a"}, ROW | {"amount": None, "city": None}]),
        ("/predict", []),
        ("/predict", ROW | {"more": 1}),
        ("/predict", {"amount": 1}),
        ("/predict", ROW | {"count": None}),
        ("/predict", ROW | {"count": "3"}),
        ("/predict", ROW | {"new": 1}),
        ("/v2/models/toy/infer", tensors()),
        ("/v2/models/toy/infer", tensors() | {"id": "me", "outputs": [{"name": "prediction"}]}),
        ("/v2/models/toy/infer", tensors() | {"outputs": [{"name": "nope"}]}),
        ("/v2/models/toy/infer", {"inputs": tensors()["inputs"][:2]}),
        ("/v2/models/toy/infer", tensors(city={"name": "town"})),
        ("/v2/models/toy/infer", {}),
        ("/invocations", {"dataframe_records": [ROW]}),
        ("/invocations", {"inputs": {name: [value] for name, value in ROW.items()}}),
        ("/invocations", {"inputs": {}, "instances": []}),
        ("/invocations", {"dataframe_records": [ROW], "params": {"a": 1}}),
        ("/model/methods/predict", ROW),
        ("/model/methods/predict", ROW | {"count": "3"}),
        ("/model/methods/predict", ROW | {"more": 1}),
        ("/model/methods/predict_rows", {"rows": [ROW]}),
    ],
)
def test_what_is_described_is_what_is_taken(served: Answering, path: str, body: Any) -> None:
    """A request fits its schema where the door takes it, and only there; answers fit theirs, errors too."""
    _, document = served.said("GET", "/openapi.json")
    status, said = served.said("POST", path, body, content_type="application/json")
    assert schema(document, path).is_valid(body) == (status == 200), said
    schema(document, path, str(status)).validate(said)


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({}, True),
        ({"trip.when": None, "colour": None}, True),
        ({"iban": None, "number": 5}, True),
        ({"colour": "green"}, False),
        ({"pair": [1]}, False),
        ({"free": [300]}, False),
        ({"number": 5}, False),
        ({"iban": None}, False),
    ],
)
def test_rich_fields_are_described(change: dict[str, Any], right: bool) -> None:
    """Choices, timestamps, shapes and oneofs are in a row's schema as the wire has them."""
    row = RIGHT | change
    assert Draft202012Validator(schemas.row(RICH)).is_valid(row) is right
    try:
        Rows(RICH).decode(json.dumps(row).encode())
    except Exception:  # noqa: BLE001  # whichever it is
        assert not right
    else:
        assert right


def test_labels_are_described(served: Answering) -> None:
    """By the type of the label."""
    _, document = served.said("GET", "/openapi.json")
    found = schema(document, "/labels")
    assert found.is_valid({"id": "a", "label": 1})
    assert not found.is_valid([{"id": "a", "label": "1"}])


def test_nothing_is_described_before_the_first_version(tmp_path: Path) -> None:
    """There is no Signature yet."""
    with answering(tmp_path) as found:
        assert found.said("GET", "/openapi.json")[1]["code"] == "not_ready"
