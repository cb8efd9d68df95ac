"""One Field of the protobuf contract: its values out of many messages into an array, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import ModelFault, SignatureInvalid
from keepfit.core.signature import MISSING_TIME, DType, Field
from keepfit.serve.wire.descriptors import Member
from keepfit.serve.wire.elements import arrays_of, missing, wrong_value

_REAL = frozenset({DType.FP16, DType.FP32, DType.FP64})
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # seconds of the years 1 and 9999, which a Timestamp may be in
_Values = list[Any]
_Shape = tuple[int, ...]


@lru_cache(maxsize=4096)
def reader_of(member: Member) -> Reader:
    """The reader of a Member, made once for all Versions that have it."""
    return Reader(member)


@lru_cache(maxsize=4096)
def writer_of(member: Member) -> Writer:
    """The writer of a Member, likewise."""
    return Writer(member)


class Reader:
    """Reads one input of many records."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._field = field = member.field
        self._made = arrays_of(field)
        self._absent = bool(field.oneof) or (field.nullable and missing(field) is not None)
        self._element = _element(member)
        self._fixed = None if -1 in field.shape else field.shape

    def read(self, rows: Sequence[Any]) -> tuple[NDArray[Any], list[bool]]:
        """The array of (n, *shape), and which of the records sent a value; SignatureInvalid names what does not fit."""
        field, path = self._field, self._member.path
        if path:
            rows = [_walked(row, path) for row in rows]
        if field.shape:
            return self._stacked([self._many(row, number) for number, row in enumerate(rows)])
        name, element = self._member.name, self._element
        values: _Values = [getattr(row, name) if row.HasField(name) else None for row in rows]
        if element is not None:
            values = [None if value is None else element(value) for value in values]
        if not self._absent and None in values:
            raise self._lost(values.index(None))
        return self._checked(values), [value is not None for value in values]

    def _many(self, row: Any, number: int) -> tuple[_Values, _Shape] | None:
        """The elements that one record holds, and their shape; None where it sent nothing."""
        member, field = self._member, self._field
        if member.tensor:
            if not row.HasField(member.name):
                if self._absent and field.oneof:
                    return None
                raise self._lost(number)
            tensor = getattr(row, member.name)
            values, shape = tensor.data, tuple(tensor.shape) or self._fixed or ()
        else:
            values = getattr(row, member.name)
            shape = (len(values),)
        fits = len(shape) == len(field.shape) and all(
            size >= 0 and expected in (-1, size) for expected, size in zip(field.shape, shape, strict=True)
        )
        if not fits or prod(shape) != len(values):
            expected = ", ".join("any" if size < 0 else str(size) for size in field.shape)
            raise SignatureInvalid(
                f"row {number}: input '{field.name}': expected shape [{expected}], found {len(values)} values"
                + (f" of shape {list(shape)}" if member.tensor else ""),
                code="wrong_shape",
            )
        element = self._element
        return (list(values) if element is None else [element(value) for value in values]), shape

    def _stacked(self, found: list[tuple[_Values, _Shape] | None]) -> tuple[NDArray[Any], list[bool]]:
        field = self._field
        shapes = {each[1] for each in found if each is not None} or {tuple(abs(size) for size in field.shape)}
        if len(shapes) > 1:
            raise SignatureInvalid(
                f"input '{field.name}': rows differ in shape and do not make one tensor", code="wrong_shape"
            )
        (shape,) = shapes
        nothing = [None if missing(field) is not None else 0] * prod(shape)
        values = [value for each in found for value in (nothing if each is None else each[0])]
        if None in values and not field.nullable:
            raise wrong_value(field.name, field, None)
        return self._checked(values).reshape(len(found), *shape), [each is not None for each in found]

    def _checked(self, values: _Values) -> NDArray[Any]:
        """The array of values; numbers that JSON has no word for are none here either, but NaN for a missing one."""
        with np.errstate(over="ignore"):  # what is too large for 16 bits becomes infinite, and is refused
            array = self._made(values)
        if self._field.dtype not in _REAL or np.isfinite(array).all():
            return array
        if self._field.nullable and not np.isinf(array).any():
            return array
        wrong = next(value for value, real in zip(values, array, strict=True) if not np.isfinite(real))
        raise SignatureInvalid(
            f"input '{self._field.name}': expected a finite {self._field.dtype}, found {wrong!r}", code="not_finite"
        )

    def _lost(self, row: int) -> SignatureInvalid:
        return SignatureInvalid(f"row {row}: input '{self._field.name}' is missing", code="missing_input")


