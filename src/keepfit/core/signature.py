"""Signature: names, types and shapes of a model's inputs and outputs; the machine contract."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keepfit.core.errors import SignatureInvalid

MISSING_TIME = -(2**63)
"""What a nullable timestamp holds where there is none: NumPy's NaT."""


class DType(StrEnum):
    """Element types, under the names of the Open Inference Protocol v2."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"


@dataclass(frozen=True)
class Field:
    """One named input or output; `shape` is per record, () for a plain column, -1 for a free dimension.

    Missing values: a nullable FP field holds NaN, a nullable BYTES field the empty string, a nullable timestamp
    `MISSING_TIME`. A dotted name (`pickup.lat`) is a member of a nested message on the typed wire. `choices` are the
    only texts a BYTES field may hold (an enum). `timestamp` says that an INT64 counts microseconds since 1970, UTC.
    Of the nullable fields with one `oneof`, a caller sends exactly one.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...] = ()
    nullable: bool = False
    choices: tuple[str, ...] = ()
    timestamp: bool = False
    oneof: str = ""

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("_"):
            raise SignatureInvalid(
                f"field {self.name!r}: a name must be non-empty and must not begin with '_' "
                "(such names are keepfit's own columns); rename the column"
            )
        if self.choices and self.dtype is not DType.BYTES:
            raise SignatureInvalid(f"field '{self.name}': choices are texts, so its type must be BYTES")
        if self.timestamp and self.dtype is not DType.INT64:
            raise SignatureInvalid(f"field '{self.name}': a timestamp counts microseconds, so its type must be INT64")
        if self.oneof and not self.nullable:
            raise SignatureInvalid(f"field '{self.name}': a member of oneof '{self.oneof}' must be nullable")


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in order.

    `batched` says that a request may carry many records, one after another in the first dimension of every tensor.
    Where it is False, the shapes are those of the whole tensors, and a request is one record.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    batched: bool = True

    def __post_init__(self) -> None:
        for side, fields in (("input", self.inputs), ("output", self.outputs)):
            names = [field.name for field in fields]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise SignatureInvalid(f"{side} names {sorted(twice)} appear more than once; names must differ")


class Compatibility(StrEnum):
    """How a new Signature relates to the one in use."""

    IDENTICAL = "identical"
    WIDENING = "widening"
    BREAKING = "breaking"


@dataclass(frozen=True)
class Comparison:
    """The relation of two Signatures and every difference, one sentence each."""

    kind: Compatibility
    changes: tuple[str, ...] = ()


_WIDER: dict[DType, frozenset[DType]] = {
    DType.INT8: frozenset({DType.INT16, DType.INT32, DType.INT64}),
    DType.INT16: frozenset({DType.INT32, DType.INT64}),
    DType.INT32: frozenset({DType.INT64}),
    DType.UINT8: frozenset({DType.UINT16, DType.UINT32, DType.UINT64, DType.INT16, DType.INT32, DType.INT64}),
    DType.UINT16: frozenset({DType.UINT32, DType.UINT64, DType.INT32, DType.INT64}),
    DType.UINT32: frozenset({DType.UINT64, DType.INT64}),
    DType.FP16: frozenset({DType.FP32}),
}
"""Types whose values another type holds, and whose bytes it can read on every wire: protobuf writes FP16 and FP32 in
four bytes and FP64 in eight, so that no caller of the one is understood by the other."""


def compare(old: Signature, new: Signature) -> Comparison:
    """Say whether callers of `old` may be answered by `new`, with every difference.

    Inputs may widen: a wider type, a dimension that is now free, more choices, a value that may now be missing.
    Outputs may only gain fields, after those there were (their places are the numbers of the protobuf contract), or
    promise more: fewer choices, a dimension of one size, a value that is never missing any more. Everything else breaks
    callers; also a text that becomes an enum or the other way, which are two types in protobuf.

    >>> a = Signature((Field("x", DType.INT32),), (Field("y", DType.FP32),))
    >>> b = Signature((Field("x", DType.INT64),), (Field("y", DType.FP32), Field("z", DType.FP32)))
    >>> compare(a, b).kind.value, compare(b, a).kind.value
    ('widening', 'breaking')
    """
    widening: list[str] = []
    breaking: list[str] = []
    if old.batched != new.batched:
        words = ("one record a request", "many records a request")
        breaking.append(f"was {words[old.batched]}, is {words[new.batched]}")
    _compare_inputs(old, new, widening, breaking)
    _compare_outputs(old, new, widening, breaking)
    if breaking:
        return Comparison(Compatibility.BREAKING, (*breaking, *widening))
    if widening:
        return Comparison(Compatibility.WIDENING, tuple(widening))
    return Comparison(Compatibility.IDENTICAL)


