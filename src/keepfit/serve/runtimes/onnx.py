"""ONNX: graphs, in this process, by ONNX Runtime on the calling thread.

Measured with 20 products of 1,600 × 1,600 (200 MB of weights, ONNX Runtime 1.31, Linux), in MB above what the process
had before:

    opened from                           peak of loading   after closing
    bytes                                             587             263
    a path                                            234             234   (the second load peaks at 450)
    a path, large blocks of memory mapped             214               9   (the twentieth load as well)
    a path, weights in a file beside it               214               9
    the same, without prepacking                        8               9   (mapped; a row is answered 20 % slower)

So the file is opened by its path, and the C library is told once to map every block of a megabyte instead of raising,
block by block, the size from which it does (`large_blocks_are_given_back`). Prepacking stays: it is bought with no
memory, the weights as they were read are let go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.imports import send_nothing
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor
from keepfit.core.signature import DType, Field
from keepfit.serve.runtimes.features import stacked
from keepfit.serve.runtimes.loaded import Answer, Arrays, Loaded, answered_by_model
from keepfit.serve.runtimes.memory import large_blocks_are_given_back
from keepfit.serve.runtimes.onnx_file import check_contents, contents
from keepfit.serve.wire.tables import numpy_type

_TYPES = {
    "tensor(float)": DType.FP32,
    "tensor(double)": DType.FP64,
    "tensor(float16)": DType.FP16,
    "tensor(bool)": DType.BOOL,
    "tensor(string)": DType.BYTES,
    "tensor(int8)": DType.INT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(uint8)": DType.UINT8,
    "tensor(uint16)": DType.UINT16,
    "tensor(uint32)": DType.UINT32,
    "tensor(uint64)": DType.UINT64,
}


class Onnx:
    """ONNX Runtime in this process, on the calling thread."""

    inline = True

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Open `model.onnx`; Refused where it is damaged or its inputs and outputs are not what the Bundle says."""
        return open_graph(directory / "model.onnx", bundle)


def open_graph(path: Path, bundle: Bundle) -> Predictor:
    """A Predictor of a graph's file; see `Onnx.load`."""
    session = open_session(path)
    feeds = _feeds(bundle, session)
    names = answered_by_model(bundle)
    flat = _outputs(bundle, session, names)
    return Loaded(bundle, _answer(session, feeds, names, flat, bundle.signature.batched), inline=True)


def open_session(path: Path) -> Any:
    """An ONNX Runtime session of a file, on one thread; Refused with the reason where it cannot be opened."""
    send_nothing()
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnx") from error
    check_contents(path, contents(path))
    large_blocks_are_given_back()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # swapped-out Versions give memory back
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise Refused(f"{path.name} cannot be loaded: {_plain(error, path)}", code="corrupt") from error


def _plain(error: Exception, path: Path) -> str:
    """What ONNX Runtime says without its own file names and ours."""
    words = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)).replace(str(path), path.name)
    return re.sub(r"/onnxruntime_src/\S+ ", "", words)


_Feed = tuple[str, Callable[[Arrays], Any]]


def _feeds(bundle: Bundle, session: Any) -> list[_Feed]:
    """How each native input is made of the Signature's; inputs that have an initialiser are not asked for."""
    fields = {field.name: field for field in bundle.signature.inputs}
    columns = bundle.columns or tuple((name, (name,)) for name in fields)
    for name, members in columns:
        if not members or any(member not in fields for member in members):
            raise Refused(f"native input '{name}' takes fields the Signature lacks: {members}", code="wrong_signature")
    nodes = {node.name: node for node in session.get_inputs()}
    optional = {node.name: node for node in session.get_overridable_initializers()}
    wanted = {name: fields[members[0]].dtype for name, members in columns}
    asked = nodes | {name: node for name, node in optional.items() if name in wanted}
    found = {name: _TYPES.get(node.type) for name, node in asked.items()}
    if found != wanted or sorted(m for _, members in columns for m in members) != sorted(fields):
        raise Refused(f"the graph's inputs are {found}, the Bundle says {wanted}", code="wrong_signature")
    batched = bundle.signature.batched
    return [
        (name, _feed(name, asked[name].shape, [fields[member] for member in members], batched))
        for name, members in columns
    ]


def _feed(name: str, shape: list[Any], members: list[Field], batched: bool) -> Callable[[Arrays], Any]:
    first = members[0].name
    if not batched:
        _check_shape(name, shape, members[0].shape)
        return lambda inputs: inputs[first].reshape(inputs[first].shape[1:])
    if shape and isinstance(shape[0], int):
        raise Refused(
            f"input '{name}' takes exactly {shape[0]} records at a time; its Signature must say that it is not batched",
            code="wrong_signature",
        )
    if len(members) == 1 and (members[0].shape or len(shape) == 1):
        _check_shape(name, shape[1:], members[0].shape)
        return lambda inputs: inputs[first]
    if any(member.shape for member in members):
        raise Refused(f"input '{name}': tensors cannot be stacked beside each other", code="wrong_signature")
    _check_shape(name, shape[1:], (len(members),))
    return stacked([member.name for member in members], numpy_type(members[0].dtype))


def _check_shape(name: str, found: list[Any], field: tuple[int, ...]) -> None:
    """What callers may send is what the graph takes; a dimension it names or leaves open takes any size."""
    fits = len(found) == len(field) and all(
        not isinstance(own, int) or own == promised for own, promised in zip(found, field, strict=True)
    )
    if found is not None and not fits:
        raise Refused(f"input '{name}': the graph takes {found}, the Signature {list(field)}", code="wrong_signature")


def _outputs(bundle: Bundle, session: Any, names: tuple[str, ...]) -> list[bool]:
    """Whether each output comes as a column of width one where the Signature has a plain one."""
    nodes = {node.name: node for node in session.get_outputs()}
    answers = {name: _TYPES.get(node.type) for name, node in nodes.items()}
    promised = {field.name: field.dtype for field in bundle.signature.outputs}
    if not promised.items() <= answers.items():
        raise Refused(f"the graph's outputs are {answers}, the Signature says {promised}", code="wrong_signature")
    if not set(names) <= set(nodes):
        raise Refused(
            f"the Bundle decides at probability {bundle.threshold}, but the graph has no output 'probability', "
            f"only {sorted(nodes)}",
            code="wrong_signature",
        )
    shapes = {field.name: field.shape for field in bundle.signature.outputs}
    columns = {name for name, node in nodes.items() if len(node.shape) == 2 and node.shape[1] == 1}
    return [bundle.signature.batched and name in columns and not shapes.get(name, ()) for name in names]


def _answer(session: Any, feeds: list[_Feed], names: tuple[str, ...], flat: list[bool], batched: bool) -> Answer:
    import onnxruntime

    wanted, run, options = list(names), session.run, onnxruntime.RunOptions()  # which a call would make anew
    if not batched:
        return lambda inputs: {
            name: np.asarray(answer)[np.newaxis]
            for name, answer in zip(wanted, run(wanted, {n: feed(inputs) for n, feed in feeds}, options), strict=True)
        }
    if not any(flat):
        return lambda inputs: dict(
            zip(wanted, run(wanted, {n: feed(inputs) for n, feed in feeds}, options), strict=True)
        )
    return lambda inputs: {
        name: answer.reshape(-1) if column else answer
        for name, answer, column in zip(
            wanted, run(wanted, {n: feed(inputs) for n, feed in feeds}, options), flat, strict=True
        )
    }
