"""Foreign: single estimators which skl2onnx converts, spliced into our graph."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

from keepfit.core.errors import MissingExtra
from keepfit.learn.graph import ML_OPSET, OPSET, Columns, Graph, Kind, Tensor, Unconvertible, all_of, proto
from keepfit.learn.histogram import histogram_classifier, histogram_regressor


def foreign_transform(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    """Add a transformer through skl2onnx."""
    names = foreign(graph, estimator, columns)
    sample = getattr(estimator, "get_feature_names_out", None)
    if sample is None:
        raise Unconvertible(f"{type(estimator).__name__}: the width of its output is not known")
    width = len(sample())
    name = graph.add("Cast", [names[0]], to=proto().DOUBLE)
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
    register()
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
    return spliced(graph, model.graph, graph.matrix(columns, kind).name)


@cache
def register() -> None:
    """Teach skl2onnx our histogram boosting, for where it stands inside estimators that only skl2onnx converts.

    Its own converter fails on numpy 2 and knows neither categories nor double thresholds.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator
    from sklearn import ensemble

    update_registered_converter(
        ensemble.HistGradientBoostingClassifier,
        "KeepfitHistGradientBoostingClassifier",
        shape_calculator.calculate_linear_classifier_output_shapes,
        _classifier_within,
        options={
            "zipmap": [True, False, "columns"],
            "nocl": [True, False],
            "output_class_labels": [False, True],
            "raw_scores": [True, False],
        },
    )
    update_registered_converter(
        ensemble.HistGradientBoostingRegressor,
        "KeepfitHistGradientBoostingRegressor",
        shape_calculator.calculate_linear_regressor_output_shapes,
        _regressor_within,
    )


def _classifier_within(scope: Any, operator: Any, container: Any) -> None:
    graph, columns = _within(scope, operator)
    raw = container.get_options(operator.raw_operator, {"raw_scores": False})["raw_scores"]
    answer = histogram_classifier(graph, operator.raw_operator, columns, raw=raw)
    _handed_over(graph, container, [answer.label, answer.probabilities], operator.outputs)


def _regressor_within(scope: Any, operator: Any, container: Any) -> None:
    graph, columns = _within(scope, operator)
    answer = histogram_regressor(graph, operator.raw_operator, columns)
    _handed_over(graph, container, [answer.value], operator.outputs)


def _within(scope: Any, operator: Any) -> tuple[Graph, Columns]:
    graph = Graph(prefix=scope.get_unique_variable_name("histogram"))
    given = operator.inputs[0]
    width = operator.raw_operator.n_features_in_
    name = graph.add("Cast", [given.full_name], to=proto().DOUBLE)
    return graph, all_of(Tensor(name, Kind.DOUBLE, width))


def _handed_over(graph: Graph, container: Any, made: list[str], outputs: list[Any]) -> None:
    """Give the nodes to skl2onnx, outputs cast to the types it expects of them."""
    for name, output in zip(made, outputs, strict=True):
        kind = output.type.to_onnx_type().tensor_type.elem_type
        if kind == proto().STRING:
            graph.add("Identity", [name], into=output.full_name)
        else:
            graph.add("Cast", [name], into=output.full_name, to=kind)
    for place, node in enumerate(graph.nodes):
        node.name = f"{graph.prefix}_{place}"
    container.initializers.extend(graph.constants)
    container.nodes.extend(graph.nodes)
    container.node_domain_version_pair_sets |= {("", OPSET), ("ai.onnx.ml", ML_OPSET)}


def spliced(graph: Graph, part: Any, given: str) -> list[str]:
    """Copy the nodes of an ONNX graph with one input in, under fresh names; the names of its outputs."""
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
