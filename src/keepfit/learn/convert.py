"""Convert: a fitted scikit-learn estimator as one ONNX graph that takes packed inputs and answers the Signature.

Preprocessing, trees and linear models are written out here, in the precision the estimator computes in, so that the
graph is small (onnxruntime costs about a microsecond per node and input) and agrees with the estimator; single steps
beyond these go through skl2onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.imports import send_nothing
from keepfit.core.nouns import Task
from keepfit.core.service import Specification
from keepfit.core.signature import DType, Field
from keepfit.learn.graph import (
    IR_VERSION,
    ML_OPSET,
    OPSET,
    Answer,
    Columns,
    Graph,
    Kind,
    Tensor,
    Unconvertible,
    onnx_helper,
    proto,
)
from keepfit.learn.predictors import predictor
from keepfit.learn.tables import Arrays, is_matrix, numpy_type

Packing = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Converted:
    """A model's bytes, and which Signature fields each of its inputs takes (`Bundle.columns`)."""

    model: bytes
    columns: Packing


def convert(estimator: Any, specification: Specification) -> Converted:
    """The ONNX form of a fitted estimator; Unconvertible says which part has none."""
    graph = Graph()
    packing = packed(specification.inputs)
    inputs, columns = _inputs(graph, specification.inputs, packing)
    answer = predictor(graph, estimator, columns)
    _outputs(graph, answer, estimator, specification)
    helper = onnx_helper()
    made = helper.make_graph(
        graph.nodes, "keepfit", inputs, [_declared(field) for field in specification.outputs], graph.constants
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="keepfit")
    return Converted(model.SerializeToString(deterministic=True), packing)


def packed(fields: Sequence[Field]) -> Packing:
    """Plain columns of one type travel as one matrix; a tensor travels alone."""
    groups: dict[str, list[str]] = {}
    for field in fields:
        name = field.name if field.shape else f"_{field.dtype}"
        groups.setdefault(name, []).append(field.name)
    return tuple((name, tuple(members)) for name, members in groups.items())


def _inputs(graph: Graph, fields: Sequence[Field], packing: Packing) -> tuple[list[Any], Columns]:
    by_name = {field.name: field for field in fields}
    declared, places = [], {}
    for name, members in packing:
        first = by_name[members[0]]
        if len(first.shape) > 1 or -1 in first.shape:
            raise Unconvertible(f"input '{name}' of shape {list(first.shape)} per record; only rows of numbers convert")
        width = first.shape[0] if first.shape else len(members)
        declared.append(_value(name, first.dtype, [None, width]))
        tensor = _loaded(graph, name, first.dtype, width)
        for place, member in enumerate(members):
            places[member] = (tensor, place)
    if is_matrix(fields):
        tensor = places[fields[0].name][0]
        return declared, Columns(tuple((tensor, place) for place in range(tensor.width)))
    names = tuple(field.name for field in fields)
    return declared, Columns(tuple(places[name] for name in names), names)


def _loaded(graph: Graph, name: str, dtype: DType, width: int) -> Tensor:
    if dtype is DType.BYTES:
        return Tensor(name, Kind.TEXT, width)
    if dtype is DType.FP32:
        return Tensor(name, Kind.SINGLE, width)
    if dtype is not DType.FP64:
        name = graph.add("Cast", [name], to=proto().DOUBLE)
    return Tensor(name, Kind.DOUBLE, width)


def _value(name: str, dtype: DType, shape: list[int | None]) -> Any:
    return onnx_helper().make_tensor_value_info(name, _onnx_type(dtype), shape)


def _onnx_type(dtype: DType) -> int:
    if dtype is DType.BYTES:
        return int(proto().STRING)
    return int(onnx_helper().np_dtype_to_tensor_dtype(numpy_type(dtype)))


def _declared(field: Field) -> Any:
    return _value(field.name, field.dtype, [None, *field.shape])


def _outputs(graph: Graph, answer: Answer, estimator: Any, specification: Specification) -> None:
    fields = {field.name: field for field in specification.outputs}
    if specification.task is Task.REGRESSION:
        flat = graph.add("Reshape", [answer.value, graph.constant([-1], np.int64)])
        graph.add("Cast", [flat], into="prediction", to=_onnx_type(fields["prediction"].dtype))
        return
    own = [value.item() if isinstance(value, np.generic) else value for value in estimator.classes_]
    _prediction(graph, answer, own, fields["prediction"])
    if "probability" in fields:
        last = graph.add("Gather", [answer.probabilities, graph.constant(1, np.int64)], axis=1)
        graph.add("Cast", [last], into="probability", to=_onnx_type(fields["probability"].dtype))
    if "probabilities" in fields:
        ordered = _ordered(graph, answer.probabilities, own, specification.classes)
        graph.add("Cast", [ordered], into="probabilities", to=_onnx_type(fields["probabilities"].dtype))


def _prediction(graph: Graph, answer: Answer, own: list[Any], field: Field) -> None:
    to = _onnx_type(field.dtype)
    if answer.label and field.dtype is not DType.BYTES:
        graph.add("Cast", [answer.label], into="prediction", to=to)
        return
    if answer.label:
        graph.add("Identity", [answer.label], into="prediction")
        return
    place = answer.place or graph.add("ArgMax", [answer.probabilities], axis=1, keepdims=0)
    graph.add("Gather", [graph.constant(own, numpy_type(field.dtype)), place], into="prediction")


def _ordered(graph: Graph, probabilities: str, own: list[Any], classes: Sequence[Any]) -> str:
    """The probabilities in the Signature's order of classes; nought for a class the estimator has not seen."""
    if own == list(classes):
        return probabilities
    first = graph.add("Gather", [probabilities, graph.constant([0], np.int64)], axis=1)
    nought = graph.add("Sub", [first, first])
    padded = graph.add("Concat", [probabilities, nought], axis=1)
    order = [own.index(value) if value in own else len(own) for value in classes]
    return graph.add("Gather", [padded, graph.constant(order, np.int64)], axis=1)


class Session:
    """A converted model in onnxruntime, on the calling thread."""

    def __init__(self, converted: Converted, specification: Specification) -> None:
        try:
            send_nothing()
            import onnxruntime
        except ImportError as error:
            raise MissingExtra("onnxruntime", "onnx") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(converted.model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Unconvertible(f"onnxruntime cannot load the converted model: {error}") from error
        self._columns = converted.columns
        self._fields = {field.name: field for field in specification.inputs}
        self._outputs = [field.name for field in specification.outputs]

    def __call__(self, inputs: Arrays) -> Arrays:
        """Answer arrays by Signature field name; Refused where the graph raises."""
        feed = {}
        for name, members in self._columns:
            if self._fields[members[0]].shape:
                feed[name] = inputs[members[0]]
            else:
                dtype = numpy_type(self._fields[members[0]].dtype)
                feed[name] = np.stack([inputs[member] for member in members], axis=1).astype(dtype, copy=False)
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))
        except Exception as error:
            raise Refused(f"the converted model raised {type(error).__name__}: {error}") from error
