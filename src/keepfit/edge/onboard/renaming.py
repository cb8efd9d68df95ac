"""Renaming: the outputs of a classifier's or regressor's graph under the names that keepfit's tasks have."""

from __future__ import annotations

from typing import Any

from keepfit.core.errors import Refused
from keepfit.core.nouns import Task

_Made = tuple[str, int, list[int | None]]


def rename(proto: Any, task: Task) -> None:
    """Make `prediction` and `probability` or `probabilities` of a graph's outputs; Refused where it has none such."""
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE)
    outputs = {output.name: output.type.tensor_type for output in proto.graph.output}
    if task is Task.REGRESSION:
        numbers = [name for name, kind in outputs.items() if kind.elem_type in floats]
        _require(len(numbers) == 1, task, "one output of numbers with a point", outputs)
        _replace(proto, {"prediction": (_flat(proto, numbers[0]), outputs[numbers[0]].elem_type, [None])})
        return
    labels = [name for name, kind in outputs.items() if kind.elem_type not in floats]
    chances = [name for name, kind in outputs.items() if kind.elem_type in floats]
    _require(len(labels) == 1 and len(chances) == 1, task, "a label and its probabilities", outputs)
    label, chance = labels[0], chances[0]
    kinds = outputs[label].elem_type, outputs[chance].elem_type
    made: dict[str, _Made] = {"prediction": (_flat(proto, label), kinds[0], [None])}
    if task is Task.BINARY:
        made["probability"] = (_flat(proto, _last(proto, chance, outputs[chance])), kinds[1], [None])
    else:
        width = _width(outputs[chance])
        made["probabilities"] = (chance, kinds[1], [None, width])
    _replace(proto, made)


def _require(fits: bool, task: Task, wanted: str, outputs: Any) -> None:
    if not fits:
        raise Refused(
            f"its task is said to be {task}, which takes {wanted}; its outputs are {sorted(outputs)}. "
            "Leave --task out, and they are served under their own names",
            code="wrong_task",
        )


def _width(kind: Any) -> int | None:
    sizes = kind.shape.dim
    return sizes[1].dim_value if len(sizes) == 2 and sizes[1].HasField("dim_value") else None


def _fresh(proto: Any, hint: str) -> str:
    return f"keepfit_{hint}_{len(proto.graph.node)}"


def _flat(proto: Any, name: str) -> str:
    """One value a record, whether it was a column or not."""
    from numpy import array, int64
    from onnx import helper, numpy_helper

    shape, flat = _fresh(proto, "shape"), _fresh(proto, "flat")
    proto.graph.initializer.append(numpy_helper.from_array(array([-1], dtype=int64), shape))
    proto.graph.node.append(helper.make_node("Reshape", [name, shape], [flat]))
    return flat


def _last(proto: Any, name: str, kind: Any) -> str:
    """The probability of the last class, where there is one for each class."""
    from numpy import array, int64
    from onnx import helper, numpy_helper

    if _width(kind) == 1 or len(kind.shape.dim) == 1:
        return name
    place, last = _fresh(proto, "place"), _fresh(proto, "last")
    proto.graph.initializer.append(numpy_helper.from_array(array([1], dtype=int64), place))
    proto.graph.node.append(helper.make_node("Gather", [name, place], [last], axis=1))
    return last


def _replace(proto: Any, made: dict[str, _Made]) -> None:
    from onnx import helper

    taken = {output for node in proto.graph.node for output in node.output}
    inner = {name: f"keepfit_{name}" for name, (source, _, _) in made.items() if source != name and name in taken}
    if inner:
        _step_aside(proto, inner)
    made = {name: (inner.get(source, source), kind, shape) for name, (source, kind, shape) in made.items()}
    del proto.graph.output[:]
    for name, (source, kind, shape) in made.items():
        if source != name:
            proto.graph.node.append(helper.make_node("Identity", [source], [name]))
        proto.graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _step_aside(proto: Any, names: dict[str, str]) -> None:
    """Give inner values other names; Refused where a graph within the graph may use them."""
    for node in proto.graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise Refused(f"the graph has inner values called {sorted(names)} already; rename them", code="wrong_task")
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.get(name, name)
