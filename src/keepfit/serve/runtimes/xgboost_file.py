"""An XGBoost model file, read and checked before the library opens it; see `trees` for why.

The format is one document, as JSON or as Universal Binary JSON (https://ubjson.org, with lists of one type as XGBoost
writes them); https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html describes it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepfit.serve.runtimes.documents import Json, Ubjson
from keepfit.serve.runtimes.trees import Damaged, check_shape, integers, numbers

_NONE = 2**31 - 1
"""The parent of a root."""


@dataclass(frozen=True)
class Boosted:
    """What a file says: `objective`, its classes (0 for none), features, their names and which are categories."""

    objective: str
    classes: int
    targets: int
    features: int
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    best: int | None


def read(data: bytes) -> Boosted:
    """Read a model; Damaged says what is wrong with it."""
    if data[:4] in (b"binf", b"bs64"):
        raise Damaged("it is of the binary format that XGBoost 3.1 removed; save it again as .json or .ubj with an "
                      "older XGBoost")  # fmt: skip
    document = _parsed(data)
    try:
        return _boosted(document["learner"])
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"it lacks or misspells {error}") from error


def _parsed(data: bytes) -> Any:
    try:
        if data[:1] == b"{" and data[1:2].strip() in (b'"', b""):
            return Json(data).whole()
        return Ubjson(data).value()
    except Damaged:
        raise
    except (ValueError, IndexError, struct.error, RecursionError) as error:
        raise Damaged(f"it is neither JSON nor Universal Binary JSON, or was cut short ({error})") from error


def _boosted(learner: dict[str, Any]) -> Boosted:
    param = learner["learner_model_param"]
    features = _whole(param["num_feature"], "num_feature", 1, 2**31 - 1)
    classes = _whole(param.get("num_class", "0"), "num_class", 0, 100_000)
    targets = _whole(param.get("num_target", "1"), "num_target", 1, 100_000)
    names, kinds = tuple(learner.get("feature_names", ())), tuple(learner.get("feature_types", ()))
    if any(listed and len(listed) != features for listed in (names, kinds)):
        raise Damaged(f"it names {len(names)} features and {len(kinds)} types of {features}")
    booster = learner["gradient_booster"]
    _check_booster(booster, features, max(1, classes) * targets)
    best = learner.get("attributes", {}).get("best_iteration")
    wrapped = "scikit_learn" in learner.get("attributes", {})  # whose predict stops at the best iteration
    categorical = tuple(place for place, kind in enumerate(kinds) if kind == "c")
    return Boosted(
        learner["objective"]["name"], classes, targets, features, names, categorical,
        int(best) if wrapped and best is not None else None,
    )  # fmt: skip


def _whole(text: Any, what: str, low: int, high: int) -> int:
    value = int(text)
    if not low <= value <= high:
        raise Damaged(f"{what} is {text}, expected {low} … {high}")
    return value


def _check_booster(booster: dict[str, Any], features: int, outputs: int) -> None:
    match booster["name"]:
        case "gbtree":
            _check_model(booster["model"], features, outputs)
        case "dart":
            inner = booster["gbtree"]["model"]
            _check_model(inner, features, outputs)
            numbers(booster["weight_drop"], "weight_drop", length=len(inner["trees"]))
        case "gblinear":
            numbers(booster["model"]["weights"], "weights", length=(features + 1) * outputs)
        case name:
            raise Damaged(f"its booster is {name!r}, expected gbtree, dart or gblinear")


def _check_model(model: dict[str, Any], features: int, outputs: int) -> None:
    trees = model["trees"]
    count = _whole(model["gbtree_model_param"]["num_trees"], "num_trees", 0, 2**31 - 1)
    parallel = _whole(model["gbtree_model_param"].get("num_parallel_tree", "1"), "num_parallel_tree", 1, 2**24)
    if count != len(trees):
        raise Damaged(f"it holds {len(trees)} trees of {count}")
    integers(model["tree_info"], "tree_info", length=count, low=0, high=outputs - 1)
    if "iteration_indptr" in model:
        places = model["iteration_indptr"]
        starts = integers(places, "iteration_indptr", length=len(places), low=0, high=count)
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != count or (np.diff(starts) < 0).any():
            raise Damaged("its iteration_indptr does not count its trees")
    if count % parallel:
        raise Damaged(f"{count} trees cannot come {parallel} at a time")
    for number, tree in enumerate(trees):
        _check_tree(tree, f"tree {number}", features, outputs)
        if tree["id"] != number:
            raise Damaged(f"tree {number} says it is {tree['id']}")


def _check_tree(tree: dict[str, Any], what: str, features: int, outputs: int) -> None:
    param = tree["tree_param"]
    nodes = _whole(param["num_nodes"], f"{what}: num_nodes", 1, 2**28)
    _whole(param["num_feature"], f"{what}: num_feature", 0, features)
    _whole(param.get("num_deleted", "0"), f"{what}: num_deleted", 0, nodes)
    width = _whole(param.get("size_leaf_vector", "1"), f"{what}: size_leaf_vector", 0, outputs)
    left = integers(tree["left_children"], f"{what}: left_children", length=nodes, low=-1, high=nodes - 1)
    right = integers(tree["right_children"], f"{what}: right_children", length=nodes, low=-1, high=nodes - 1)
    if ((left == -1) != (right == -1)).any():
        raise Damaged(f"{what}: a node has one child")
    check_shape(left, right, what)
    parents = integers(tree["parents"], f"{what}: parents", length=nodes, low=-1, high=_NONE)
    if ((parents >= nodes) & (parents != _NONE)).any():
        raise Damaged(f"{what}: a node's parent is not there")
    splits = integers(tree["split_indices"], f"{what}: split_indices", length=nodes, low=0, high=2**31 - 1)
    if (splits[left != -1] >= features).any():
        raise Damaged(f"{what}: it splits on a feature that is not there")
    numbers(tree["split_conditions"], f"{what}: split_conditions", length=nodes)
    weights = nodes if width <= 1 else len(tree["base_weights"])
    if width > 1 and weights % width:
        raise Damaged(f"{what}: {weights} leaf weights cannot be vectors of {width}")
    numbers(tree["base_weights"], f"{what}: base_weights", length=weights)
    for name in ("loss_changes", "sum_hessian"):
        if name in tree:
            numbers(tree[name], f"{what}: {name}", length=nodes)
    integers(tree["default_left"], f"{what}: default_left", length=nodes, low=0, high=1)
    _check_categories(tree, what, nodes)


def _check_categories(tree: dict[str, Any], what: str, nodes: int) -> None:
    kinds = integers(tree.get("split_type", [0] * nodes), f"{what}: split_type", length=nodes, low=0, high=1)
    values, own = tree.get("categories", []), tree.get("categories_nodes", [])
    integers(values, f"{what}: categories", length=len(values), low=0, high=2**24)
    owners = integers(own, f"{what}: categories_nodes", length=len(own), low=0, high=nodes - 1)
    starts = integers(
        tree.get("categories_segments", []), f"{what}: segments", length=len(own), low=0, high=len(values)
    )
    sizes = integers(tree.get("categories_sizes", []), f"{what}: sizes", length=len(own), low=0, high=len(values))
    if sorted(owners) != sorted(np.flatnonzero(kinds)) or (starts + sizes > len(values)).any():
        raise Damaged(f"{what}: its categories are not those of its splits")
