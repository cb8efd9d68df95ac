"""The protobuf contract of a Signature, made at run time without protoc.

One message a record: `<Service>Input` in, `<Service>Output` out. Where a request may carry many records, there are also
`<Service>Inputs` and `<Service>Outputs`, each `repeated … rows = 1`. The rules:

- A field's number is its place in the Signature plus one, so that a widening keeps the numbers of those there were.
- Every single value has presence (`optional`): a value that was not sent is never read as zero, neither today nor
  when a Version may miss it that could not before. Which of them may be absent is said in a comment.
- A list has one dimension and is `repeated`; more dimensions, and lists in a oneof, are a message of `shape` and
  row-major `data`.
- `pickup.lat` is `lat` of a nested message `Pickup`; a nested message's number is that of its first member.
- Texts with choices are enums, timestamps `google.protobuf.Timestamp`; in a list, the first moment there is
  (0001-01-01T00:00:00Z) stands for a missing one.
- A name that is none in protobuf is made one, with the name of before as `json_name`.
- `keepfit_id` (`_id` in JSON) is the record's id: labels refer to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from keepfit.core.errors import MissingExtra
from keepfit.core.nouns import RECORD_ID
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire import identifiers
from keepfit.serve.wire.identifiers import RECORD
from keepfit.serve.wire.prototext import rendered

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

ID_NUMBER = 18999
_RESERVED = 1001  # numbers from that of the id to the end of what protobuf keeps for itself
_TYPES = {
    DType.BOOL: 8, DType.UINT8: 13, DType.UINT16: 13, DType.UINT32: 13, DType.UINT64: 4, DType.INT8: 5, DType.INT16: 5,
    DType.INT32: 5, DType.INT64: 3, DType.FP16: 2, DType.FP32: 2, DType.FP64: 1, DType.BYTES: 9,
}  # fmt: skip  # of google.protobuf.FieldDescriptorProto.Type
_INT64, _MESSAGE, _ENUM, _STRING = 3, 11, 14, 9
_Key = tuple[str, bool]  # the first segment of a name, and whether others follow
_TIMESTAMP = ".google.protobuf.Timestamp"


@dataclass(frozen=True)
class Member:
    """Where a Field is found: the messages to walk through, its name there, and how its values are written."""

    field: Field
    path: tuple[str, ...]
    name: str
    number: int
    tensor: bool = False
    choices: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Proto:
    """The contract: descriptor, text, the members of both sides, and what its methods take and give."""

    package: str
    stem: str
    batched: bool
    file: FileDescriptorProto
    text: str
    inputs: tuple[Member, ...]
    outputs: tuple[Member, ...]


@dataclass
class _Draft:
    """What is gathered while messages are described."""

    members: dict[int, Member] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    torn: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Entry:
    """One Field on its way into a message: the segments of its name not yet walked, and its place."""

    segments: tuple[str, ...]
    place: int
    field: Field


@lru_cache(maxsize=64)
def proto_of(service: str, signature: Signature, major: int = 1) -> Proto:
    """The contract of a Service's Signature; a `major` above 1 has a package of its own. MissingExtra: protobuf."""
    try:
        from google.protobuf.descriptor_pb2 import FileDescriptorProto
    except ImportError as error:
        raise MissingExtra("protobuf", "grpc") from error
    stem, package = identifiers.camel(service), "keepfit" if major == 1 else f"keepfit.v{major}"
    file = FileDescriptorProto(name=f"{package.replace('.', '/')}/{service}.proto", package=package, syntax="proto3")
    if any(each.timestamp for each in (*signature.inputs, *signature.outputs)):
        file.dependency.append("google/protobuf/timestamp.proto")
    comments: dict[str, str] = {}
    sides = []
    for name, fields in ((f"{stem}Input", signature.inputs), (f"{stem}Output", signature.outputs)):
        draft = _Draft(torn=_torn(fields))
        entries = [_Entry(_segments(each.name), place, each) for place, each in enumerate(fields)]
        _Sheet(file.message_type.add(name=name), f"{package}.{name}", (), draft).fill(entries)
        comments |= draft.comments
        sides.append(tuple(draft.members[place] for place in range(len(fields))))
    _close(file, stem, signature.batched)
    text = rendered(file, comments)
    return Proto(package, stem, signature.batched, file, text, *sides)


