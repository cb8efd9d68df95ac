"""Imports that a process does without, and what they must not do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any


class _Without(MetaPathFinder):
    """Answers as if a package were not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == self._name:
            raise ModuleNotFoundError(f"{fullname} is not wanted in this process", name=fullname)


def do_without(name: str) -> None:
    """Keep a package out of this process.

    Where pandas is installed, pyarrow imports it with its first array: 50 MB and half a second, for nothing in a
    process that has no data frames.
    """
    if name not in sys.modules:
        sys.meta_path.insert(0, _Without(name))


@contextmanager
def without(name: str) -> Iterator[None]:
    """Keep a package out for as long as this lasts."""
    finder = _Without(name)
    if name in sys.modules:
        yield
        return
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def stay_lean() -> None:
    """Keep out what no process that serves needs; the booster libraries import scikit-learn where it is, 60 MB."""
    for name in ("pandas", "sklearn"):
        do_without(name)


def send_nothing() -> None:
    """Have libraries that are imported from now on keep what they see to themselves.

    ONNX Runtime 1.31 opens a data base in the user's cache when it is imported, for what it would send to its makers
    from a thread of its own; MLflow 3 sends what is called. Each can be told not to, before it is imported.
    """
    os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
