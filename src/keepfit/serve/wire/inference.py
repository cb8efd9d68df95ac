"""Open Inference Protocol v2 over JSON and binary tensors, for one Version.

Sources: https://github.com/kserve/open-inference-protocol and, for raw tensors, see `binary`. Of Triton's own
extensions `timeout` is obeyed; those which would change the answer (`classification`, sequences, shared memory) are
refused, since leaving them out silently would be a wrong answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.binary import head_length, to_raw
from keepfit.serve.wire.elements import MOST_ROWS, enough, invalid_json, oneofs, plain, refuse_duplicates, settle
from keepfit.serve.wire.requests import Request, quotes, raw_size, refuse_unoffered, truth
from keepfit.serve.wire.tensors import reader_of


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request, decoded: the caller's id ("" for none), rows, arrays by input name, the outputs asked for.

    `wanted` empty means all outputs; `binary` are those to be sent raw; `timeout` is in microseconds, 0 for none.
    """

    id: str
    rows: int
    inputs: dict[str, NDArray[Any]]
    wanted: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()
    timeout: int = 0


class _Known(NamedTuple):
    """What the JSON before raw tensors says, which is the same for every request of one caller but for the numbers.

    `size` bytes of tensors follow, each with its name, its reader, its type, its shape and its place.
    """

    size: int
    call: Call
    parts: tuple[tuple[str, Callable[..., NDArray[Any]], str, tuple[int, ...], slice], ...]

    def read(self, tail: memoryview) -> Call:
        """The Call with other numbers."""
        call = self.call
        inputs = {name: read(datatype, tail[where], shape) for name, read, datatype, shape, where in self.parts}
        return Call("", call.rows, inputs, call.wanted, call.binary, call.timeout)


_MOST = 1024  # of them; who sends always new ones empties the table, and has everything parsed
_LONGEST = 2048  # bytes of JSON that are worth keeping
_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