def classes(proto: Proto) -> dict[str, Any]:
    """The message classes by plain name, in a pool of their own: two Versions' contracts never meet."""
    from google.protobuf import descriptor_pool, message_factory, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(proto.file.SerializeToString())
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{proto.package}.{message.name}"))
        for message in proto.file.message_type
    }


def _segments(name: str) -> tuple[str, ...]:
    parts = tuple(name.split("."))
    return parts if all(parts) else (name,)


def _torn(fields: Sequence[Field]) -> frozenset[str]:
    """The oneofs whose members live in different messages, which protobuf cannot say; they are checked all the same."""
    homes: dict[str, set[tuple[str, ...]]] = {}
    for each in fields:
        if each.oneof:
            homes.setdefault(each.oneof, set()).add(_segments(each.name)[:-1])
    return frozenset(name for name, found in homes.items() if len(found) > 1)


def _close(file: FileDescriptorProto, stem: str, batched: bool) -> None:
    """The messages of many records, and the service."""
    forms = [("", "Predict")]
    if batched:
        forms.append(("s", "PredictRows"))
        for side in ("Input", "Output"):
            rows = file.message_type.add(name=f"{stem}{side}s").field.add(name="rows", number=1, label=3, type=_MESSAGE)
            rows.type_name, rows.json_name = f".{file.package}.{stem}{side}", "rows"
    service = file.service.add(name=stem)
    for plural, name in forms:
        service.method.add(
            name=name,
            input_type=f".{file.package}.{stem}Input{plural}",
            output_type=f".{file.package}.{stem}Output{plural}",
        )


