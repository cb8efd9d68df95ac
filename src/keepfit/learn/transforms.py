"""Transforms: scikit-learn's preprocessing as ONNX nodes, each returning its output columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.learn.coding import codes, is_missing
from keepfit.learn.foreign import foreign_transform
from keepfit.learn.graph import Columns, Graph, Kind, Tensor, Unconvertible, all_of, beside, proto

Emit = Callable[[Graph, Any, Columns], Columns]


def transform(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    """Add a fitted transformer; Unconvertible where it has no faithful form."""
    if estimator is None or isinstance(estimator, str):
        return columns if estimator in (None, "passthrough") else columns.take([])
    emit = _EMITTERS.get(type(estimator).__name__)
    if emit is None or not type(estimator).__module__.startswith("sklearn."):
        return foreign_transform(graph, estimator, columns)
    return emit(graph, estimator, columns)


def _pipeline(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    for _, step in estimator.steps:
        columns = transform(graph, step, columns)
    return columns


def _column_transformer(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    parts = []
    for name, step, chosen in estimator.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        picked = columns.take(positions(chosen, columns))
        if len(picked):
            part = transform(graph, step, picked)
            weight = (estimator.transformer_weights or {}).get(name)
            parts.append(part if weight is None else _scaled(graph, part, weight))
    return beside(parts)


def _scaled(graph: Graph, columns: Columns, weight: float) -> Columns:
    matrix = graph.matrix(columns)
    return all_of(Tensor(graph.add("Mul", [matrix.name, graph.constant(weight)]), Kind.DOUBLE, matrix.width))


def positions(chosen: Any, columns: Columns) -> list[int]:
    """The positions a ColumnTransformer's column selection stands for."""
    if isinstance(chosen, str | int | np.integer):
        chosen = [chosen]
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            first = columns.names.index(chosen.start) if chosen.start is not None else 0
            last = columns.names.index(chosen.stop) if chosen.stop is not None else len(columns) - 1
            return list(range(first, last + 1, chosen.step or 1))
        return list(range(len(columns))[chosen])
    items = list(chosen)
    if items and all(isinstance(item, bool | np.bool_) for item in items):
        return [place for place, item in enumerate(items) if item]
    return [columns.names.index(item) if isinstance(item, str) else int(item) for item in items]


