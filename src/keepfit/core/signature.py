"""Signature: names, types and shapes of a model's inputs and outputs; the machine contract."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keepfit.core.errors import SignatureInvalid


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

    Missing values: a nullable FP field holds NaN, a nullable BYTES field holds the empty string.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...] = ()
    nullable: bool = False

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("_"):
            raise SignatureInvalid(
                f"field {self.name!r}: a name must be non-empty and must not begin with '_' "
                "(such names are keepfit's own columns); rename the column"
            )


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in order."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]

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
    DType.FP16: frozenset({DType.FP32, DType.FP64}),
    DType.FP32: frozenset({DType.FP64}),
}


def compare(old: Signature, new: Signature) -> Comparison:
    """Say whether callers of `old` may be answered by `new`.

    Inputs may widen (a wider type, a value may now be missing, an input no longer needed is dropped only as
    breaking, since callers send it); outputs may only gain fields. Everything else breaks callers.

    >>> a = Signature((Field("x", DType.FP32),), (Field("y", DType.FP32),))
    >>> b = Signature((Field("x", DType.FP64),), (Field("y", DType.FP32), Field("z", DType.FP32)))
    >>> compare(a, b).kind.value, compare(b, a).kind.value
    ('widening', 'breaking')
    """
    widening: list[str] = []
    breaking: list[str] = []
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
    for name, field in after.items():
        was = before.get(name)
        if was is None:
            breaking.append(f"input '{name}' ({field.dtype}) is new and callers do not send it")
            continue
        if was.shape != field.shape:
            breaking.append(f"input '{name}' changed shape from {list(was.shape)} to {list(field.shape)}")
        if field.dtype in _WIDER.get(was.dtype, frozenset()):
            widening.append(f"input '{name}' widened from {was.dtype} to {field.dtype}")
        elif was.dtype != field.dtype:
            breaking.append(f"input '{name}' changed type from {was.dtype} to {field.dtype}")
        if field.nullable and not was.nullable:
            widening.append(f"input '{name}' may now be missing")
        elif was.nullable and not field.nullable:
            breaking.append(f"input '{name}' may no longer be missing")


def _compare_outputs(old: Signature, new: Signature, widening: list[str], breaking: list[str]) -> None:
    before = {field.name: field for field in old.outputs}
    after = {field.name: field for field in new.outputs}
    widening += [f"output '{name}' is new" for name in after if name not in before]
    for name, was in before.items():
        field = after.get(name)
        if field is None:
            breaking.append(f"output '{name}' was removed")
        elif (was.dtype, was.shape) != (field.dtype, field.shape):
            breaking.append(
                f"output '{name}' changed from {was.dtype}{list(was.shape)} to {field.dtype}{list(field.shape)}"
            )
        elif field.nullable and not was.nullable:
            breaking.append(f"output '{name}' may now be missing")
