"""Texts: models kept as text or as JSON, and whether they are whole; a library given half of one may crash."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core.errors import Refused

_SIZES = re.compile(rb"^tree_sizes=([\d ]+)\r?$", re.MULTILINE)


def is_json(head: bytes) -> bool:
    """Whether a file begins as JSON does (an object or a list)."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return bool(re.match(rb'\{\s*["}]|\[\s*[\[{"\]\d]', start))


def is_xgboost(path: Path) -> bool:
    """Whether a JSON file is a whole XGBoost model; Refused where it is one that breaks off."""
    data = path.read_bytes()
    if b'"learner"' not in data:
        return False
    found = _decoded(path, data)
    if not isinstance(found, dict) or "learner" not in found:
        return False
    learner = found["learner"]
    lacking = [key for key in ("gradient_booster", "learner_model_param", "objective") if key not in learner]
    if lacking or "version" not in found:
        raise Refused(
            f"{path}: is an XGBoost model without {', '.join(lacking or ['version'])}; save it again", code="truncated"
        )
    return True


def _decoded(path: Path, data: bytes) -> Any:
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(
            f"{path}: begins as JSON and is broken: {error}; copy the file again", code="truncated"
        ) from error


def refuse_json(path: Path) -> None:
    """Refused with what a JSON file is that is no model."""
    found = _decoded(path, path.read_bytes())
    if isinstance(found, dict) and "tree_info" in found:
        reason = "is a JSON dump of a LightGBM model, which LightGBM cannot read; save it with save_model"
    elif isinstance(found, dict) and {"oblivious_trees", "features_info"} & found.keys():
        reason = "is a CatBoost model in JSON; save it with save_model(…, format='onnx')"
    elif isinstance(found, list) and found and isinstance(found[0], dict) and "nodeid" in found[0]:
        reason = "is a JSON dump of an XGBoost model, from which none can be made again; save it with save_model"
    else:
        reason = "is JSON, and no model that keepfit knows"
    raise Refused(f"{path}: {reason}", code="not_a_model")


def require_whole_ubjson(path: Path) -> None:
    """Refused where a UBJSON model breaks off; every object it opens must end."""
    data = path.read_bytes()
    if not data.endswith(b"}") or b"version" not in data[-200:]:
        raise Refused(
            f"{path}: is an XGBoost model that breaks off after {len(data)} bytes; copy the file again",
            code="truncated",
        )


def require_whole_lightgbm(path: Path) -> None:
    """Refused where a LightGBM text has less than the trees its header promises."""
    data = path.read_bytes()
    sizes, begin = _SIZES.search(data), data.find(b"Tree=0")
    if not sizes or begin < 0:
        raise Refused(f"{path}: is a LightGBM model without trees; save it again", code="truncated")
    place = begin
    for number, size in enumerate(int(text) for text in sizes[1].split()):
        if data[place : place + len(f"Tree={number}")] != f"Tree={number}".encode() or place + size > len(data) + 1:
            raise Refused(
                f"{path}: is a LightGBM model that breaks off or was edited: tree {number} of "
                f"{len(sizes[1].split())} is not where its header says; copy the file again",
                code="truncated",
            )
        place += size
