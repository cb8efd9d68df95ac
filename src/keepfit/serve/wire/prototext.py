"""The text of a `.proto` file, from its descriptor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from keepfit.serve.wire.identifiers import lower_camel

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import (
        DescriptorProto,
        EnumDescriptorProto,
        FieldDescriptorProto,
        FileDescriptorProto,
        ServiceDescriptorProto,
    )

_TYPES = {
    1: "double",
    2: "float",
    3: "int64",
    4: "uint64",
    5: "int32",
    8: "bool",
    9: "string",
    12: "bytes",
    13: "uint32",
}
_REPEATED = 3


def rendered(file: FileDescriptorProto, comments: Mapping[str, str]) -> str:
    """proto3 text; `comments` are by full name of what they stand before."""
    lines = ['syntax = "proto3";', "", f"package {file.package};"]
    lines += ["", *(f'import "{path}";' for path in file.dependency)] if file.dependency else []
    for service in file.service:
        lines += ["", *_service(service)]
    for message in file.message_type:
        lines += ["", *_message(message, file.package, comments)]
    return "\n".join(lines) + "\n"


def _service(service: ServiceDescriptorProto) -> Iterator[str]:
    yield f"service {service.name} {{"
    for method in service.method:
        yield f"  rpc {method.name}({method.input_type}) returns ({method.output_type});"
    yield "}"


def _message(message: DescriptorProto, scope: str, comments: Mapping[str, str]) -> Iterator[str]:
    full = f"{scope}.{message.name}"
    yield from _comment(comments.get(full, ""), "")
    yield f"message {message.name} {{"
    for enum in message.enum_type:
        yield from _indented(_enum(enum, full, comments))
    for nested in message.nested_type:
        yield from _indented(_message(nested, full, comments))
    in_oneof: set[int] = set()
    for field in message.field:
        if not field.HasField("oneof_index") or field.proto3_optional:
            yield from _indented(_field(field, full, comments))
        elif field.oneof_index not in in_oneof:
            in_oneof.add(field.oneof_index)
            yield f"  oneof {message.oneof_decl[field.oneof_index].name} {{"
            for member in message.field:
                if member.HasField("oneof_index") and member.oneof_index == field.oneof_index:
                    yield from _indented(_indented(_field(member, full, comments)))
            yield "  }"
    yield "}"


def _enum(enum: EnumDescriptorProto, scope: str, comments: Mapping[str, str]) -> Iterator[str]:
    yield f"enum {enum.name} {{"
    for value in enum.value:
        yield from _comment(comments.get(f"{scope}.{enum.name}.{value.name}", ""), "  ")
        yield f"  {value.name} = {value.number};"
    yield "}"


def _field(field: FieldDescriptorProto, scope: str, comments: Mapping[str, str]) -> Iterator[str]:
    yield from _comment(comments.get(f"{scope}.{field.name}", ""), "")
    label = "repeated " if field.label == _REPEATED else "optional " if field.proto3_optional else ""
    spoken = field.json_name if field.json_name and field.json_name != lower_camel(field.name) else ""
    option = f' [json_name = "{_quoted(spoken)}"]' if spoken else ""
    yield f"{label}{_TYPES.get(field.type, field.type_name)} {field.name} = {field.number}{option};"


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"{indent}// {line}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _quoted(text: str) -> str:
    """`text` inside the quotes of a .proto file."""
    return "".join(
        f"\\{ord(mark):03o}" if mark in '"\\' or ord(mark) < 0x20 or ord(mark) == 0x7F else mark for mark in text
    )
