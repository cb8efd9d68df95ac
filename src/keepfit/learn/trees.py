"""Trees: scikit-learn's decision trees and everything summed from them, as ONNX TreeEnsemble nodes.

scikit-learn's trees compare the input rounded to single precision with a double threshold; histogram boosting
compares doubles, and knows categories. Both are kept to the bit: single thresholds are rounded down, doubles stay
doubles (`ai.onnx.ml` 3 and later).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.learn.graph import Columns, Graph, Kind, Tensor, Unconvertible, doubles, onnx_helper, proto

_LEAF, _LEQ, _EQ = "LEAF", "BRANCH_LEQ", "BRANCH_EQ"


@dataclass
class Tree:
    """One tree: per node the branch taken where `mode` holds (`yes`) and where not (`no`); leaves have `weights`."""

    mode: list[str]
    feature: NDArray[Any]
    threshold: NDArray[Any]
    yes: NDArray[Any]
    no: NDArray[Any]
    missing_yes: NDArray[Any]
    leaves: NDArray[Any]
    weights: NDArray[Any]  # (leaves, targets)
    target: int = 0


@dataclass
class Forest:
    """Trees whose leaf weights are summed per target, on top of `base`."""

    trees: list[Tree]
    base: NDArray[Any]
    kind: Kind

    @property
    def targets(self) -> int:
        """How many sums there are."""
        return len(self.base)


def grown(tree: Any, weights: NDArray[Any], target: int = 0) -> Tree:
    """A scikit-learn `tree_` with the leaf weights (nodes, targets) its ensemble gives it."""
    left = tree.children_left
    leaf = left < 0
    single = tree.threshold.astype(np.float32)
    above = single > tree.threshold
    single[above] = np.nextafter(single[above], np.float32(-np.inf))
    missing = getattr(tree, "missing_go_to_left", np.zeros(len(left), np.uint8))
    leaves = np.flatnonzero(leaf)
    return Tree(
        mode=np.where(leaf, _LEAF, _LEQ).tolist(),
        feature=np.where(leaf, 0, tree.feature),
        threshold=np.where(leaf, 0, single),
        yes=np.where(leaf, 0, left),
        no=np.where(leaf, 0, tree.children_right),
        missing_yes=np.where(leaf, 0, missing),
        leaves=leaves,
        weights=weights[leaves],
        target=target,
    )


def histogram_tree(predictor: Any, features: NDArray[Any], categories: dict[int, NDArray[Any]], target: int) -> Tree:
    """A TreePredictor of histogram boosting.

    `features` maps its feature index to the column of the matrix, `categories` a categorical feature index to the
    value which stands for each of its codes in that column. A value which is no known category, or missing, goes the
    node's way for missing ones.
    """
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    leaves = np.flatnonzero(leaf)
    tree = Tree(
        mode=np.where(leaf, _LEAF, _LEQ).tolist(),
        feature=np.where(leaf, 0, features[nodes["feature_idx"]]),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        yes=np.where(leaf, 0, nodes["left"].astype(np.int64)),
        no=np.where(leaf, 0, nodes["right"].astype(np.int64)),
        missing_yes=np.where(leaf, 0, nodes["missing_go_to_left"]),
        leaves=leaves,
        weights=nodes["value"][leaves][:, None],
        target=target,
    )
    splits = []
    for place in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf):
        node = nodes[place]
        values = categories[int(node["feature_idx"])]
        bits = predictor.raw_left_cat_bitsets[node["bitset_idx"]]
        codes = np.arange(len(values))
        goes_left = (bits[codes // 32] >> (codes % 32)) & 1 == 1
        splits.append((int(place), values[~goes_left if node["missing_go_to_left"] else goes_left]))
    _chain(tree, splits)
    return tree


def _chain(tree: Tree, splits: list[tuple[int, NDArray[Any]]]) -> None:
    """Replace nodes by one equality test per member: a member leaves by one branch, all else by the other."""
    feature: list[int] = []
    threshold: list[float] = []
    yes: list[int] = []
    no: list[int] = []
    size = len(tree.mode)
    for place, members in splits:
        stay, leave = int(tree.no[place]), int(tree.yes[place])
        if tree.missing_yes[place]:
            stay, leave = leave, stay
        start, more = size + len(yes), max(0, len(members) - 1)
        following = [*range(start, start + more), stay]
        tree.mode[place] = _EQ
        tree.threshold[place] = members[0] if len(members) else np.nan  # nothing equals NaN: everything stays
        tree.yes[place], tree.no[place] = leave, following[0]
        tree.missing_yes[place] = 0
        feature += [tree.feature[place]] * more
        threshold += members[1:].tolist()
        yes += [leave] * more
        no += following[1:]
    tree.mode += [_EQ] * len(yes)
    tree.feature = np.append(tree.feature, feature)
    tree.threshold = np.append(tree.threshold, threshold)
    tree.yes, tree.no = np.append(tree.yes, yes), np.append(tree.no, no)
    tree.missing_yes = np.append(tree.missing_yes, np.zeros(len(yes)))


def add_regressor(graph: Graph, forest: Forest, inputs: Tensor) -> str:
    """Add the sums of a Forest; the name of a double precision tensor (n, targets).

    The operator answers in single precision, so it only sums what trees differ from their own mean by.
    """
    means = np.array([tree.weights.mean() for tree in forest.trees])
    base = forest.base + means.sum()
    forest.base = np.zeros(forest.targets)
    for tree, mean in zip(forest.trees, means, strict=True):
        tree.weights = tree.weights - mean
    attributes = _attributes(forest, "target")
    attributes["n_targets"] = forest.targets
    sums = graph.add("TreeEnsembleRegressor", [inputs.name], domain="ai.onnx.ml", **attributes)
    return graph.add("Add", [graph.add("Cast", [sums], to=proto().DOUBLE), graph.constant([base])])


def add_classifier(graph: Graph, forest: Forest, inputs: Tensor, classes: list[Any], transform: str) -> tuple[str, str]:
    """Add a Forest as a classifier; the names of its label (n,) and its transformed sums (n, classes)."""
    if len(classes) == 2:
        _some_below_zero(forest)
    attributes = _attributes(forest, "class")
    key = "classlabels_strings" if isinstance(classes[0], str) else "classlabels_int64s"
    attributes[key] = classes if isinstance(classes[0], str) else [int(value) for value in classes]
    label, probabilities = graph.fresh("label"), graph.fresh("probabilities")
    node = onnx_helper().make_node(
        "TreeEnsembleClassifier",
        [inputs.name],
        [label, probabilities],
        domain="ai.onnx.ml",
        post_transform=transform,
        **attributes,
    )
    graph.nodes.append(node)
    return label, probabilities


def _some_below_zero(forest: Forest) -> None:
    """onnxruntime takes sums of weights that are all positive for probabilities; one tree moved down prevents it."""
    if all((tree.weights >= 0).all() for tree in forest.trees):
        moved = float(forest.trees[0].weights.max()) + 1.0
        forest.trees[0].weights = forest.trees[0].weights - moved
        forest.base = forest.base + moved


def _attributes(forest: Forest, prefix: str) -> dict[str, Any]:
    trees = forest.trees
    sizes = [len(tree.mode) for tree in trees]
    wide = [tree.weights.shape[1] for tree in trees]
    leaves = [np.repeat(tree.leaves, width) for tree, width in zip(trees, wide, strict=True)]
    weights = np.concatenate([tree.weights.ravel() for tree in trees])
    values = np.concatenate([tree.threshold for tree in trees])
    base = forest.base if forest.base.any() else forest.base[:0]
    attributes = {
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes).tolist(),
        "nodes_nodeids": _whole([np.arange(size) for size in sizes]),
        "nodes_featureids": _whole([tree.feature for tree in trees]),
        "nodes_modes": [mode for tree in trees for mode in tree.mode],
        "nodes_truenodeids": _whole([tree.yes for tree in trees]),
        "nodes_falsenodeids": _whole([tree.no for tree in trees]),
        "nodes_missing_value_tracks_true": _whole([tree.missing_yes for tree in trees]),
        f"{prefix}_treeids": np.repeat(np.arange(len(trees)), [len(part) for part in leaves]).tolist(),
        f"{prefix}_nodeids": _whole(leaves),
        f"{prefix}_ids": _whole(
            [np.tile(np.arange(width) + tree.target, len(tree.leaves)) for tree, width in zip(trees, wide, strict=True)]
        ),
    }
    numbers = {"nodes_values": values, f"{prefix}_weights": weights, "base_values": base}
    for name, array in numbers.items():
        if not len(array):
            continue
        if forest.kind is Kind.DOUBLE:
            attributes[f"{name}_as_tensor"] = doubles(name, array)
        else:
            attributes[name] = array.astype(np.float32).tolist()
    return attributes


def _whole(parts: list[NDArray[Any]]) -> list[int]:
    return np.concatenate(parts).astype(np.int64).tolist()  # type: ignore[no-any-return]  # always a list of int


def single_leaves(tree: Any, scale: float) -> NDArray[Any]:
    """The leaf weights of a regression tree, scaled."""
    if tree.n_outputs > 1:
        raise Unconvertible("a tree with several outputs; declare one Service per output")
    return tree.value[:, 0, :1] * scale  # type: ignore[no-any-return]  # scikit-learn is untyped


def class_leaves(tree: Any) -> NDArray[Any]:
    """The share of each class in every node of a classification tree."""
    if tree.n_outputs > 1:
        raise Unconvertible("a tree with several outputs; declare one Service per output")
    value = tree.value[:, 0, :]
    return value / value.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]  # as above


def rounded(graph: Graph, columns: Columns, kind: Kind) -> Tensor:
    """The inputs as scikit-learn's trees see them: rounded to single precision, carried as `kind`."""
    return graph.cast(graph.matrix(columns, Kind.SINGLE), kind)
