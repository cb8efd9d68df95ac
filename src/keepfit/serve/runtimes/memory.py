"""Memory: what loading a Bundle will cost, known before it is loaded; and how to make the C library give it back."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from keepfit.core.nouns import Bundle

_M_MMAP_THRESHOLD = -3  # <malloc.h>
_LARGE = 2**20
_LARGE_PAGES = "glibc.malloc.hugetlb=1"


_FACTORS = {"onnx": 1.25, "xgboost": 14.0, "lightgbm": 6.0, "sklearn": 3.2, "python": 2.2, "torch": 4.0, "mlflow": 6.0}
"""Bytes at the peak of loading for each byte of the model's files."""
_FRAMEWORK = {
    "onnx": 15, "xgboost": 45, "lightgbm": 25, "sklearn": 420, "python": 300, "torch": 370, "mlflow": 230,
}  # fmt: skip
"""Megabytes that a framework takes itself: beside the server's where it is inline, as a whole process where not."""
_UNKNOWN = 4.0
_OURS = {"bundle.json", "golden.parquet", "reference.parquet", "environment.lock", "card.md"}


def memory(directory: Path, bundle: Bundle) -> int:
    """The bytes that loading a Bundle is predicted to take at most, above what the server has; more rather than less.

    Measured at the peak of loading, as a multiple of the files' size (Linux, Python 3.11): ONNX 1.07 and 1.17 (200 MB
    in 20 matrices); LightGBM 5.0 (150 trees of 511 leaves, 8 MB); XGBoost 5.9 as .ubj and 13.7 as .json (150 trees of
    depth 10, 1.6 and 2.9 MB); scikit-learn 3.0 as skops and 2.0 as a pickle (a forest of 60 trees, 24 MB); torch 2.1
    for weights and 3.9 for an exported program (36 MB). A process of its own with a small model had 414 MB for
    scikit-learn as skops, 367 for torch, 226 for XGBoost through MLflow, 125 for an object of one's own with pandas,
    of which it shared a third with others of its kind.
    """
    beside = _OURS if bundle.runtime == "python" else {*_OURS, "estimator.pickle"}  # what an update starts from
    files = [path for path in directory.rglob("*") if path.is_file() and path.name not in beside]
    size = sum(path.stat().st_size for path in files if directory / "code" not in path.parents)
    factor = _FACTORS.get(bundle.runtime, _UNKNOWN)
    if bundle.runtime == "xgboost" and (directory / "model.ubj").is_file():
        factor = 6.5
    return int(size * factor) + _FRAMEWORK.get(bundle.runtime, 300) * 10**6


@cache
def large_blocks_are_given_back() -> None:
    """Make malloc map every block of a megabyte by itself, once per process, where the C library is glibc.

    glibc raises the size from which it maps with every mapped block that is freed (to 32 MB), so that the weights of
    the second model lie in the heap, whose middle is never given back.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE)


def with_large_pages() -> dict[str, str]:
    """The environment of a process whose C library (glibc from 2.35 on) asks for pages of 2 MB for large blocks.

    205 MB of weights, 20 products of 1,600 x 1,600: 0.23 s of processor time to open instead of 0.50 s, and 4.5 ms to
    give back instead of 19 ms, which ONNX Runtime does under the interpreter's lock: nobody is answered meanwhile.
    """
    said = os.environ.get("GLIBC_TUNABLES", "")
    return {**os.environ, "GLIBC_TUNABLES": said if "hugetlb" in said else f"{said}:{_LARGE_PAGES}".lstrip(":")}
