"""Foreign: single estimators which skl2onnx converts, spliced into our graph."""

from __future__ import annotations

import warnings
from typing import Any

from keepfit.core.errors import MissingExtra
from keepfit.learn.graph import ML_OPSET, OPSET, Columns, Graph, Kind, Tensor, Unconvertible, all_of


def foreign_transform(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    """Add a transformer through skl2onnx."""
    names = foreign(graph, estimator, columns)
    sample = getattr(estimator, "get_feature_names_out", None)
    if sample is None:
        raise Unconvertible(f"{type(estimator).__name__}: the width of its output is not known")
    width = len(sample())
    name = graph.add("Cast", [names[0]], to=11)  # TensorProto.DOUBLE
    return all_of(Tensor(name, Kind.DOUBLE, width))


def foreign(graph: Graph, estimator: Any, columns: Columns) -> list[str]:
    """Add an estimator through skl2onnx; the names of its outputs: label and probabilities, or one."""
    try:
        import skl2onnx
        from skl2onnx.common import data_types
    except ImportError as error:
        raise MissingExtra("skl2onnx", "sklearn") from error
    text = [columns.is_text(place) for place in range(len(columns))]
    if any(text) and not all(text):
        raise Unconvertible(f"{type(estimator).__name__}: text and numbers together; encode the text in the pipeline")
    kind = Kind.TEXT if all(text) else Kind.DOUBLE
    given = data_types.StringTensorType if kind is Kind.TEXT else data_types.DoubleTensorType
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = skl2onnx.convert_sklearn(
                estimator,
                name="part",
                initial_types=[("matrix", given([None, len(columns)]))],
                options=options,
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
    except Exception as error:
        raise Unconvertible(f"{type(estimator).__name__}: {type(error).__name__}: {error}") from error
    return _spliced(graph, model.graph, graph.matrix(columns, kind).name)


def _spliced(graph: Graph, part: Any, given: str) -> list[str]:
    """Copy the nodes of a graph in, under fresh names."""
    names = {part.input[0].name: given, "": ""}
    for constant in part.initializer:
        names[constant.name] = graph.fresh(constant.name)
        constant.name = names[constant.name]
        graph.constants.append(constant)
    for node in part.node:
        for output in node.output:
            names[output] = graph.fresh(output)
    for node in part.node:
        inputs, outputs = [names[name] for name in node.input], [names[name] for name in node.output]
        del node.input[:], node.output[:]
        node.input.extend(inputs)
        node.output.extend(outputs)
        node.name = ""
        graph.nodes.append(node)
    return [names[output.name] for output in part.output]