def _feature_union(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    parts = []
    for name, step in estimator.transformer_list:
        if isinstance(step, str) and step == "drop":
            continue
        part = transform(graph, step, columns)
        weight = (estimator.transformer_weights or {}).get(name)
        parts.append(part if weight is None else _scaled(graph, part, weight))
    return beside(parts)


def _function(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    if estimator.func is not None:
        raise Unconvertible(
            f"FunctionTransformer({getattr(estimator.func, '__name__', estimator.func)}) is Python code"
        )
    return columns


def _ordinal(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    unknown = estimator.unknown_value if estimator.handle_unknown == "use_encoded_value" else -1.0
    parts = []
    for place, words in enumerate(estimator.categories_):
        values = np.arange(len(words), dtype=np.float64)
        mapping = _infrequent(estimator, place)
        if mapping is not None:
            values = np.concatenate([mapping, np.full(len(words) - len(mapping), np.nan)])
        for position, word in enumerate(words):
            if is_missing(word):
                values[position] = estimator.encoded_missing_value
        name = codes(graph, columns, place, words, values, float(unknown))
        parts.append(all_of(Tensor(name, Kind.DOUBLE, 1)))
    return beside(parts)


def _infrequent(estimator: Any, place: int) -> NDArray[Any] | None:
    """Per category the code it is folded into, where the encoder folds rare categories."""
    if not getattr(estimator, "_infrequent_enabled", False):
        return None
    return estimator._default_to_infrequent_mappings[place]  # type: ignore[no-any-return]  # scikit-learn is untyped


def _one_hot(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    parts = []
    for place, words in enumerate(estimator.categories_):
        values = np.arange(len(words), dtype=np.float64)
        mapping = _infrequent(estimator, place)
        if mapping is not None:
            values = np.asarray(mapping, dtype=np.float64)
        width = int(values.max()) + 1 if len(values) else 0
        rare = mapping is not None and estimator._infrequent_indices[place] is not None
        folds = estimator.handle_unknown in ("infrequent_if_exist", "warn") and rare
        name = codes(graph, columns, place, words, values, float(width - 1) if folds else -1.0)
        kept = [code for code in range(width) if estimator.drop_idx_ is None or code != _dropped(estimator, place)]
        if not kept:
            continue
        equal = graph.add("Equal", [name, graph.constant([kept])])
        parts.append(all_of(Tensor(graph.add("Cast", [equal], to=proto().DOUBLE), Kind.DOUBLE, len(kept))))
    return beside(parts)


def _dropped(estimator: Any, place: int) -> int | None:
    dropped = estimator.drop_idx_[place]
    mapping = _infrequent(estimator, place)
    if dropped is None or mapping is None:
        return None if dropped is None else int(dropped)
    return int(mapping[dropped])


def _imputer(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    text = [columns.is_text(place) for place in range(len(columns))]
    if any(text):
        if not all(text):
            raise Unconvertible("SimpleImputer over text and numbers together; impute them apart")
        return _text_imputer(graph, estimator, columns)
    statistics = np.asarray(estimator.statistics_, dtype=np.float64)
    kept = np.flatnonzero(~np.isnan(statistics)) if not estimator.keep_empty_features else np.arange(len(statistics))
    matrix = graph.matrix(columns.take(kept.tolist()))
    absent = _absent(graph, estimator, matrix.name)
    filled = graph.add("Where", [absent, graph.constant([statistics[kept]]), matrix.name])
    parts = [all_of(Tensor(filled, Kind.DOUBLE, matrix.width))]
    if estimator.add_indicator:
        marked = estimator.indicator_.features_
        flags = _absent(graph, estimator, graph.matrix(columns.take(marked.tolist())).name)
        parts.append(all_of(Tensor(graph.add("Cast", [flags], to=proto().DOUBLE), Kind.DOUBLE, len(marked))))
    return beside(parts)


def _absent(graph: Graph, estimator: Any, name: str) -> str:
    if is_missing(estimator.missing_values):
        return graph.add("IsNaN", [name])
    return graph.add("Equal", [name, graph.constant(float(estimator.missing_values))])


def _text_imputer(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    if estimator.add_indicator:
        raise Unconvertible("SimpleImputer(add_indicator=True) over text")
    if not isinstance(estimator.missing_values, str):
        return columns  # missing text is the empty string here, which is a value like any other to this imputer
    parts = []
    for place, statistic in enumerate(estimator.statistics_):
        name = graph.matrix(columns.take([place]), Kind.TEXT).name
        keys: dict[str, Any] = {
            "keys_strings": [estimator.missing_values],
            "values_int64s": [1],
            "default_int64": 0,
        }
        found = graph.add("LabelEncoder", [name], domain="ai.onnx.ml", **keys)
        absent = graph.add("Cast", [found], to=proto().BOOL)
        filled = graph.add("Where", [absent, graph.constant([[str(statistic)]], object), name])
        parts.append(all_of(Tensor(filled, Kind.TEXT, 1)))
    return beside(parts)


def _scaler(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    matrix = graph.matrix(columns)
    centre = getattr(estimator, "center_", getattr(estimator, "mean_", None))
    name = matrix.name
    shifts = getattr(estimator, "with_mean", getattr(estimator, "with_centering", False))
    if shifts and centre is not None:
        name = graph.add("Sub", [name, graph.constant([centre])])
    if getattr(estimator, "scale_", None) is not None:
        name = graph.add("Div", [name, graph.constant([estimator.scale_])])
    return all_of(Tensor(name, Kind.DOUBLE, matrix.width))


def _min_max(graph: Graph, estimator: Any, columns: Columns) -> Columns:
    matrix = graph.matrix(columns)
    name = graph.add("Mul", [matrix.name, graph.constant([estimator.scale_])])
    name = graph.add("Add", [name, graph.constant([estimator.min_])])
    if estimator.clip:
        low, high = estimator.feature_range
        name = graph.add("Clip", [name, graph.constant(low), graph.constant(high)])
    return all_of(Tensor(name, Kind.DOUBLE, matrix.width))


_EMITTERS: dict[str, Emit] = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _column_transformer,
    "FeatureUnion": _feature_union,
    "FunctionTransformer": _function,
    "OrdinalEncoder": _ordinal,
    "OneHotEncoder": _one_hot,
    "SimpleImputer": _imputer,
    "StandardScaler": _scaler,
    "RobustScaler": _scaler,
    "MaxAbsScaler": _scaler,
    "MinMaxScaler": _min_max,
}
