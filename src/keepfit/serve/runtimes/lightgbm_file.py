"""A LightGBM model file, read and checked before the library opens it; see `trees` for why.

The format (version v4, and v3 before it): a head of `name=value` lines, then as many trees, whose sizes in bytes the
head gives, then the parameters of the training and what pandas called its categories.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.serve.runtimes.trees import Damaged, check_shape, integers, numbers, one_of

_OBJECTIVES = {
    "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "binary",
    "multiclass", "multiclassova", "cross_entropy", "cross_entropy_lambda", "lambdarank", "rank_xendcg", "custom", "",
}  # fmt: skip
_PARTS = re.compile(r"[\w]+(:[-+.\w]+)?|sqrt")
_A_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d{1,3})?|inf|nan)"
_NUMBER = re.compile(_A_NUMBER, re.ASCII | re.IGNORECASE)
_NUMBERS = re.compile(f"{_A_NUMBER}(?: {_A_NUMBER})*+", re.ASCII | re.IGNORECASE)
_INTEGERS = re.compile(r"-?[0-9]{1,10}(?: -?[0-9]{1,10})*+")
_MOST = 2**31 - 1


@dataclass(frozen=True)
class Forest:
    """What a file says: `objective`, number of outputs, names of its features, which are categories and which words.

    `text` is that part of the file which was checked: all that decides its answers.
    """

    objective: str
    outputs: int
    features: tuple[str, ...]
    categorical: tuple[int, ...]
    words: tuple[tuple[Any, ...], ...]
    text: str


def read(text: str) -> Forest:
    """Read a model file; Damaged says what is wrong with it."""
    if not text.startswith("tree\n"):
        raise Damaged("it does not begin with the line 'tree'")
    head_text, _, rest = text.partition("\n\n")
    head = _lines(head_text)
    one_of(head.get("version"), ("v2", "v3", "v4"), "its version")
    objective, parts = _objective(head.get("objective", ""))
    classes = _whole(head, "num_class", 1, 100_000)
    outputs = _whole(head, "num_tree_per_iteration", 1, 100_000)
    if outputs != classes or (objective.startswith("multiclass") and parts.get("num_class") != str(classes)):
        raise Damaged(f"{outputs} trees an iteration and {classes} classes under objective {head.get('objective')!r}")
    _whole(head, "label_index", 0, _MOST)
    features = tuple(head.get("feature_names", "").split(" "))
    known = head.get("feature_infos", "").split(" ")
    if not len(features) == len(known) == _whole(head, "max_feature_idx", 0, _MOST) + 1:
        raise Damaged(f"{len(features)} feature names, {len(known)} of their ranges, and another number of features")
    _check_head(head, len(features))
    trees = _check_trees(head.get("tree_sizes", ""), rest, len(features), outputs)
    categorical = tuple(n for n, info in enumerate(known) if info != "none" and not info.startswith("["))
    text = f"{head_text}\n\n{trees}end of trees\n"
    return Forest(objective, outputs, features, categorical, _words(rest), text)


def _lines(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.split("\n") if line)


def _objective(text: str) -> tuple[str, dict[str, str]]:
    name, *parts = text.split(" ")
    one_of(name, sorted(_OBJECTIVES), "its objective")
    if not all(_PARTS.fullmatch(part) for part in parts):
        raise Damaged(f"its objective {text!r} cannot be read")
    return name, dict(part.partition(":")[::2] for part in parts)


def _whole(lines: dict[str, str], name: str, low: int, high: int) -> int:
    text = lines.get(name, "")
    if not re.fullmatch(r"-?[0-9]{1,10}", text) or not low <= int(text) <= high:
        raise Damaged(f"{name} is {text[:40]!r}, expected a whole number of {low} … {high}")
    return int(text)


def _check_head(head: dict[str, str], features: int) -> None:
    for info in head["feature_infos"].split(" "):
        body = info[1:-1] if info.startswith("[") and info.endswith("]") else info
        if info != "none" and not all(_is_number(part) for part in body.split(":")):
            raise Damaged(f"the range {info[:40]!r} of a feature cannot be read")
    if "monotone_constraints" in head:
        _integers(head, "monotone_constraints", features, -1, 1)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _check_trees(sizes: str, rest: str, features: int, outputs: int) -> str:
    """Check every tree; the text of them all."""
    lengths = [int(size) for size in sizes.split(" ") if size.isascii() and size.isdigit()]
    if len(lengths) != len(sizes.split(" ")) or len(lengths) % outputs:
        raise Damaged("its tree_sizes cannot be read")
    data, place = rest.encode(), 1 if rest.startswith("\n") else 0
    for number, length in enumerate(lengths):
        tree = data[place : place + length].decode(errors="replace")
        place += length
        first, _, body = tree.partition("\n")
        if first != f"Tree={number}" or len(tree.encode()) != length:
            raise Damaged(f"tree {number} of {len(lengths)} is missing: the file was cut short or altered")
        _check_tree(_lines(body), f"tree {number}", features)
    if not data[place:].lstrip(b"\n").startswith((b"end of trees", b"feature importances")):
        raise Damaged(f"more follows its {len(lengths)} trees, or their end is missing")
    return data[:place].decode()


def _check_tree(tree: dict[str, str], what: str, features: int) -> None:
    leaves = _whole(tree, "num_leaves", 1, 2**24)
    categories = _whole(tree, "num_cat", 0, 2**24)
    splits = leaves - 1
    _whole(tree, "is_linear", 0, 0) if "is_linear" in tree else None
    _numbers(tree, "leaf_value", leaves)
    numbers([float(tree.get("shrinkage", "1"))] if _is_number(tree.get("shrinkage", "1")) else None, what, length=1)
    for name, length in (("leaf_weight", leaves), ("leaf_count", leaves), ("split_gain", splits)):
        _numbers(tree, name, length, optional=True)
    for name in ("internal_value", "internal_weight", "internal_count"):
        _numbers(tree, name, splits, optional=True)
    if not splits:
        return
    _integers(tree, "split_feature", splits, 0, features - 1)
    kinds = _integers(tree, "decision_type", splits, 0, 15)
    thresholds = _numbers(tree, "threshold", splits)
    left = _integers(tree, "left_child", splits, -leaves, splits - 1)
    right = _integers(tree, "right_child", splits, -leaves, splits - 1)
    check_shape(left, right, what)
    of_categories = thresholds[(kinds & 1) == 1]
    if len(of_categories) and not ((of_categories >= 0) & (of_categories < categories)).all():
        raise Damaged(f"{what}: a split names categories that are not there")
    if categories:
        words = len(tree.get("cat_threshold", "").split(" "))
        bounds = _integers(tree, "cat_boundaries", categories + 1, 0, words)
        if (np.diff(bounds) < 0).any():
            raise Damaged(f"{what}: its categories overlap")
        _integers(tree, "cat_threshold", words, 0, 2**32 - 1)


def _integers(tree: dict[str, str], name: str, length: int, low: int, high: int) -> NDArray[np.int64]:
    text = tree.get(name, "")
    if not _INTEGERS.fullmatch(text):
        raise Damaged(f"{name} are not whole numbers")
    return integers(np.fromstring(text, np.int64, sep=" "), name, length=length, low=low, high=high)


def _numbers(tree: dict[str, str], name: str, length: int, *, optional: bool = False) -> NDArray[np.float64]:
    text = tree.get(name, "")
    if optional and not text:
        return np.empty(0)
    if not _NUMBERS.fullmatch(text):
        raise Damaged(f"{name} are not numbers")
    return numbers(np.fromstring(text, np.float64, sep=" "), name, length=length)


def _words(rest: str) -> tuple[tuple[Any, ...], ...]:
    """What pandas called the categories, one list a categorical column, where the file says so."""
    found = re.search(r"^pandas_categorical:(.*)$", rest, re.MULTILINE)
    try:
        lists = json.loads(found.group(1)) if found else []
    except ValueError as error:
        raise Damaged("its pandas_categorical cannot be read") from error
    return tuple(tuple(words) for words in lists or ())
