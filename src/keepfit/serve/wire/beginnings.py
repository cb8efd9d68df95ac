"""Beginnings: what a request says before its raw content, once understood, need not be parsed again.

A caller asks the same model for the same outputs with a tensor of the same shape every time; only the numbers differ,
and they come last. Parsing the rest and checking it against the Signature is two thirds of reading a small request.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from keepfit.core.signature import DType, Field
from keepfit.serve.wire.binary import finite
from keepfit.serve.wire.elements import MOST_ROWS
from keepfit.serve.wire.inference import Call
from keepfit.serve.wire.requests import Request
from keepfit.serve.wire.tables import numpy_type

_RAW = b"\x3a"  # of ModelInferRequest: field 7
_MOST = 1024  # beginnings; who sends always new ones empties the table, and has everything parsed
_LONGEST = 2048  # bytes of a beginning that is worth keeping
_FLOATS = (DType.FP16, DType.FP32, DType.FP64)


class Numbers(NamedTuple):
    """A tensor that a Version takes as it is sent: its input's name, its shape, its type."""

    name: str
    shape: list[int]
    dtype: np.dtype[Any]

    def call(self, body: bytes, at: int) -> Call | None:
        """The Call of the numbers at a place in `body`; None where one is not finite, or they lie awkwardly."""
        values = np.ndarray(self.shape, self.dtype, body, at)
        return Call("", self.shape[0], {self.name: values}) if finite(values) and values.flags.aligned else None


class Beginning:
    """A request without its raw content, which begins at `end`.

    `reader` last had its `numbers` looked at, None where they have to be read like any others.
    """

    __slots__ = ("end", "model_name", "model_version", "numbers", "reader", "request")

    def __init__(self, message: Any, request: Request, end: int) -> None:
        self.model_name: str = message.model_name
        self.model_version: str = message.model_version
        self.request, self.end = request, end
        self.reader: object = None
        self.numbers: Numbers | None = None


class Beginnings:
    """The beginnings of ModelInferRequests that had an id of nobody's and one raw content, which came last."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self._ends: dict[int, int] = {}
        self._known: dict[bytes, Beginning] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, body: bytes) -> Beginning | None:
        """The beginning of `body`; None has it parsed."""
        end = self._ends.get(len(body))
        return self._known.get(body[:end]) if end is not None else None

    def learn(self, body: bytes, message: Any, request: Request) -> None:
        """Keep the beginning of `body`, which `message` and `request` were made of, where it can come again."""
        raws = message.raw_input_contents
        if len(raws) != 1 or request.id:
            return
        size = len(raws[0])
        end, mark = len(body) - size, _RAW + varint(size)
        if end > _LONGEST or body[end - len(mark) : end] != mark or not self._whole(body[: end - len(mark)]):
            return
        if len(self._known) >= _MOST:
            self._known.clear()
            self._ends.clear()
        self._ends[len(body)] = end
        self._known[body[:end]] = Beginning(message, request, end)

    def _whole(self, body: bytes) -> bool:
        """Whether `body` is a message by itself: else the content's mark might lie inside of something else."""
        from google.protobuf.message import DecodeError

        try:
            return not self._message.FromString(body).raw_input_contents
        except DecodeError:
            return False


def numbers_of(request: Request, field: Field, size: int) -> Numbers | None:
    """How to take the one tensor of a request for the only input of a batched Signature; None has it read as others.

    `size` is the bytes of its content. Plain are floating-point numbers in the type and the shape of the Field.
    """
    tensor = request.inputs[0]
    if field.dtype not in _FLOATS or len(request.inputs) > 1 or request.outputs or request.parameters is not None:
        return None
    shape, dtype = tensor.shape, numpy_type(field.dtype)
    said = (tensor.name, tensor.datatype, tensor.parameters, shape[1:])
    if said != (field.name, field.dtype.value, None, list(field.shape)) or dtype.newbyteorder("<") != dtype:
        return None
    if not shape or not 0 < shape[0] <= MOST_ROWS or -1 in field.shape or field.oneof:
        return None
    return Numbers(field.name, list(shape), dtype) if prod(shape) * dtype.itemsize == size else None


def varint(number: int) -> bytes:
    """A whole number as protobuf writes it.

    >>> varint(300)
    b'\\xac\\x02'
    """
    if number < 128:
        return b"%c" % number
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
