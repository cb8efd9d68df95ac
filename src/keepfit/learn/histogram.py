"""Histogram: scikit-learn's histogram gradient boosting as ONNX, categories and missing values included."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.learn.coding import codes
from keepfit.learn.graph import Answer, Columns, Graph, Kind, Tensor, Unconvertible, all_of, beside
from keepfit.learn.native import own_classes
from keepfit.learn.trees import Forest, add_classifier, add_regressor, histogram_tree


def _histogram(graph: Graph, estimator: Any, columns: Columns) -> tuple[Forest, Tensor]:
    features, categories, columns = _histogram_inputs(graph, estimator, columns)
    trees = [
        histogram_tree(member, features, categories, target)
        for stage in estimator._predictors
        for target, member in enumerate(stage)
    ]
    base = np.asarray(estimator._baseline_prediction, dtype=np.float64).ravel()
    return Forest(trees, base, Kind.DOUBLE), graph.matrix(columns)


def _histogram_inputs(
    graph: Graph, estimator: Any, columns: Columns
) -> tuple[NDArray[Any], dict[int, NDArray[Any]], Columns]:
    """The estimator's own feature order as columns of the matrix, and the value of each category's code.

    Numeric categories are compared as they come; text is encoded first.
    """
    features = np.arange(len(columns))
    if getattr(estimator, "_preprocessor", None) is None:
        return features, {}, columns
    is_category = np.asarray(estimator.is_categorical_)
    features = np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])
    encoder = estimator._preprocessor.named_transformers_["encoder"]
    categories, parts = {}, [columns.take([place]) for place in range(len(columns))]
    for code, (place, words) in enumerate(zip(np.flatnonzero(is_category), encoder.categories_, strict=True)):
        if columns.is_text(int(place)):
            values = np.arange(1.0, len(words) + 1.0)
            name = codes(graph, columns, int(place), words, values, 0.0)
            parts[place] = all_of(Tensor(name, Kind.DOUBLE, 1))
        else:
            values = np.asarray(words, dtype=np.float64)
            values = values[~np.isnan(values)]
        categories[code] = values
    return features, categories, beside(parts)


def histogram_classifier(graph: Graph, estimator: Any, columns: Columns, *, raw: bool = False) -> Answer:
    """Add a fitted HistGradientBoostingClassifier; `raw` leaves the sums as they are instead of probabilities."""
    classes = own_classes(estimator)
    forest, inputs = _histogram(graph, estimator, columns)
    transform_name = "LOGISTIC" if len(classes) == 2 else "SOFTMAX"
    label, probabilities = add_classifier(graph, forest, inputs, classes, "NONE" if raw else transform_name)
    return Answer(label=label, probabilities=probabilities)


def histogram_regressor(graph: Graph, estimator: Any, columns: Columns) -> Answer:
    """Add a fitted HistGradientBoostingRegressor."""
    forest, inputs = _histogram(graph, estimator, columns)
    value = add_regressor(graph, forest, inputs)
    link = type(estimator._loss.link).__name__
    if link == "LogLink":
        value = graph.add("Exp", [value])
    elif link != "IdentityLink":
        raise Unconvertible(f"{type(estimator).__name__} with link {link}")
    return Answer(value=value)
