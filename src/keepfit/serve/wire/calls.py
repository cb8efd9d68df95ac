"""Inference requests and answers of one Version as gRPC messages; everything that does not change is made once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.beginnings import Beginning, numbers_of, varint
from keepfit.serve.wire.binary import to_raw
from keepfit.serve.wire.inference import Call, Inference
from keepfit.serve.wire.protocol import messages
from keepfit.serve.wire.requests import Parameters, Request, Tensor, Wanted
from keepfit.serve.wire.tables import numpy_type

_CONTENTS = {
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where a type's elements are; FP16 has no place there and is always raw."""

_ID, _RAW = b"\x1a", b"\x32"  # of ModelInferResponse: field 3, field 6
_MOST = 64  # numbers of rows whose description is kept
_size = Struct("<I")


class Calls:
    """Decodes requests to and encodes answers of one Version."""

    def __init__(self, model: str, version: int, digest: str, signature: Signature, inference: Inference) -> None:
        self._response = messages()["ModelInferResponse"]
        self._inference = inference
        self._plain = signature.inputs[0] if signature.batched and len(signature.inputs) == 1 else None
        self._outputs = {field.name: field for field in signature.outputs}
        self._batched = signature.batched
        head = self._response(model_name=model, model_version=str(version))
        head.parameters["digest"].string_param = digest
        self._head: bytes = head.SerializeToString()
        self._free = any(-1 in field.shape for field in signature.outputs)
        self._must_be_raw = any(field.dtype is DType.FP16 for field in signature.outputs)
        self._descriptions: dict[int, bytes] = {}

    def decode(self, request: Request, raws: list[memoryview]) -> Call:
        """A request with the raw data of its inputs; SignatureInvalid says what does not fit, with its machine code."""
        return self._inference.take(request, raws)

    def take(self, begun: Beginning, body: bytes) -> Call:
        """As `decode`, of a request whose beginning is known."""
        if begun.reader is not self:
            field, size = self._plain, len(body) - begun.end
            begun.reader, begun.numbers = self, numbers_of(begun.request, field, size) if field else None
        call = begun.numbers.call(body, begun.end) if begun.numbers else None
        return call or self._inference.take(begun.request, [memoryview(body)[begun.end :]])

    def encode(self, call: Call, id: str, outputs: dict[str, NDArray[Any]], *, raw: bool) -> bytes:
        """The serialised ModelInferResponse: the outputs asked for, or all, raw or in typed contents."""
        fields = [self._outputs[name] for name in call.wanted or self._outputs]
        said = id.encode()
        pieces = [self._head, _ID, varint(len(said)), said]
        if not raw and not self._must_be_raw:
            return b"".join((*pieces, self._described(fields, outputs, typed=True)))
        if call.wanted or self._free:
            pieces.append(self._described(fields, outputs, typed=False))
        else:
            pieces.append(self._usual(call.rows, outputs))
        for field in fields:
            content = to_raw(outputs[field.name])
            pieces += (_RAW, varint(len(content)), content)
        return b"".join(pieces)

    def _usual(self, rows: int, outputs: dict[str, NDArray[Any]]) -> bytes:
        """What is said of all outputs, which the number of rows decides."""
        found = self._descriptions.get(rows)
        if found is None:
            found = self._described(self._outputs.values(), outputs, typed=False)
            if len(self._descriptions) < _MOST:
                self._descriptions[rows] = found
        return found

    def _described(self, fields: Iterable[Field], outputs: dict[str, NDArray[Any]], *, typed: bool) -> bytes:
        response = self._response()
        for field in fields:
            values = outputs[field.name]
            shape = values.shape if self._batched else values.shape[1:]
            tensor = response.outputs.add(name=field.name, datatype=field.dtype.value, shape=shape)
            if typed:
                flat = values.reshape(-1).tolist()
                content = [str(value).encode() for value in flat] if field.dtype is DType.BYTES else flat
                getattr(tensor.contents, _CONTENTS[field.dtype.value]).extend(content)
        return bytes(response.SerializeToString())


def request_of(message: Any) -> tuple[Request, list[memoryview]]:
    """What a ModelInferRequest says, and the raw data of each of its inputs."""
    raws: Sequence[bytes] = message.raw_input_contents
    sent = list(message.inputs)
    tensors = [_tensor(said, typed=not raws) for said in sent]
    if not raws:
        raws = [_as_raw(said) for said in sent]
    elif len(raws) != len(sent):
        raise SignatureInvalid(
            f"raw_input_contents has {len(raws)} entries for {len(sent)} inputs; send one for each",
            code="invalid_request",
        )
    outputs = [Wanted(said.name, _plain(said.parameters)) for said in message.outputs] if message.outputs else []
    request = Request(tensors, message.id, outputs, _plain(message.parameters) if message.parameters else None)
    return request, [memoryview(raw) for raw in raws]


def _tensor(said: Any, *, typed: bool) -> Tensor:
    parameters = _plain(said.parameters) if said.parameters else None
    if parameters is not None and "shared_memory_region" in parameters:
        raise SignatureInvalid(
            f"input '{said.name[:60]}' is in shared memory, which is not offered here", code="unsupported_parameter"
        )
    if not typed and said.HasField("contents"):
        raise SignatureInvalid(
            f"input '{said.name[:60]}' has contents, and the request has raw_input_contents; send one of them",
            code="invalid_request",
        )
    return Tensor(said.name, said.shape[:], said.datatype, parameters=parameters)


def _plain(parameters: Any) -> Parameters:
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in parameters.items()}
    return {name: getattr(parameters[name], choice) if choice else None for name, choice in chosen.items()}


def _as_raw(sent: Any) -> bytes:
    """Typed contents as they would have come raw; what else is wrong with them is found by the reader of raw ones."""
    datatype = sent.datatype
    place = _CONTENTS.get(datatype)
    if place is None:
        raise SignatureInvalid(
            f"input '{sent.name[:60]}': {datatype[:20] or 'no datatype'} has no typed contents; use raw_input_contents",
            code="wrong_type",
        )
    if any(descriptor.name != place for descriptor, _ in sent.contents.ListFields()):
        raise SignatureInvalid(
            f"input '{sent.name[:60]}': elements of {datatype} belong into {place}", code="wrong_type"
        )
    values = getattr(sent.contents, place)
    if datatype == "BYTES":
        return b"".join([piece for value in values for piece in (_size.pack(len(value)), value)])
    try:
        return np.array(values, numpy_type(DType(datatype)).newbyteorder("<")).tobytes()
    except OverflowError as error:
        raise SignatureInvalid(
            f"input '{sent.name[:60]}': a number is out of the range of {datatype}", code="wrong_type"
        ) from error