class _Sheet:
    """One message that is being described."""

    def __init__(self, message: DescriptorProto, full: str, path: tuple[str, ...], draft: _Draft) -> None:
        self._message = message
        self._full = full
        self._path = path
        self._draft = draft
        self._scope = identifiers.Scope()
        self._oneofs: dict[str, int] = {}

    def fill(self, entries: list[_Entry]) -> None:
        """Describe fields and messages inside, in order of their places; names of fields come before those of types."""
        groups: dict[_Key, list[_Entry]] = {}
        for entry in entries:
            groups.setdefault((entry.segments[0], len(entry.segments) > 1), []).append(entry)
        own = () if self._path else (RECORD,)
        self._scope = identifiers.Scope(*own, spared=[first for first, _ in groups])
        for target, name, found in self._named(groups):
            if len(found[0].segments) > 1:
                self._nest(target, name, found)
            else:
                self._leaf(target, found[0])
        if not self._path:
            self._message.field.add(name=RECORD, json_name=RECORD_ID, number=ID_NUMBER, label=1, type=_STRING)
            self._draft.comments[f"{self._full}.{RECORD}"] = (
                "The record's id, for labels; one is made where none is sent."
            )
        self._give_presence()

    def _named(self, groups: dict[_Key, list[_Entry]]) -> list[tuple[FieldDescriptorProto, str, list[_Entry]]]:
        """A field for each; who has a name by right takes it first, then nested messages, then what was made legal."""
        names: dict[_Key, str] = {}
        for key in sorted(groups, key=lambda key: (identifiers.legal(key[0]) != key[0], key[1])):
            names[key] = self._scope.field(identifiers.legal(key[0]), groups[key][0].place)
        # A message may be called as a field beside it: then the field keeps the name in JSON.
        heard = [names[key] if key[1] and (key[0], False) in groups else key[0] for key in groups]
        spoken = identifiers.json_names(heard, [names[key] for key in groups])
        return [
            (
                self._message.field.add(name=names[key], json_name=said, number=_number(found[0].place), label=1),
                key[0],
                found,
            )
            for (key, found), said in zip(groups.items(), spoken, strict=True)
        ]

    def _nest(self, target: FieldDescriptorProto, name: str, found: list[_Entry]) -> None:
        inner = self._type(identifiers.camel(name), found[0].place, target)
        rest = [_Entry(entry.segments[1:], entry.place, entry.field) for entry in found]
        message = self._message.nested_type.add(name=inner)
        _Sheet(message, f"{self._full}.{inner}", (*self._path, target.name), self._draft).fill(rest)

    def _leaf(self, target: FieldDescriptorProto, entry: _Entry) -> None:
        each, choices = entry.field, self._typed(target, entry)
        tensor = len(each.shape) > 1 or bool(each.shape and each.oneof)
        if tensor:
            self._tensor(target, entry.place)
        elif each.shape:
            target.label = 3
        if each.oneof and each.oneof not in self._draft.torn:
            if each.oneof not in self._oneofs:
                self._oneofs[each.oneof] = len(self._oneofs)
                name = self._scope.symbol(identifiers.legal(each.oneof), entry.place)
                self._message.oneof_decl.add(name=name)
            target.oneof_index = self._oneofs[each.oneof]
        member = Member(each, self._path, target.name, target.number, tensor, choices)
        self._draft.members[entry.place] = member
        self._draft.comments[f"{self._full}.{target.name}"] = _told(each)

    def _typed(self, target: FieldDescriptorProto, entry: _Entry) -> tuple[tuple[str, int], ...]:
        """Give `target` the type of its elements; the numbers of its choices, where it has some."""
        if entry.field.timestamp:
            target.type, target.type_name = _MESSAGE, _TIMESTAMP
        elif entry.field.choices:
            return self._enum(target, entry)
        else:
            target.type = _TYPES[entry.field.dtype]
        return ()

    def _enum(self, target: FieldDescriptorProto, entry: _Entry) -> tuple[tuple[str, int], ...]:
        name = self._type(identifiers.camel(target.name), entry.place, target, _ENUM)
        prefix = identifiers.upper(name)
        enum = self._message.enum_type.add(name=name)
        enum.value.add(name=self._scope.symbol(f"{prefix}_UNSPECIFIED", entry.place), number=0)
        numbers = []
        for text, (constant, number) in identifiers.constants(prefix, entry.field.choices).items():
            value = self._scope.symbol(constant, entry.place)
            enum.value.add(name=value, number=number)
            numbers.append((text, number))
            self._draft.comments[f"{self._full}.{name}.{value}"] = repr(text)
        return tuple(numbers)

    def _tensor(self, target: FieldDescriptorProto, place: int) -> None:
        """Turn `target`, which has the elements' type, into a message of shape and data."""
        kind, of = target.type, target.type_name
        name = self._type(identifiers.camel(target.name) + "Tensor", place, target)
        message = self._message.nested_type.add(name=name)
        message.field.add(name="shape", json_name="shape", number=1, label=3, type=_INT64)
        data = message.field.add(name="data", json_name="data", number=2, label=3, type=kind)
        if of:
            data.type_name = of

    def _type(self, wanted: str, place: int, target: FieldDescriptorProto, kind: Any = _MESSAGE) -> str:
        name = self._scope.symbol(wanted, place)
        target.type, target.type_name = kind, f".{self._full}.{name}"
        return name

    def _give_presence(self) -> None:
        """Make every single value `optional`, which descriptors say by a oneof of its own, behind the others."""
        for target in self._message.field:
            if target.label == 1 and target.type != _MESSAGE and not target.HasField("oneof_index"):
                target.proto3_optional = True
                target.oneof_index = len(self._message.oneof_decl)
                self._message.oneof_decl.add(name=f"_{target.name}")


def _number(place: int) -> int:
    return place + 1 if place + 1 < ID_NUMBER else place + 1 + _RESERVED


def _told(each: Field) -> str:
    kind = "timestamp" if each.timestamp else f"{each.dtype}"
    shape = f" {list(each.shape)}" if each.shape else ""
    need = f"exactly one of '{each.oneof}'" if each.oneof else "may be missing" if each.nullable else "required"
    return f"{each.name!r}: {kind}{shape}, {need}"
