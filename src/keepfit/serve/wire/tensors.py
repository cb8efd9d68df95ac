"""The reader of one tensor of an inference request: its type, its shape, its JSON or raw data."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field
from keepfit.serve.wire.binary import from_raw
from keepfit.serve.wire.elements import (
    MOST_ROWS,
    arrays_of,
    elements_type,
    enough,
    invalid_json,
    misfit,
    parsed,
    wrong_value,
)
from keepfit.serve.wire.requests import Tensor
from keepfit.serve.wire.tables import numpy_type


@lru_cache(maxsize=4096)
def reader_of(field: Field, batched: bool) -> Reader:
    """The reader of a Field, made once for all Versions that have it."""
    return Reader(field, batched)


class Reader:
    """Reads one tensor of one Field."""

    def __init__(self, field: Field, batched: bool) -> None:
        self._field = field
        self._batched = batched
        self._shape = list(field.shape)
        self._decode = msgspec.json.Decoder(elements_type(field)).decode
        self._array = arrays_of(field)
        # A narrower type than the Signature's is welcome: callers of the Version before a widening still send it.
        self._datatypes = frozenset(
            dtype.value
            for dtype in DType
            if (dtype is DType.BYTES) == (field.dtype is DType.BYTES)
            and np.can_cast(numpy_type(dtype), numpy_type(field.dtype), "safe")
        )

    def read(self, tensor: Tensor) -> NDArray[Any]:
        """The array of a tensor whose data is JSON."""
        shape = self._expected(tensor)
        try:
            values = self._decode(tensor.data)
        except msgspec.ValidationError:
            values = self._flattened(tensor, len(shape))
        except (msgspec.DecodeError, ValueError) as error:  # texts in it were not looked at before
            if tensor.data:
                raise invalid_json(bytes(tensor.data), error) from error
            raise SignatureInvalid(f"input '{self._field.name}' has no data", code="missing_data") from error
        if shape[0] < 0 or len(values) != prod(shape):
            raise self._misshapen(tensor.shape, f"{len(values)} values")
        array = self._array(values)
        return array if len(shape) == 1 else array.reshape(shape) if values else array

    def read_raw(self, tensor: Tensor, raw: memoryview) -> NDArray[Any]:
        """The array of a tensor whose data is `raw`."""
        shape = self._expected(tensor)
        if shape[0] < 0:
            raise self._misshapen(tensor.shape, "")
        array = from_raw(self._field, tensor.datatype, raw, prod(shape))
        return array if len(shape) == 1 or not len(array) else array.reshape(shape)

    def raw(self, datatype: str, raw: memoryview, shape: tuple[int, ...]) -> NDArray[Any]:
        """The array of a shape and a type that were found to fit before."""
        array = from_raw(self._field, datatype, raw, prod(shape))
        return array if len(shape) == 1 or not len(array) else array.reshape(shape)

    def _expected(self, tensor: Tensor) -> list[int]:
        """The shape of the array for a tensor whose type and shape fit."""
        if tensor.datatype not in self._datatypes:
            raise SignatureInvalid(
                f"input '{self._field.name}': expected datatype {self._field.dtype}, found '{tensor.datatype[:60]}'",
                code="wrong_type",
            )
        shape = tensor.shape if self._batched else [1, *tensor.shape]
        if shape[1:] != self._shape or not shape:
            shape = self._reconciled(shape, tensor.shape)
        if shape[0] > MOST_ROWS:  # before a loop is made over them
            enough(shape[0])
        return shape

    def _reconciled(self, shape: list[int], sent: list[int]) -> list[int]:
        """The shape to use for one that is not literally the Field's: [n, 1] for a column, free dimensions."""
        if not self._shape and len(shape) == 2 and shape[1] == 1:
            return shape[:1]
        fits = len(shape) == len(self._shape) + 1 and all(
            found > 0 and expected in (-1, found) for expected, found in zip(self._shape, shape[1:], strict=True)
        )
        if not fits:
            raise self._misshapen(sent, "")
        return shape

    def _flattened(self, tensor: Tensor, depth: int) -> list[Any]:
        """The elements of nested data, which the protocol also allows, or the error of the first that does not fit."""
        values = parsed(tensor.data)
        if not isinstance(values, list):
            raise SignatureInvalid(
                f"input '{self._field.name}': data: expected a list, found {type(values).__name__}", code="wrong_type"
            )
        for _ in range(depth - 1):  # no deeper than the tensor has dimensions
            if values and isinstance(values[0], list):
                values = [leaf for item in values for leaf in (item if isinstance(item, list) else [item])]
        wrong, found = misfit(self._field, values)
        if wrong and isinstance(found, list):
            raise self._misshapen(tensor.shape, "data nested otherwise")
        if wrong:
            raise wrong_value(self._field.name, self._field, found)
        return values

    def _misshapen(self, shape: list[int], found: str) -> SignatureInvalid:
        sizes = ["any" if size < 0 else str(size) for size in self._shape]
        expected = ", ".join(["n", *sizes] if self._batched else sizes)
        told = f"shape {shape!s:.80}" if not found else f"{found} for shape {shape!s:.80}"
        return SignatureInvalid(
            f"input '{self._field.name}': expected shape [{expected}], found {told}", code="wrong_shape"
        )
