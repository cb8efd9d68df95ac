"""Predictors: the last step of a pipeline as ONNX nodes, down to label and probabilities or a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keepfit.learn.foreign import foreign
from keepfit.learn.graph import Answer, Columns, Graph, Kind, Unconvertible, proto
from keepfit.learn.histogram import histogram_classifier, histogram_regressor
from keepfit.learn.native import own_classes
from keepfit.learn.transforms import transform
from keepfit.learn.trees import (
    Forest,
    add_classifier,
    add_regressor,
    class_leaves,
    grown,
    rounded,
    single_leaves,
)

Emit = Callable[[Graph, Any, Columns], Answer]


def predictor(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    """Add a fitted predictor; Unconvertible where it has no faithful form."""
    name = type(estimator).__name__
    ours = type(estimator).__module__.startswith("sklearn.")
    if ours and name == "Pipeline":
        for _, step in estimator.steps[:-1]:
            columns = transform(graph, step, columns)
        return predictor(graph, estimator.steps[-1][1], columns)
    if ours and hasattr(estimator, "best_estimator_"):
        return predictor(graph, estimator.best_estimator_, columns)
    emit = _EMITTERS.get(name) if ours else None
    if emit is not None:
        return emit(graph, estimator, columns)
    if hasattr(estimator, "emit"):  # an estimator that knows its own form
        emitted: Answer = estimator.emit(graph, columns)
        return emitted
    outputs = foreign(graph, estimator, columns)
    if hasattr(estimator, "classes_"):
        return Answer(label=outputs[0], probabilities=outputs[1])
    return Answer(value=outputs[0])


def _forest_classifier(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    members = getattr(estimator, "estimators_", [estimator])
    classes, inputs = own_classes(estimator), rounded(graph, columns, Kind.SINGLE)
    if len(classes) > 2:
        trees = [grown(tree.tree_, class_leaves(tree.tree_) / len(members)) for tree in members]
        label, probabilities = add_classifier(
            graph, Forest(trees, np.zeros(len(classes)), Kind.SINGLE), inputs, classes, "NONE"
        )
        return Answer(label=label, probabilities=probabilities)
    # Votes counted from one half are exact in single precision, so that a tie stays a tie, as in scikit-learn.
    trees = [grown(tree.tree_, class_leaves(tree.tree_)[:, -1:] - 0.5) for tree in members]
    label, votes = add_classifier(graph, Forest(trees, np.zeros(1), Kind.SINGLE), inputs, classes, "NONE")
    share = graph.add("Mul", [votes, graph.constant(1.0 / len(members), np.float32)])
    return Answer(label=label, probabilities=graph.add("Add", [share, graph.constant(0.5, np.float32)]))


def _forest_regressor(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    members = getattr(estimator, "estimators_", [estimator])
    trees = [grown(tree.tree_, single_leaves(tree.tree_, 1.0 / len(members))) for tree in members]
    forest = Forest(trees, np.zeros(1), Kind.DOUBLE)
    return Answer(value=add_regressor(graph, forest, rounded(graph, columns, Kind.DOUBLE)))


def _boosted(graph: Graph, estimator: Any, kind: Kind, scale: float = 1.0) -> Forest:
    if estimator.init is not None and not isinstance(estimator.init, str):
        raise Unconvertible(f"{type(estimator).__name__}(init={estimator.init!r})")
    base = np.asarray(estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))).ravel()
    rate = estimator.learning_rate * scale
    trees = [
        grown(member.tree_, single_leaves(member.tree_, rate), target)
        for stage in estimator.estimators_
        for target, member in enumerate(stage)
    ]
    return Forest(trees, base * scale, kind)


def _boosting_classifier(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    classes = own_classes(estimator)
    forest = _boosted(graph, estimator, Kind.SINGLE, 2.0 if estimator.loss == "exponential" else 1.0)
    inputs = rounded(graph, columns, Kind.SINGLE)
    transform_name = "LOGISTIC" if len(classes) == 2 else "SOFTMAX"
    label, probabilities = add_classifier(graph, forest, inputs, classes, transform_name)
    return Answer(label=label, probabilities=probabilities)


def _boosting_regressor(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    forest = _boosted(graph, estimator, Kind.DOUBLE)
    return Answer(value=add_regressor(graph, forest, rounded(graph, columns, Kind.DOUBLE)))


def _scores(graph: Graph, estimator: Any, columns: Columns) -> str:
    matrix = graph.matrix(columns)
    coefficients = np.atleast_2d(estimator.coef_).T
    product = graph.add("MatMul", [matrix.name, graph.constant(coefficients)])
    return graph.add("Add", [product, graph.constant(np.atleast_1d(estimator.intercept_))])


def _linear_regressor(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    return Answer(value=_scores(graph, estimator, columns))


def _logistic(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    if type(estimator).__name__ == "SGDClassifier" and estimator.loss != "log_loss":
        outputs = foreign(graph, estimator, columns)
        return Answer(label=outputs[0], probabilities=outputs[1])
    scores = _scores(graph, estimator, columns)
    if len(estimator.classes_) == 2:
        above = graph.add("Sigmoid", [scores])
        below = graph.add("Sub", [graph.constant(1.0), above])
        sign = graph.add("Greater", [scores, graph.constant(0.0)])
        place = graph.add("Cast", [sign], to=proto().INT64)
        return Answer(
            probabilities=graph.add("Concat", [below, above], axis=1),
            place=graph.add("Reshape", [place, graph.constant([-1], np.int64)]),
        )
    one_by_one = type(estimator).__name__ == "SGDClassifier" or estimator.solver == "liblinear"
    if not one_by_one:
        return Answer(probabilities=graph.add("Softmax", [scores], axis=1))
    each = graph.add("Sigmoid", [scores])
    total = graph.add("ReduceSum", [each, graph.constant([1], np.int64)], keepdims=1)
    return Answer(
        probabilities=graph.add("Div", [each, total]), place=graph.add("ArgMax", [scores], axis=1, keepdims=0)
    )


def _voting_classifier(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    if estimator.voting != "soft":
        raise Unconvertible("VotingClassifier(voting='hard') gives no probabilities")
    shares = [predictor(graph, member, columns).probabilities for member in estimator.estimators_]
    return Answer(probabilities=_averaged(graph, shares, estimator._weights_not_none))


def _voting_regressor(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    values = [predictor(graph, member, columns).value for member in estimator.estimators_]
    shape = graph.constant([-1, 1], np.int64)
    return Answer(
        value=_averaged(graph, [graph.add("Reshape", [value, shape]) for value in values], estimator._weights_not_none)
    )


def _averaged(graph: Graph, parts: list[str], weights: Any) -> str:
    share = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = ""
    for part, weight in zip(parts, share / share.sum(), strict=True):
        term = graph.add("Mul", [graph.add("Cast", [part], to=proto().DOUBLE), graph.constant(weight)])
        total = graph.add("Add", [total, term]) if total else term
    return total


_EMITTERS: dict[str, Emit] = {
    "VotingClassifier": _voting_classifier,
    "VotingRegressor": _voting_regressor,
    "DecisionTreeClassifier": _forest_classifier,
    "ExtraTreeClassifier": _forest_classifier,
    "RandomForestClassifier": _forest_classifier,
    "ExtraTreesClassifier": _forest_classifier,
    "DecisionTreeRegressor": _forest_regressor,
    "ExtraTreeRegressor": _forest_regressor,
    "RandomForestRegressor": _forest_regressor,
    "ExtraTreesRegressor": _forest_regressor,
    "GradientBoostingClassifier": _boosting_classifier,
    "GradientBoostingRegressor": _boosting_regressor,
    "HistGradientBoostingClassifier": histogram_classifier,
    "HistGradientBoostingRegressor": histogram_regressor,
    "LinearRegression": _linear_regressor,
    "Ridge": _linear_regressor,
    "Lasso": _linear_regressor,
    "ElasticNet": _linear_regressor,
    "SGDRegressor": _linear_regressor,
    "LogisticRegression": _logistic,
    "SGDClassifier": _logistic,
}
