"""JSON Schemas (2020-12) of what a Signature's wires take and give."""

from __future__ import annotations

from typing import Any

from keepfit.core.nouns import RECORD_ID
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.elements import missing, oneofs

Schema = dict[str, Any]

_WIDTHS = {DType.INT32: "int32", DType.INT64: "int64", DType.FP32: "float", DType.FP64: "double"}
_ERROR: Schema = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
    "required": ["error", "code"],
}
_PARAMETERS: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["boolean", "number", "string", "null"]},
}


def element(field: Field) -> Schema:
    """One element of a Field."""
    found: Schema
    if field.dtype is DType.BYTES:
        found = {"type": "string"}
    elif field.dtype is DType.BOOL:
        found = {"type": "boolean"}
    elif field.dtype.startswith("FP"):
        found = {"type": "number"}
    else:
        bits = int(field.dtype.lstrip("UINT"))
        low, high = (0, 2**bits - 1) if field.dtype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        found = {"type": "integer", "minimum": low, "maximum": high}
    if field.dtype in _WIDTHS:
        found["format"] = _WIDTHS[field.dtype]
    if field.choices:
        found["enum"] = list(field.choices)
    if field.timestamp:
        found["description"] = "microseconds since 1970, UTC"
    return nullable(found) if field.nullable and missing(field) is not None else found


def nullable(schema: Schema) -> Schema:
    """The schema of a value or null."""
    extra = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **extra, "type": [schema["type"], "null"]}


def flat(field: Field) -> Schema:
    """One record's value of a Field as rows take it: an element, or the elements of its tensor in row-major order."""
    if not field.shape:
        return element(field)
    size = 1
    for length in field.shape:
        size *= length
    exactly = {} if -1 in field.shape else {"minItems": size, "maxItems": size}
    return {"type": "array", "items": element(field), **exactly}


def nested(field: Field) -> Schema:
    """One record's value of a Field as rows give it: an element, or lists of lists."""
    found = element(field)
    for size in reversed(field.shape):
        exactly = {} if size < 0 else {"minItems": size, "maxItems": size}
        found = {"type": "array", "items": found, **exactly}
    return found


def row(signature: Signature) -> Schema:
    """A row that `/predict` takes; of each oneof exactly one member."""
    groups = oneofs(signature.inputs)
    properties = {
        field.name: nullable(flat(field)) if field.oneof and "null" not in str(flat(field)["type"]) else flat(field)
        for field in signature.inputs
    }
    found: Schema = {
        "type": "object",
        "properties": {RECORD_ID: {"type": "string", "maxLength": 200}, **properties},
        "required": [field.name for field in signature.inputs if not field.oneof],
        "additionalProperties": False,
    }
    if groups:
        found["allOf"] = [{"oneOf": [_given(member.name) for member in members]} for members in groups.values()]
    return found


def _given(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def answered(signature: Signature) -> Schema:
    """A row that `/predict` gives."""
    outputs = {field.name: nested(field) for field in signature.outputs}
    properties = {RECORD_ID: {"type": "string"}, **outputs}
    return {"type": "object", "properties": properties, "required": list(properties)}


def one_or_many(name: str, signature: Signature) -> Schema:
    """A row or, where a request may carry many, a list of them; `name` is that of the row's component."""
    there = {"$ref": f"#/components/schemas/{name}"}
    most = {} if signature.batched else {"maxItems": 1}
    return {"anyOf": [there, {"type": "array", "items": there, "minItems": 1, **most}]}


def tensor(field: Field, signature: Signature, *, given: bool = False) -> Schema:
    """A tensor of the Open Inference Protocol; one that is `given` has the Field's own type, a taken one may be raw."""
    dimensions = [None] * signature.batched + [None if size < 0 else size for size in field.shape]
    sizes: list[Schema] = [
        {"type": "integer", "minimum": 1} if size is None else {"const": size} for size in dimensions
    ]
    exact: Schema = {"prefixItems": sizes} if sizes and (given or field.shape) else {}
    shape: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, **exact}
    datatype: Schema = {"const": field.dtype.value} if given else {"enum": [dtype.value for dtype in DType]}
    return {
        "type": "object",
        "properties": {
            "name": {"const": field.name},
            "shape": shape,
            "datatype": datatype,
            "parameters": _PARAMETERS,
            "data": {"type": "array", "items": element(field)} if given else {"type": "array"},
        },
        "required": ["name", "shape", "datatype"],
    }


def inference_request(signature: Signature) -> Schema:
    """A request of the Open Inference Protocol."""
    least = sum(not field.oneof for field in signature.inputs) + len(oneofs(signature.inputs))
    wanted = {"name": {"enum": [field.name for field in signature.outputs]}, "parameters": _PARAMETERS}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string", "maxLength": 200},
            "parameters": _PARAMETERS,
            "inputs": {
                "type": "array",
                "items": {"anyOf": [tensor(field, signature) for field in signature.inputs]},
                "minItems": least,
                "maxItems": len(signature.inputs),
            },
            "outputs": {"type": "array", "items": {"type": "object", "properties": wanted, "required": ["name"]}},
        },
        "required": ["inputs"],
    }


def inference_answer(signature: Signature) -> Schema:
    """An answer of the Open Inference Protocol."""
    outputs = {"anyOf": [tensor(field, signature, given=True) for field in signature.outputs]}
    properties: Schema = {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "parameters": _PARAMETERS,
        "outputs": {"type": "array", "items": outputs},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def labels(field: Field) -> Schema:
    """What `/labels` takes."""
    value = {"id": {"type": "string"}, "label": element(field)}
    one: Schema = {"type": "object", "properties": value, "required": ["id", "label"], "additionalProperties": False}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def error() -> Schema:
    """What every error is."""
    return _ERROR


def message(descriptor: Any) -> Schema:
    """A protobuf message as proto3 JSON (https://protobuf.dev/programming-guides/json/)."""
    properties = {}
    for field in descriptor.fields:
        value = _typed(field)
        properties[field.json_name] = {"type": "array", "items": value} if field.is_repeated else value
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _typed(field: Any) -> Schema:
    kind = field.cpp_type
    if kind == field.CPPTYPE_MESSAGE:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return {"type": "string", "format": "date-time"}
        return message(field.message_type)
    if kind == field.CPPTYPE_ENUM:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if kind in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
        return {"type": ["string", "integer"], "format": "int64" if kind == field.CPPTYPE_INT64 else "uint64"}
    if kind in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32):
        return {"type": "integer", "format": "int32" if kind == field.CPPTYPE_INT32 else "uint32"}
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return {"type": ["number", "string"], "format": "float" if kind == field.CPPTYPE_FLOAT else "double"}
    return {"type": "boolean"} if kind == field.CPPTYPE_BOOL else {"type": "string"}
