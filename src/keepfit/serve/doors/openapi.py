"""`GET /openapi.json`: what the doors of one Deployment take and give, as OpenAPI 3.1 (https://spec.openapis.org)."""

from __future__ import annotations

from typing import Any

from keepfit.core.errors import MissingExtra
from keepfit.serve.doors import Route, json
from keepfit.serve.doors.typed import typed_of
from keepfit.serve.messages import Answer, Request
from keepfit.serve.plane import Plane
from keepfit.serve.routing import Routing
from keepfit.serve.wire import schemas
from keepfit.serve.wire.schemas import Schema

_WRONG = {
    "400": "The body is not what its framing says.",
    "404": "There is no such model, version or record.",
    "409": "The request contradicts the present state.",
    "413": "The body, or the number of rows, is too large.",
    "415": "The body is of another media type.",
    "422": "The body does not fit the Signature.",
    "429": "Too many requests wait already.",
    "500": "The model failed.",
    "503": "No version is live.",
    "504": "The deadline passed.",
}


def routes(plane: Plane) -> list[Route]:
    """`/openapi.json`."""

    def openapi(request: Request, model: str = "") -> Answer:
        deployment = plane.deployment(model)
        routing = deployment.routing()
        return json(200, document(deployment.name, routing), routing.headers)

    return [Route("GET", "/openapi.json", openapi)]


def document(name: str, routing: Routing) -> Schema:
    """The description of the Deployment `name` while `routing` is live."""
    _, _, major = name.partition("@")
    bundle = routing.bundle
    paths: Schema = {
        f"/v2/models/{name}/infer": {**_inference(), "servers": [{"url": "/"}]},
        f"/v2/models/{name}": {**_get("metadata", "The Signature and the versions"), "servers": [{"url": "/"}]},
        "/v2/health/ready": _get("ready", "Whether a version answers"),
        "/predict": _post("predict", "Predict plain rows", "Rows", "Answers"),
        "/invocations": _invocations(),
    }
    components: Schema = {
        "Error": schemas.error(),
        "Row": schemas.row(bundle.signature),
        "Rows": schemas.one_or_many("Row", bundle.signature),
        "Answer": schemas.answered(bundle.signature),
        "Answers": schemas.one_or_many("Answer", bundle.signature),
        "InferenceRequest": schemas.inference_request(bundle.signature),
        "InferenceAnswer": schemas.inference_answer(bundle.signature),
        "Invocation": _INVOCATION,
        "Predictions": {
            "type": "object",
            "properties": {"predictions": {"type": "array"}},
            "required": ["predictions"],
        },
        "Accepted": _object(accepted="integer"),
    }
    if bundle.label is not None:
        paths["/labels"] = _post("labels", "Label records", "Labels", "Accepted")
        components["Labels"] = schemas.labels(bundle.label)
    _add_typed(name, routing, paths, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": str(routing.version), "description": f"Bundle {routing.digest}"},
        "servers": [{"url": f"/@{major}" if major else "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _add_typed(name: str, routing: Routing, paths: Schema, components: Schema) -> None:
    """The typed methods, where protobuf is installed."""
    try:
        methods = typed_of(name, routing).methods
    except MissingExtra:
        return
    for method in methods.values():
        for kind in (method.takes.DESCRIPTOR, method.gives.DESCRIPTOR):
            components[f"typed.{kind.name}"] = schemas.message(kind)
        takes, gives = (f"typed.{kind.DESCRIPTOR.name}" for kind in (method.takes, method.gives))
        paths[f"/model/methods/{method.name}"] = _post(f"typed_{method.name}", "Predict, typed", takes, gives)


_INVOCATION: Schema = {
    "type": "object",
    "properties": {
        "dataframe_split": {
            "type": "object",
            "properties": {
                "columns": {"type": "array", "items": {"type": "string"}},
                "index": {"type": "array"},
                "data": {"type": "array", "items": {"type": "array"}},
            },
            "required": ["data"],
        },
        "dataframe_records": {"type": "array", "items": {"type": "object"}},
        "instances": {"type": "array"},
        "inputs": {"type": ["object", "array"]},
        "params": {"type": "object", "maxProperties": 0},
    },
    "oneOf": [{"required": [form]} for form in ("dataframe_split", "dataframe_records", "instances", "inputs")],
}


def _object(**types: str) -> Schema:
    properties = {name: {"type": kind} for name, kind in types.items()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _content(name: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _answers(gives: Schema) -> Schema:
    found: Schema = {"200": {"description": "The answer.", "content": gives}}
    return found | {status: {"description": told, "content": _content("Error")} for status, told in _WRONG.items()}


def _post(operation: str, summary: str, takes: str, gives: str) -> Schema:
    body = {"required": True, "content": _content(takes)}
    timeout = {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "seconds that the caller waits",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    }
    described: dict[str, Any] = {
        "operationId": operation,
        "summary": summary,
        "parameters": [timeout],
        "requestBody": body,
        "responses": _answers(_content(gives)),
    }
    return {"post": described}


def _get(operation: str, summary: str) -> Schema:
    answers = _answers({"application/json": {"schema": {"type": "object"}}})
    return {"get": {"operationId": operation, "summary": summary, "responses": answers}}


def _inference() -> Schema:
    found = _post("infer", "Predict by the Open Inference Protocol", "InferenceRequest", "InferenceAnswer")
    raw: Schema = {"application/octet-stream": {"schema": {}}}
    found["post"]["requestBody"]["content"] |= raw
    found["post"]["responses"]["200"]["content"] |= raw
    found["post"]["parameters"].append(
        {
            "name": "Inference-Header-Content-Length",
            "in": "header",
            "description": "the length of the JSON that raw tensors follow",
            "schema": {"type": "integer", "minimum": 0},
        }
    )
    return found


def _invocations() -> Schema:
    found = _post("invocations", "Predict as MLflow's scoring server does", "Invocation", "Predictions")
    found["post"]["requestBody"]["content"] |= {"text/csv": {"schema": {"type": "string"}}}
    return found
