"""Graphs: what an ONNX file takes and answers, and the small changes without which onnxruntime would not run it.

Everything here runs in a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import Any

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.imports import send_nothing
from keepfit.core.nouns import Task
from keepfit.edge.onboard.apart import main
from keepfit.edge.onboard.renaming import rename

_TRAINING = frozenset({"ai.onnx.training", "ai.onnx.preview.training"})
_NEWER = (7, 8, 9, 13, 17)
"""Operator sets an old graph is brought to, the nearest first, until onnxruntime has kernels for it."""

_MOST = 2**31 - 2**20
_PORTABLE = "C.UTF-8"
"""The locale of a StringNormalizer that names none: its default, en_US, is not installed on every machine, and the
specification leaves the choice to the platform."""


def look(model: str, adapted: str, task: str = "") -> dict[str, Any]:
    """Describe the graph in the file `model`, and write it to `adapted` as it will be served.

    With a task, its outputs are given the names and shapes that keepfit's task has.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "onnx") from error
    path = Path(model)
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise Refused(f"is no ONNX model that can be read: {error}", code="truncated") from error
    _refuse(proto)
    notes = _inlined(proto, path.parent) + _localised(proto)
    classes, zipped = _unzipped(proto)
    if task:
        rename(proto, Task(task))
    session, proto, upgraded = _session(proto)
    shapes = {} if all(_is_shaped(node, proto.graph.output) for node in session.get_outputs()) else _tried(session)
    Path(adapted).write_bytes(proto.SerializeToString(deterministic=True))
    return {
        "inputs": [_described(node) for node in session.get_inputs()],
        "outputs": [_described(node) | shapes.get(node.name, {}) for node in session.get_outputs()],
        "classes": classes,
        "task": task,
        "producer": f"{proto.producer_name} {proto.producer_version}".strip() or "ONNX",
        "notes": notes + zipped + upgraded,
    }


def _refuse(proto: Any) -> None:
    if not proto.opset_import:
        raise Refused(
            f"is an ONNX model of IR version {proto.ir_version} that declares no operator set, so that nothing says "
            "what its operators mean; export it again with a current exporter",
            code="unservable",
        )
    for node in proto.graph.node:
        if node.domain in _TRAINING:
            raise Refused(
                f"uses the operator {node.domain}.{node.op_type}, which exists in training only; "
                "export the model for inference",
                code="training_only",
            )


def _inlined(proto: Any, folder: Path) -> list[str]:
    """Bring weights that lie in files beside the model into it; Refused where they lie elsewhere."""
    from onnx import external_data_helper as external

    apart = [tensor for tensor in external._get_all_tensors(proto) if external.uses_external_data(tensor)]
    total = 0
    for tensor in apart:
        place = external.ExternalDataInfo(tensor).location
        pure = PurePosixPath(place.replace("\\", "/"))
        inside = (folder / place).resolve().is_relative_to(folder.resolve())
        if not place or pure.is_absolute() or ".." in pure.parts or not inside:
            raise Refused(
                f"the weights '{tensor.name}' lie in {place!r}, outside the model's folder; they are not read",
                code="escape",
            )
        if not (folder / place).is_file():
            raise Refused(f"the weights '{tensor.name}' lie in {place!r}, which is missing beside the model")
        total += external.ExternalDataInfo(tensor).length or (folder / place).stat().st_size
    if total > _MOST:
        raise Refused(f"has {total / 2**30:.1f} GB of weights; keepfit serves ONNX models of up to 2 GB")
    if apart:
        external.load_external_data_for_model(proto, str(folder))
    return [f"{len(apart)} tensors were brought in from files beside the model"] if apart else []


def _localised(proto: Any) -> list[str]:
    from onnx import helper

    changed = 0
    for node in proto.graph.node:
        if node.op_type == "StringNormalizer" and all(item.name != "locale" for item in node.attribute):
            node.attribute.append(helper.make_attribute("locale", _PORTABLE))
            changed += 1
    return [f"texts are normalised in the locale {_PORTABLE}"] if changed else []


def _unzipped(proto: Any) -> tuple[list[Any], list[str]]:
    """Answer the probabilities as a tensor where ZipMap would answer a list of dictionaries; the classes it names."""
    from onnx import TensorProto, helper

    classes: list[Any] = []
    names = []
    for place, node in enumerate(proto.graph.node):
        if node.op_type != "ZipMap":
            continue
        for attribute in node.attribute:
            classes = [text.decode() for text in attribute.strings] or list(attribute.ints)
        proto.graph.node.insert(place, helper.make_node("Identity", node.input, node.output))
        del proto.graph.node[place + 1]
        for output in proto.graph.output:
            if output.name == node.output[0]:
                info = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [None, len(classes)])
                output.CopyFrom(info)
                names.append(output.name)
    return classes, [f"output '{name}' is a tensor in the order of the classes {classes}" for name in names]


def _session(proto: Any) -> tuple[Any, Any, list[str]]:
    """The graph in onnxruntime, brought to a newer operator set where there are no kernels for its own."""
    from onnx import version_converter

    try:
        return _opened(proto), proto, []
    except Exception as error:  # noqa: BLE001  # onnxruntime's exceptions have no common base
        first = error
    own = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if "NOT_IMPLEMENTED" in str(first) or own < _NEWER[0]:
        for version in (version for version in _NEWER if version > own):
            try:
                newer = version_converter.convert_version(proto, version)
                newer.ir_version = max(newer.ir_version, 4)
                told = f"brought from operator set {own} to {version}, the nearest that onnxruntime has kernels for"
                return _opened(newer), newer, [told]
            except Exception:  # noqa: BLE001, S112  # the first error is the one that is told
                continue
    told = str(first).replace("[ONNXRuntimeError] : ", "")
    if "NOT_IMPLEMENTED" in told:
        raise Refused(f"onnxruntime has no CPU kernel for it: {told[:400]}", code="unservable") from first
    raise Refused(f"onnxruntime cannot load it: {told[:400]}", code="unservable") from first


def _opened(proto: Any) -> Any:
    send_nothing()
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _described(node: Any) -> dict[str, Any]:
    """Name, type and dimensions of one input or output; a dimension is a number, a name, or None."""
    return {"name": node.name, "type": node.type, "shape": list(node.shape)}


def _is_shaped(node: Any, declared: Any) -> bool:
    """Whether the rank of an output is known; onnxruntime gives [] for an unknown one, and for a single number."""
    info = next((value.type.tensor_type for value in declared if value.name == node.name), None)
    return bool(node.shape) or (info is not None and info.HasField("shape"))


def _tried(session: Any) -> dict[str, dict[str, Any]]:
    """The shapes that outputs have for an input of noughts, with open dimensions where the records are."""
    import numpy as np

    kinds = {"tensor(string)": object, "tensor(float)": np.float32, "tensor(double)": np.float64}
    feed, rows, is_open = {}, 3, True
    for node in session.get_inputs():
        is_open = is_open and bool(node.shape) and not isinstance(node.shape[0], int)
        sizes = [rows if not place else 1 for place in range(len(node.shape))]
        shape = [size if isinstance(size, int) else sizes[place] for place, size in enumerate(node.shape)]
        kind = kinds.get(node.type) or np.dtype(node.type[7:-1])
        feed[node.name] = np.full(shape, "" if kind is object else 0, dtype=kind)
    found = {}
    for node, values in zip(session.get_outputs(), session.run(None, feed), strict=True):
        shape = list(np.shape(values))
        found[node.name] = {"shape": [None, *shape[1:]] if is_open and shape[:1] == [rows] else shape}
    return found


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