def _compare_inputs(old: Signature, new: Signature, widening: list[str], breaking: list[str]) -> None:
    before = {field.name: field for field in old.inputs}
    after = {field.name: field for field in new.inputs}
    breaking += [f"input '{name}' was removed" for name in before if name not in after]
    breaking += _moved("input", old.inputs, new.inputs)
    for name, field in after.items():
        was = before.get(name)
        if was is None:
            breaking.append(f"input '{name}' ({field.dtype}) is new and callers do not send it")
        else:
            _compare_input(was, field, widening, breaking)


def _compare_input(was: Field, field: Field, widening: list[str], breaking: list[str]) -> None:
    name = f"input '{field.name}'"
    if was.shape != field.shape:
        sentence = f"{name} changed shape from {list(was.shape)} to {list(field.shape)}"
        (widening if _freed(was.shape, field.shape) else breaking).append(sentence)
    if field.dtype in _WIDER.get(was.dtype, frozenset()) and not was.timestamp and not field.timestamp:
        widening.append(f"{name} widened from {was.dtype} to {field.dtype}")
    elif was.dtype != field.dtype:
        breaking.append(f"{name} changed type from {was.dtype} to {field.dtype}")
    elif was.timestamp != field.timestamp:
        breaking.append(f"{name} {'became' if field.timestamp else 'is no longer'} a timestamp")
    if field.nullable and not was.nullable:
        widening.append(f"{name} may now be missing")
    elif was.nullable and not field.nullable:
        breaking.append(f"{name} may no longer be missing")
    if was.oneof != field.oneof:
        breaking.append(f"{name} moved from oneof '{was.oneof}' to '{field.oneof}'")
    breaking += _turned(name, was, field)
    lost, won = _choices(was, field)
    breaking += [f"{name} no longer takes {lost}"] if lost else []
    widening += [f"{name} also takes {won}"] if won else []


def _compare_outputs(old: Signature, new: Signature, widening: list[str], breaking: list[str]) -> None:
    before = {field.name: field for field in old.outputs}
    after = {field.name: field for field in new.outputs}
    widening += [f"output '{name}' is new" for name in after if name not in before]
    breaking += _moved("output", old.outputs, new.outputs)
    for name, was in before.items():
        field = after.get(name)
        if field is None:
            breaking.append(f"output '{name}' was removed")
        else:
            _compare_output(was, field, widening, breaking)


def _compare_output(was: Field, field: Field, widening: list[str], breaking: list[str]) -> None:
    name = f"output '{field.name}'"
    same = (was.dtype, was.timestamp, was.oneof) == (field.dtype, field.timestamp, field.oneof)
    if same and was.shape != field.shape and _freed(field.shape, was.shape):
        widening.append(f"{name} is always of shape {list(field.shape)}, was {list(was.shape)}")
    elif not same or was.shape != field.shape:
        breaking.append(f"{name} changed from {_told(was)} to {_told(field)}")
    breaking += _turned(name, was, field)
    if field.nullable and not was.nullable:
        breaking.append(f"{name} may now be missing")
    elif was.nullable and not field.nullable:
        widening.append(f"{name} is never missing any more")
    lost, won = _choices(was, field)
    breaking += [f"{name} may also be {won}"] if won else []
    widening += [f"{name} is never {lost} any more"] if lost else []


def _moved(side: str, before: tuple[Field, ...], after: tuple[Field, ...]) -> list[str]:
    """The fields both have whose place is another: the numbers of a protobuf message are places."""
    names = [field.name for field in after]
    return [
        f"{side} '{field.name}' changed place from {place} to {names.index(field.name)}"
        for place, field in enumerate(before)
        if field.name in names and names.index(field.name) != place and len(before) <= len(after)
    ]


def _freed(was: tuple[int, ...], now: tuple[int, ...]) -> bool:
    return len(was) == len(now) and all(new in (-1, old) for old, new in zip(was, now, strict=True))


def _choices(was: Field, now: Field) -> tuple[str, str]:
    """The texts that were taken and no longer are, and those that now also are; of two enums."""
    if not was.choices or not now.choices:
        return "", ""
    told = (sorted(set(was.choices) - set(now.choices)), sorted(set(now.choices) - set(was.choices)))
    return ", ".join(map(repr, told[0])), ", ".join(map(repr, told[1]))


def _turned(name: str, was: Field, now: Field) -> list[str]:
    if bool(was.choices) == bool(now.choices) or was.dtype is not now.dtype:
        return []
    told = "any text, is an enum" if now.choices else "an enum, is any text"
    return [f"{name} was {told}: another type in protobuf"]


def _told(field: Field) -> str:
    extra = " timestamp" if field.timestamp else f" of oneof '{field.oneof}'" if field.oneof else ""
    return f"{field.dtype}{list(field.shape)}{extra}"
