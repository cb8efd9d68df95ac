"""Open Inference Protocol v2 over JSON (https://github.com/kserve/open-inference-protocol), for one Version."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.elements import array_of, element_type, fits, invalid_json, parsed, wrong_value
from keepfit.serve.wire.tables import numpy_type


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request, decoded: the caller's id ("" for none), rows, arrays by input name, the outputs asked for."""

    id: str
    rows: int
    inputs: dict[str, NDArray[Any]]
    wanted: tuple[str, ...] = ()


class _Tensor(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw


class _Wanted(msgspec.Struct, gc=False):
    name: str


class _Request(msgspec.Struct, gc=False):
    inputs: list[_Tensor]
    id: str = ""
    outputs: list[_Wanted] = []


_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


class Inference:
    """Decodes requests to and encodes answers of one Version; everything that does not change is made once."""

    def __init__(self, service: str, version: int, digest: str, signature: Signature) -> None:
        self._readers = {field.name: _reader(field) for field in signature.inputs}
        self._outputs = {field.name: _opening(field) for field in signature.outputs}
        self._head = b'{"model_name":%s,"model_version":"%d","parameters":{"digest":%s},"id":' % (
            _encode(service),
            version,
            _encode(digest),
        )

    def decode(self, body: bytes) -> Call:
        """The request in `body`; SignatureInvalid says what does not fit, with its machine code."""
        try:
            request = _decode(body)
        except msgspec.ValidationError as error:
            raise SignatureInvalid(f"the body is no inference request: {error}", code="invalid_request") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise invalid_json(body, error) from error
        inputs: dict[str, NDArray[Any]] = {}
        for tensor in request.inputs:
            reader = self._readers.get(tensor.name)
            if reader is None:
                raise self._unknown(tensor.name)
            inputs[tensor.name] = reader.read(tensor)
        if len(inputs) != len(self._readers) or len(inputs) != len(request.inputs):
            raise self._incomplete(request)
        rows = len(inputs[request.inputs[0].name])
        for name, values in inputs.items():
            if len(values) != rows:
                raise SignatureInvalid(
                    f"input '{name}' has {len(values)} rows, '{request.inputs[0].name}' has {rows}; "
                    "every input has one row per record",
                    code="wrong_shape",
                )
        if not rows:
            raise SignatureInvalid("the request has no rows; send at least one", code="empty_batch")
        return Call(request.id, rows, inputs, self._wanted(request.outputs) if request.outputs else ())

    def encode(self, call: Call, id: str, outputs: dict[str, NDArray[Any]]) -> bytes:
        """The answer's JSON: the outputs asked for, or all of them."""
        pieces = [self._head, _encode(id), b',"outputs":[']
        rows = b"%d" % call.rows
        for name in call.wanted or self._outputs:
            before, after = self._outputs[name]
            values = outputs[name]
            flat = values if values.ndim == 1 else values.reshape(-1)
            pieces += (before, rows, after, _encode(flat.tolist()), b"},")
        pieces[-1] = b"}]}"
        return b"".join(pieces)

    def _wanted(self, outputs: list[_Wanted]) -> tuple[str, ...]:
        for output in outputs:
            if output.name not in self._outputs:
                raise SignatureInvalid(
                    f"output '{output.name}' does not exist; there are: {', '.join(self._outputs)}",
                    code="unknown_output",
                )
        return tuple(output.name for output in outputs)

    def _unknown(self, name: str) -> SignatureInvalid:
        return SignatureInvalid(
            f"input '{name}' does not exist; expected: {', '.join(self._readers)}", code="unknown_input"
        )

    def _incomplete(self, request: _Request) -> SignatureInvalid:
        sent = [tensor.name for tensor in request.inputs]
        if len(set(sent)) < len(sent):
            return SignatureInvalid(f"inputs are sent twice: {', '.join(sent)}", code="duplicate_input")
        absent = [name for name in self._readers if name not in sent]
        return SignatureInvalid(f"input '{absent[0]}' is missing; sent: {', '.join(sent)}", code="missing_input")


def _opening(field: Field) -> tuple[bytes, bytes]:
    """The JSON of one output around its number of rows, up to its data."""
    before = b'{"name":%s,"datatype":"%s","shape":[' % (_encode(field.name), field.dtype.encode())
    return before, b"".join(b",%d" % size for size in field.shape) + b'],"data":'


@lru_cache(maxsize=4096)
def _reader(field: Field) -> _Reader:
    """The reader of a Field, made once for all Versions that have it."""
    return _Reader(field)


class _Reader:
    """Reads one tensor of one Field."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._shape = list(field.shape)
        self._size = prod(field.shape)
        self._decode = msgspec.json.Decoder(list[element_type(field)]).decode  # type: ignore[misc]  # made at run time
        # A narrower type than the Signature's is welcome: callers of the Version before a widening still send it.
        self._datatypes = frozenset(
            dtype.value
            for dtype in DType
            if (dtype is DType.BYTES) == (field.dtype is DType.BYTES)
            and np.can_cast(numpy_type(dtype), numpy_type(field.dtype), "safe")
        )
        self._simple = field.dtype is not DType.BYTES and -1 not in field.shape

    def read(self, tensor: _Tensor) -> NDArray[Any]:
        field, shape = self._field, tensor.shape
        if tensor.datatype not in self._datatypes:
            raise SignatureInvalid(
                f"input '{field.name}': expected datatype {field.dtype}, found '{tensor.datatype}'", code="wrong_type"
            )
        if shape[1:] != self._shape:
            shape = self._reconciled(shape)
        try:
            values = self._decode(tensor.data)
        except msgspec.ValidationError:
            values = self._flattened(tensor)
        if not shape or shape[0] < 0 or len(values) != prod(shape):
            raise self._misshapen(shape, f"{len(values)} values")
        array = array_of(field, values)
        return array if len(shape) == 1 else array.reshape(shape)

    def _reconciled(self, shape: list[int]) -> list[int]:
        """The shape to use for one that is not literally the Field's: [n, 1] for a column, free dimensions."""
        if not self._shape and len(shape) == 2 and shape[1] == 1:
            return shape[:1]
        fits = len(shape) == len(self._shape) + 1 and all(
            expected in (-1, found) for expected, found in zip(self._shape, shape[1:], strict=True)
        )
        if not fits or any(size < 0 for size in shape):
            raise self._misshapen(shape, f"shape {shape}")
        return shape

    def _flattened(self, tensor: _Tensor) -> list[Any]:
        """The elements of nested data, which the protocol also allows, or the error of the first that does not fit."""
        data = parsed(tensor.data)
        if not isinstance(data, list):
            raise SignatureInvalid(
                f"input '{self._field.name}': data: expected a list, found {type(data).__name__}", code="wrong_type"
            )
        values = _leaves(data)
        wrong = next((value for value in values if not fits(self._field, value)), None)
        if wrong is not None or (None in values and not fits(self._field, None)):
            raise wrong_value(self._field.name, self._field, wrong)
        return (
            [float(value) for value in values] if self._field.dtype.startswith("FP") and None not in values else values
        )

    def _misshapen(self, shape: list[int], found: str) -> SignatureInvalid:
        expected = ", ".join(["n", *("any" if size < 0 else str(size) for size in self._shape)])
        return SignatureInvalid(
            f"input '{self._field.name}': expected shape [{expected}], found {found}"
            + (f" for shape {shape}" if "values" in found else ""),
            code="wrong_shape",
        )


def _leaves(data: list[Any]) -> list[Any]:
    while any(isinstance(item, list) for item in data):
        data = [leaf for item in data for leaf in (item if isinstance(item, list) else [item])]
    return data
