"""What an Open Inference Protocol request is made of, and what of it is refused at once."""

from __future__ import annotations

import msgspec

from keepfit.core.errors import SignatureInvalid

Parameters = dict[str, bool | int | float | str | None]
_NOTHING = msgspec.Raw(b"")
_UNOFFERED = ("classification", "sequence_id", "shared_memory_region")


class Tensor(msgspec.Struct, gc=False):
    """One input: `data` is its JSON, empty where `parameters` say that it follows raw."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = _NOTHING
    parameters: Parameters | None = None


class Wanted(msgspec.Struct, gc=False):
    """One output that is asked for."""

    name: str
    parameters: Parameters | None = None


class Request(msgspec.Struct, gc=False):
    """The JSON of a request; what it has besides is not read."""

    inputs: list[Tensor]
    id: str = ""
    outputs: list[Wanted] = []
    parameters: Parameters | None = None


def quotes(request: Request) -> int:
    """How many quotation marks the JSON of a request has, if it has no string that was not understood.

    Every piece that was understood is there at least once; so where there are no more, no key is there twice.
    """
    marks = 2 + 12 * len(request.inputs) if request.inputs else 2
    if request.id:
        marks += 4
    for tensor in request.inputs:
        if tensor.datatype == "BYTES":
            marks += bytes(tensor.data).count(b'"')
        if tensor.parameters is not None:
            marks += _marks(tensor.parameters) - (0 if tensor.data else 2)
    if request.outputs:
        marks += 2
        for output in request.outputs:
            marks += 4 + (0 if output.parameters is None else _marks(output.parameters))
    return marks if request.parameters is None else marks + _marks(request.parameters)


def _marks(parameters: Parameters) -> int:
    return 2 + sum(4 if isinstance(value, str) else 2 for value in parameters.values())


def raw_size(tensor: Tensor) -> int | None:
    """How many bytes of raw data a tensor says it has; None where its data is JSON."""
    parameters = tensor.parameters or {}
    refuse_unoffered(parameters)
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise SignatureInvalid(
            f"input '{tensor.name}': binary_data_size: expected a number of bytes, found {size!r:.40}",
            code="invalid_framing",
        )
    if tensor.data:
        raise SignatureInvalid(
            f"input '{tensor.name}' has both data and binary_data_size; send one of them", code="invalid_framing"
        )
    return size


def refuse_unoffered(parameters: Parameters) -> None:
    """SignatureInvalid where something is wished for that would change the answer and is not offered."""
    wish = next((name for name in _UNOFFERED if parameters.get(name)), None)
    if wish is not None:
        raise SignatureInvalid(f"parameter '{wish}' is not offered here; leave it out", code="unsupported_parameter")


def truth(parameters: Parameters, name: str, *, default: bool) -> bool:
    """A parameter that is true or false."""
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise SignatureInvalid(f"parameter '{name}': expected true or false", code="wrong_type")
    return value