class Inference:
    """Decodes requests to and encodes answers of one Version; everything that does not change is made once."""

    def __init__(self, service: str, version: int, digest: str, signature: Signature) -> None:
        self._readers = {field.name: reader_of(field, signature.batched) for field in signature.inputs}
        self._outputs = {field.name: _opening(field, signature.batched) for field in signature.outputs}
        self._groups = oneofs(signature.inputs)
        self._known: dict[bytes, _Known] = {}
        self._batched = signature.batched
        self._head = b'{"model_name":%s,"model_version":"%d","parameters":{"digest":%s},"id":' % (
            _encode(service),
            version,
            _encode(digest),
        )

    def decode(self, body: bytes, head: bytes | None = None) -> Call:
        """The request in `body`; SignatureInvalid says what does not fit, with its machine code.

        `head` is the `Inference-Header-Content-Length` of a request with raw tensors after its JSON.
        """
        if head is None:
            text, tail = body, None
        else:
            length = head_length(head, len(body))
            text, tail = body[:length], memoryview(body)[length:]
            known = self._known.get(text)
            if known is not None and known.size == len(tail):
                return known.read(tail)
        try:
            request = _decode(text)
        except msgspec.ValidationError as error:
            raise SignatureInvalid(f"the body is no inference request: {error}", code="invalid_request") from error
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise invalid_json(text, error) from error
        marks = text.count(b'"')
        if marks != 2 + 12 * len(request.inputs) + (4 if request.id else 0) and marks != quotes(request):
            refuse_duplicates(text)
        inputs = self._read(request) if tail is None else self._read_tail(request, tail)
        rows = self._rows(request, inputs)
        if request.outputs or request.parameters is not None:
            call = self._with_wishes(request, rows, inputs)
        else:
            call = Call(request.id, rows, inputs)
        if tail is not None and not call.id and not self._groups and len(text) <= _LONGEST:
            self._learn(text, tail, request, call)
        return call

    def _learn(self, text: bytes, tail: memoryview, request: Request, call: Call) -> None:
        """Keep what the JSON before raw tensors says, where all of them are raw."""
        sizes = [None if tensor.parameters is None else raw_size(tensor) for tensor in request.inputs]
        parts, at = [], 0
        for tensor, size in zip(request.inputs, sizes, strict=True):
            if size is None:
                return
            read = self._readers[tensor.name].raw
            parts.append((tensor.name, read, tensor.datatype, call.inputs[tensor.name].shape, slice(at, at + size)))
            at += size
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[text] = _Known(len(tail), msgspec.structs.replace(call, inputs={}), tuple(parts))

    def take(self, request: Request, raws: Sequence[memoryview]) -> Call:
        """A request that came as messages, with the raw data of each of its inputs."""
        inputs: dict[str, NDArray[Any]] = {}
        for tensor, raw in zip(request.inputs, raws, strict=True):
            reader = self._readers.get(tensor.name)
            if reader is None:
                raise self._unknown(tensor.name)
            inputs[tensor.name] = reader.read_raw(tensor, raw)
        rows = self._rows(request, inputs)
        if request.outputs or request.parameters is not None:
            return self._with_wishes(request, rows, inputs)
        return Call(request.id, rows, inputs)

    def encode(self, call: Call, id: str, outputs: dict[str, NDArray[Any]]) -> bytes:
        """The answer's JSON: the outputs asked for, or all of them."""
        pieces = [self._head, _encode(id), b',"outputs":[']
        rows = b"%d" % call.rows
        for name in call.wanted or self._outputs:
            before, after, field = self._outputs[name]
            values = outputs[name]
            if field is not None:
                after, values = self._shaped(field, values, rows)
                pieces += (before, after, b',"data":', _encode(plain(field, values)), b"},")
                continue
            flat = values if values.ndim == 1 else values.reshape(-1)
            pieces += (before, rows, after, b',"data":', _encode(flat.tolist()), b"},")
        pieces[-1] = b"}]}"
        return b"".join(pieces)

    def encode_binary(self, call: Call, id: str, outputs: dict[str, NDArray[Any]]) -> tuple[bytes, int]:
        """The answer with the outputs in `call.binary` raw after the JSON, and the length of that JSON."""
        pieces = [self._head, _encode(id), b',"outputs":[']
        raws = []
        rows = b"%d" % call.rows
        for name in call.wanted or self._outputs:
            before, after, field = self._outputs[name]
            values = outputs[name]
            shape = rows + after if field is None else self._shaped(field, values, rows)[0]
            if name in call.binary:
                raws.append(to_raw(values))
                pieces += (before, shape, b',"parameters":{"binary_data_size":%d}' % len(raws[-1]), b"},")
            else:
                listed = values.reshape(-1)
                data = listed.tolist() if field is None else plain(field, listed)
                pieces += (before, shape, b',"data":', _encode(data), b"},")
        pieces[-1] = b"}]}"
        text = b"".join(pieces)
        return b"".join((text, *raws)), len(text)

    def _shaped(self, field: Field, values: NDArray[Any], rows: bytes) -> tuple[bytes, NDArray[Any]]:
        """The JSON of an output's shape, as it is in this answer, up to its end; and its elements, flat."""
        sizes = values.shape[1:]
        shape = (rows, *(b"%d" % size for size in sizes)) if self._batched else [b"%d" % size for size in sizes]
        return b",".join(shape) + b"]", values.reshape(-1)

    def _read(self, request: Request) -> dict[str, NDArray[Any]]:
        inputs: dict[str, NDArray[Any]] = {}
        for tensor in request.inputs:
            reader = self._readers.get(tensor.name)
            if reader is None:
                raise self._unknown(tensor.name)
            if tensor.parameters is not None and raw_size(tensor) is not None:
                raise SignatureInvalid(
                    f"input '{tensor.name}' has binary_data_size, but the request has no header "
                    "Inference-Header-Content-Length to say where its JSON ends",
                    code="invalid_framing",
                )
            inputs[tensor.name] = reader.read(tensor)
        return inputs

    def _read_tail(self, request: Request, tail: memoryview) -> dict[str, NDArray[Any]]:
        """As `_read`, with raw tensors one after another in `tail`."""
        inputs: dict[str, NDArray[Any]] = {}
        at = 0
        for tensor in request.inputs:
            reader = self._readers.get(tensor.name)
            if reader is None:
                raise self._unknown(tensor.name)
            size = None if tensor.parameters is None else raw_size(tensor)
            if size is None:
                inputs[tensor.name] = reader.read(tensor)
                continue
            if size > len(tail) - at:
                raise SignatureInvalid(
                    f"input '{tensor.name}': binary_data_size is {size}, but {len(tail) - at} bytes are left",
                    code="invalid_framing",
                )
            inputs[tensor.name] = reader.read_raw(tensor, tail[at : at + size])
            at += size
        if at != len(tail):
            raise SignatureInvalid(
                f"{len(tail) - at} bytes follow the last tensor; binary_data_size of the inputs must sum up to all",
                code="invalid_framing",
            )
        return inputs

    def _rows(self, request: Request, inputs: dict[str, NDArray[Any]]) -> int:
        """The number of records, which every input must have; members of oneofs that were left out are added."""
        if not inputs or len(inputs) != len(request.inputs):
            raise self._incomplete(request)
        rows = len(inputs[request.inputs[0].name])
        for name, values in inputs.items():
            if len(values) != rows:
                raise SignatureInvalid(
                    f"input '{name}' has {len(values)} rows, '{request.inputs[0].name}' has {rows}; "
                    "every input has one row per record",
                    code="wrong_shape",
                )
        if not 0 < rows <= MOST_ROWS:
            enough(rows)
        if self._groups:
            settle(self._groups, inputs, rows)
        if len(inputs) != len(self._readers):
            raise self._incomplete(request)
        return rows

    def _with_wishes(self, request: Request, rows: int, inputs: dict[str, NDArray[Any]]) -> Call:
        """The Call of a request that says more than its inputs."""
        parameters = request.parameters or {}
        timeout = parameters.get("timeout") or 0
        if type(timeout) is not int or timeout < 0:
            raise SignatureInvalid("parameter 'timeout': expected microseconds, a whole number", code="wrong_type")
        refuse_unoffered(parameters)
        always = truth(parameters, "binary_data_output", default=False)
        wanted: dict[str, bool] = {}
        for output in request.outputs:
            if output.name not in self._outputs:
                raise SignatureInvalid(
                    f"output '{output.name[:60]}' does not exist; there are: {', '.join(self._outputs)}",
                    code="unknown_output",
                )
            if output.name in wanted:
                raise SignatureInvalid(f"output '{output.name}' is asked for twice", code="duplicate_output")
            refuse_unoffered(output.parameters or {})
            wanted[output.name] = truth(output.parameters or {}, "binary_data", default=always)
        raw = (name for name in wanted if wanted[name]) if wanted else self._outputs if always else ()
        return Call(request.id, rows, inputs, tuple(wanted), frozenset(raw), timeout)

    def _unknown(self, name: str) -> SignatureInvalid:
        return SignatureInvalid(
            f"input '{name[:60]}' does not exist; expected: {', '.join(self._readers)}", code="unknown_input"
        )

    def _incomplete(self, request: Request) -> SignatureInvalid:
        sent = [tensor.name for tensor in request.inputs]
        if len(set(sent)) < len(sent):
            twice = next(name for name in self._readers if sent.count(name) > 1)
            return SignatureInvalid(f"input '{twice}' is sent twice", code="duplicate_input")
        lost = next(name for name in self._readers if name not in sent)
        return SignatureInvalid(
            f"input '{lost}' is missing; sent: {', '.join(sent) or 'nothing'}", code="missing_input"
        )


def _opening(field: Field, batched: bool) -> tuple[bytes, bytes, Field | None]:
    """The JSON of one output before and after its number of rows; the Field too where the rest can't be made once."""
    before = b'{"name":%s,"datatype":"%s","shape":[' % (_encode(field.name), field.dtype.encode())
    after = b"".join(b",%d" % size for size in field.shape) + b"]"
    simple = (
        batched and -1 not in field.shape and not (field.nullable and (field.timestamp or field.dtype is DType.BYTES))
    )
    return before, after, None if simple else field
