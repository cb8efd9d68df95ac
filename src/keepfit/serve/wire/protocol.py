"""The messages of the Open Inference Protocol over gRPC, described at run time in a pool of their own.

Names and numbers are those of KServe's open_inference_grpc.proto and Triton's grpc_service.proto, so that the clients
of both work; a program that has their generated modules loaded as well is not disturbed. Where the two disagree
(RepositoryModelLoad: `model_name` is 1 there, 2 here), both places are understood. Sources:
https://github.com/kserve/open-inference-protocol, https://github.com/triton-inference-server/common
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from keepfit.core.errors import MissingExtra

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

SERVICE = "inference.GRPCInferenceService"
_TYPES = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
}  # fmt: skip  # of google.protobuf.FieldDescriptorProto.Type
_MESSAGE, _STRING = 11, 9
_FIELD = re.compile(r"(\d+)(\??) (map |repeated )?([\w.]+) (\w+)")

# number, `?` where it is one of the message's oneof, type, name; `map` is from text to the type
_TABLE = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "1 bool live",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "1 bool ready",
    "ModelReadyRequest": "1 string name; 2 string version",
    "ModelReadyResponse": "1 bool ready",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "1 string name; 2 string version; 3 repeated string extensions",
    "ModelMetadataRequest": "1 string name; 2 string version",
    "ModelMetadataResponse": "1 string name; 2 repeated string versions; 3 string platform; "
    "4 repeated ModelMetadataResponse.TensorMetadata inputs; 5 repeated ModelMetadataResponse.TensorMetadata outputs",
    "ModelMetadataResponse.TensorMetadata": "1 string name; 2 string datatype; 3 repeated int64 shape",
    "InferParameter": "1? bool bool_param; 2? int64 int64_param; 3? string string_param; 4? double double_param; "
    "5? uint64 uint64_param",
    "InferTensorContents": "1 repeated bool bool_contents; 2 repeated int32 int_contents; "
    "3 repeated int64 int64_contents; 4 repeated uint32 uint_contents; 5 repeated uint64 uint64_contents; "
    "6 repeated float fp32_contents; 7 repeated double fp64_contents; 8 repeated bytes bytes_contents",
    "ModelInferRequest": "1 string model_name; 2 string model_version; 3 string id; 4 map InferParameter parameters; "
    "5 repeated ModelInferRequest.InferInputTensor inputs; "
    "6 repeated ModelInferRequest.InferRequestedOutputTensor outputs; 7 repeated bytes raw_input_contents",
    "ModelInferRequest.InferInputTensor": "1 string name; 2 string datatype; 3 repeated int64 shape; "
    "4 map InferParameter parameters; 5 InferTensorContents contents",
    "ModelInferRequest.InferRequestedOutputTensor": "1 string name; 2 map InferParameter parameters",
    "ModelInferResponse": "1 string model_name; 2 string model_version; 3 string id; "
    "4 map InferParameter parameters; 5 repeated ModelInferResponse.InferOutputTensor outputs; "
    "6 repeated bytes raw_output_contents",
    "ModelInferResponse.InferOutputTensor": "1 string name; 2 string datatype; 3 repeated int64 shape; "
    "4 map InferParameter parameters; 5 InferTensorContents contents",
    "ModelStreamInferResponse": "1 string error_message; 2 ModelInferResponse infer_response",
    "ModelRepositoryParameter": "1? bool bool_param; 2? int64 int64_param; 3? string string_param; "
    "4? bytes bytes_param",
    "RepositoryIndexRequest": "1 string repository_name; 2 bool ready",
    "RepositoryIndexResponse": "1 repeated RepositoryIndexResponse.ModelIndex models",
    "RepositoryIndexResponse.ModelIndex": "1 string name; 2 string version; 3 string state; 4 string reason",
    "RepositoryModelLoadRequest": "1 string repository_name; 2 string model_name; 3 map ModelRepositoryParameter "
    "parameters",
    "RepositoryModelLoadResponse": "1 string model_name; 2 bool isLoaded",
    "RepositoryModelUnloadRequest": "1 string repository_name; 2 string model_name; 3 map ModelRepositoryParameter "
    "parameters",
    "RepositoryModelUnloadResponse": "1 string model_name; 2 bool isUnloaded",
}


@cache
def messages() -> dict[str, Any]:
    """The message classes by name; MissingExtra where protobuf is not installed."""
    try:
        from google.protobuf import descriptor_pool, message_factory
        from google.protobuf.descriptor_pb2 import FileDescriptorProto
    except ImportError as error:
        raise MissingExtra("protobuf", "grpc") from error
    file = FileDescriptorProto(name="keepfit/open_inference.proto", package="inference", syntax="proto3")
    for name, fields in _TABLE.items():
        _describe(_place(file, name), name, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}")) for name in _TABLE}


def _place(file: FileDescriptorProto, name: str) -> DescriptorProto:
    """A message in the file, or in the one it is nested in, which comes before it."""
    outer, _, inner = name.rpartition(".")
    if not outer:
        return file.message_type.add(name=name)
    return next(message for message in file.message_type if message.name == outer).nested_type.add(name=inner)


def _describe(message: DescriptorProto, full: str, fields: str) -> None:
    for number, one, many, kind, name in _FIELD.findall(fields):
        field = message.field.add(
            name=name, number=int(number), label=3 if many else 1, type=_TYPES.get(kind, _MESSAGE)
        )
        if one:
            field.oneof_index = 0
        if many == "map ":
            entry = "".join(part.capitalize() for part in name.split("_")) + "Entry"
            nested = message.nested_type.add(name=entry)
            nested.options.map_entry = True
            nested.field.add(name="key", number=1, label=1, type=_STRING)
            nested.field.add(name="value", number=2, label=1, type=_MESSAGE, type_name=f".inference.{kind}")
            field.type_name = f".inference.{full}.{entry}"
        elif field.type == _MESSAGE:
            field.type_name = f".inference.{kind}"
    if any(field.HasField("oneof_index") for field in message.field):
        message.oneof_decl.add(name="parameter_choice")
