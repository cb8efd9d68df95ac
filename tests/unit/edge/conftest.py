"""Service files for the tests of the edge: small, with an estimator of their own, so that nothing heavy is imported."""

from __future__ import annotations

import hashlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HEAD = """\
from keepfit import Monitor, Recipe, Service, Slice, Subject, Window, detectors, gates, triggers

class Majority:
    _estimator_type = "classifier"
    def fit(self, X, y):
        self.classes_ = sorted(set(y))
        return self
    def predict(self, X): return self.classes_[:1] * len(X)
    def predict_proba(self, X): return [[0.0, 1.0]] * len(X)

"""
DATA = """\
id,when,origin,distance,delay,cancelled,late
a,2013-01-01 05:00:00,EWR,1400,2.5,false,yes
b,2013-01-01 06:00:00,JFK,1089,,true,no
c,2013-01-02 05:00:00,LGA,762,-4,false,no
"""


@pytest.fixture
def rows() -> str:
    """The data beside a written service file."""
    return DATA


@pytest.fixture
def head() -> str:
    """What every written service file begins with."""
    return HEAD


@pytest.fixture
def begins() -> int:
    """Lines before the part of the file that a test writes."""
    return HEAD.count("\n")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a service file (after HEAD) and its data; names differ, as modules of one process must."""

    def written(body: str, *, head: str = HEAD, data: str = DATA, name: str = "") -> Path:
        unique = hashlib.sha256(f"{tmp_path.name}{body}".encode()).hexdigest()[:12]
        path = tmp_path / f"{name or f'declared_{unique}'}.py"
        path.write_text(head + textwrap.dedent(body), encoding="utf-8")
        (tmp_path / "flights.csv").write_text(data, encoding="utf-8")
        return path

    return written


@pytest.fixture(autouse=True)
def imports_are_put_back() -> Iterator[None]:
    """Loading a service file changes this process's imports; the next test starts with the old ones."""
    path, modules, writes = list(sys.path), set(sys.modules), sys.dont_write_bytecode
    yield
    sys.path[:] = path
    sys.dont_write_bytecode = writes
    for name in set(sys.modules) - modules:
        if name.startswith("declared_") or name in ("helpers", "tools"):
            del sys.modules[name]