class Writer:
    """Writes one output of many records."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._field = member.field
        self._numbers = dict(member.choices)
        self._nothing = missing(member.field) if member.field.nullable else None

    def write(self, rows: Sequence[Any], values: NDArray[Any]) -> None:
        """Put the array of (n, *shape) into the messages; what is missing is left out."""
        member, shaped = self._member, bool(self._field.shape)
        for row, value in zip(rows, values if shaped else values.tolist(), strict=True):
            message = _walked(row, member.path)
            if not shaped:
                self._write_one(message, value)
            elif not member.tensor:
                self._extend(getattr(message, member.name), value)
            elif not (self._field.oneof and self._is_nothing(value)):
                tensor = getattr(message, member.name)
                tensor.SetInParent()
                tensor.shape.extend(value.shape)
                self._extend(tensor.data, value)

    def _write_one(self, message: Any, value: Any) -> None:
        if self._is_missing(value):
            return
        if self._field.timestamp:
            _set_time(getattr(message, self._member.name), value)
        else:
            setattr(message, self._member.name, self._number(value) if self._numbers else value)

    def _extend(self, target: Any, value: NDArray[Any]) -> None:
        flat = value.reshape(-1).tolist()
        if self._field.timestamp:
            for micros in flat:
                _set_time(target.add(), micros)
        elif self._numbers:
            target.extend(0 if self._is_missing(text) else self._number(text) for text in flat)
        else:
            target.extend(flat)

    def _is_missing(self, value: Any) -> bool:
        """Whether a value says that there is none; in a oneof, a zero gives way to the member that is set."""
        if self._nothing is None:
            return bool(self._field.oneof) and not value
        return bool(value != value if self._field.dtype in _REAL else value == self._nothing)

    def _is_nothing(self, values: NDArray[Any]) -> bool:
        return all(self._is_missing(value) for value in values.reshape(-1).tolist())

    def _number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            raise ModelFault(f"output '{self._field.name}': {text[:60]!r} is none of its choices")
        return number


def _walked(message: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        message = getattr(message, step)
    return message


def _element(member: Member) -> Callable[[Any], Any] | None:
    """What makes the Field's value of one of protobuf's, None for a missing one; None where they are the same."""
    field = member.field
    if field.timestamp:
        return lambda value: _micros(field, value)
    if not member.choices:
        return None
    texts: dict[int, str | None] = {number: text for text, number in member.choices} | {0: None}

    def text(number: int) -> str | None:
        if number not in texts:
            raise SignatureInvalid(
                f"input '{field.name}': {number} is the number of none of its choices; fetch /proto again",
                code="wrong_choice",
            )
        return texts[number]

    return text


def _micros(field: Field, value: Any) -> int | None:
    if not (_FIRST <= value.seconds <= _LAST and 0 <= value.nanos < 10**9):
        raise SignatureInvalid(
            f"input '{field.name}': {value.seconds} s {value.nanos} ns is no moment of the years 1 to 9999",
            code="wrong_type",
        )
    micros = int(value.seconds) * 10**6 + value.nanos // 1000
    return None if field.shape and micros == _FIRST * 10**6 else micros


def _set_time(target: Any, micros: int) -> None:
    seconds, rest = (_FIRST, 0) if micros == MISSING_TIME else divmod(micros, 10**6)
    if not _FIRST <= seconds <= _LAST:
        raise ModelFault(f"a timestamp of {micros} µs is outside of the years 1 to 9999")
    target.SetInParent()
    target.seconds, target.nanos = seconds, rest * 1000
