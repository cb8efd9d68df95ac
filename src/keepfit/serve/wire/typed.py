"""Typed methods of one Signature: protobuf, or proto3 JSON (https://protobuf.dev/programming-guides/json/), to arrays.

There is `predict`, one record in and one out, and where a request may carry many records also `predict_rows`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from numpy.typing import NDArray

from keepfit.core.errors import ModelFault, NotFound, SignatureInvalid
from keepfit.core.nouns import RECORD_ID
from keepfit.core.signature import Signature
from keepfit.serve.wire.descriptors import Proto, classes, proto_of
from keepfit.serve.wire.elements import enough, oneofs, wrong_oneof
from keepfit.serve.wire.identifiers import RECORD
from keepfit.serve.wire.members import reader_of, writer_of
from keepfit.serve.wire.rows import Batch


class Method(NamedTuple):
    """What a method takes and gives: one record, or a message of `rows`."""

    name: str
    single: bool
    takes: Any
    gives: Any


class Typed:
    """Decodes requests to and encodes answers of one Signature; MissingExtra where protobuf is not installed."""

    def __init__(self, service: str, signature: Signature, major: int = 1) -> None:
        self.proto: Proto = proto_of(service, signature, major)
        found = classes(self.proto)
        take, give = found[f"{self.proto.stem}Input"], found[f"{self.proto.stem}Output"]
        self.methods = {"predict": Method("predict", True, take, give)}
        if signature.batched:
            take, give = found[f"{self.proto.stem}Inputs"], found[f"{self.proto.stem}Outputs"]
            self.methods["predict_rows"] = Method("predict_rows", False, take, give)
        self._readers = [(member.field.name, reader_of(member)) for member in self.proto.inputs]
        self._writers = [(member.field.name, writer_of(member)) for member in self.proto.outputs]
        self._paths = sorted({member.path[:end] for member in self.proto.inputs for end in range(len(member.path) + 1)})
        self._paths = self._paths or [()]
        self._groups = oneofs(signature.inputs)
        self._spoken = {member.number: member for member in self.proto.inputs}

    def method(self, name: str) -> Method:
        """The method of that name; NotFound (`unknown_method`) says which there are."""
        found = self.methods.get(name)
        if found is None:
            raise NotFound(
                f"there is no method '{name[:60]}'; there are: {', '.join(self.methods)}", code="unknown_method"
            )
        return found

    def decode(self, method: Method, body: bytes, *, json: bool) -> Batch:
        """The records in `body`; SignatureInvalid says what does not fit, with its machine code."""
        message = from_json(method.takes, body) if json else from_binary(method.takes, body)
        rows = [message] if method.single else list(message.rows)
        enough(len(rows))
        if not json:
            self._expect_known(message, rows)
        inputs: dict[str, NDArray[Any]] = {}
        sent: dict[str, list[bool]] = {}
        for name, reader in self._readers:
            inputs[name], sent[name] = reader.read(rows)
        for group, members in self._groups.items():
            for row in range(len(rows)):
                count = sum(sent[member.name][row] for member in members)
                if count != 1:
                    raise wrong_oneof(group, members, row, count)
        return Batch(_ids(rows), len(rows), inputs, method.single)

    def encode(self, method: Method, ids: list[str], outputs: dict[str, NDArray[Any]], *, json: bool) -> bytes:
        """The answer; ModelFault where an output is no value of its type's."""
        message = method.gives()
        rows = [message] if method.single else [message.rows.add() for _ in ids]
        for row, id in zip(rows, ids, strict=True):
            setattr(row, RECORD, id)
        try:
            for name, writer in self._writers:
                writer.write(rows, outputs[name])
        except (ValueError, TypeError) as error:
            raise ModelFault(f"output '{name}' cannot be said in protobuf: {error}") from error
        return to_json(message) if json else bytes(message.SerializeToString())

    def _expect_known(self, message: Any, rows: list[Any]) -> None:
        """Refuse fields that are not in the contract: protobuf keeps them silently, and the caller meant something."""
        from google.protobuf.unknown_fields import UnknownFieldSet

        for number, row in enumerate(rows):
            for path in self._paths:
                place = row
                for step in path:
                    place = getattr(place, step)
                unknown = UnknownFieldSet(place)
                if len(unknown):
                    raise self._unknown(number, path, unknown[0].field_number)
        if rows[0] is not message and len(UnknownFieldSet(message)):
            raise SignatureInvalid("the request has fields beside its rows; fetch /proto again", code="unknown_input")

    def _unknown(self, row: int, path: tuple[str, ...], number: int) -> SignatureInvalid:
        member = self._spoken.get(number)
        if member is not None and member.path == path:
            return SignatureInvalid(
                f"row {row}: input '{member.field.name}' came as another type than {member.field.dtype} is sent as; "
                "fetch /proto again",
                code="wrong_type",
            )
        where = f" of '{'.'.join(path)}'" if path else ""
        return SignatureInvalid(
            f"row {row}: there is no field number {number}{where}; fetch /proto again", code="unknown_input"
        )


def from_binary(kind: Any, body: bytes) -> Any:
    """The message in `body`; SignatureInvalid (`invalid_protobuf`) where it holds none."""
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise SignatureInvalid(
            f"the body is no {kind.DESCRIPTOR.full_name}, or a text in it is not UTF-8: {error}",
            code="invalid_protobuf",
        ) from error


def from_json(kind: Any, body: bytes) -> Any:
    """The message that the JSON in `body` is; SignatureInvalid names the field that is not."""
    from google.protobuf import json_format

    if body.lstrip()[:1] != b"{":
        raise SignatureInvalid("the body is no JSON object", code="invalid_json")
    try:
        return json_format.Parse(body, kind())
    except json_format.ParseError as error:
        raise _refused(str(error)) from error
    except RecursionError as error:
        raise SignatureInvalid("the body is nested too deeply", code="too_deep") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:  # what its parser lets through
        raise SignatureInvalid(f"the body does not fit: {error}", code="wrong_type") from error


def to_json(message: Any) -> bytes:
    """A message's JSON."""
    from google.protobuf import json_format

    return msgspec.json.encode(json_format.MessageToDict(message))


def _refused(sentence: str) -> SignatureInvalid:
    shown = sentence if len(sentence) <= 300 else sentence[:297] + "..."
    if "Failed to load JSON" in sentence:
        return SignatureInvalid(f"the body is not JSON: {shown}", code="invalid_json")
    if "no field named" in sentence:
        return SignatureInvalid(f"unknown field: {shown}", code="unknown_input")
    return SignatureInvalid(shown, code="wrong_type")


def _ids(rows: list[Any]) -> list[str]:
    ids = [getattr(row, RECORD) for row in rows]
    named = [id for id in ids if id]
    if len(set(named)) < len(named):
        seen: set[str] = set()
        twice = next(id for id in named if id in seen or seen.add(id))  # type: ignore[func-returns-value]
        raise SignatureInvalid(f"'{RECORD_ID}' {twice[:60]!r} is on more than one row", code="duplicate_id")
    return ids
