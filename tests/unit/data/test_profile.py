"""Profiles: right against numpy, and the same whether measured at once or in parts."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.core.errors import DataInvalid
from keepfit.core.registry import canonical, from_plain, to_plain
from keepfit.data.profile import KEPT, Kind, Profile, Statistics, profile


def column(values: object, kind: pa.DataType | None = None) -> Statistics:
    return profile(pa.table({"x": pa.array(values, kind)})).columns[0]


def test_numbers() -> None:
    """Moments are of the finite numbers; null and NaN are missing, endless numbers counted."""
    x = column([1.0, 4.0, None, float("nan"), float("inf"), float("-inf")])
    assert (x.kind, x.rows, x.missing, x.infinite, x.finite) == (Kind.FLOAT, 6, 2, 2, 2)
    assert (x.minimum, x.maximum, x.mean, x.deviation) == (1.0, 4.0, 2.5, 1.5)


def test_text() -> None:
    """Empty text is missing, and values come most frequent first."""
    x = column(["a", "b", "b", "", None])
    assert (x.kind, x.missing, x.values) == (Kind.TEXT, 2, (("b", 2), ("a", 1)))
    assert column(pa.array(["a", "b", "b"]).dictionary_encode()).values == (("b", 2), ("a", 1))
    assert column([f"v{i}" for i in range(KEPT + 1)]).values is None


def test_other_kinds() -> None:
    """Booleans, times, tensors and columns without a value each have their kind."""
    start = datetime(2013, 1, 1, tzinfo=UTC)
    times = column([start, start + timedelta(seconds=1)], pa.timestamp("ms", "UTC"))
    assert times.kind is Kind.TIME
    assert times.maximum == times.minimum + 1e6  # type: ignore[operator]
    assert column([True, False, True]).values == (("True", 2), ("False", 1))
    tensor = column([[1.0, np.inf], [2.0, 3.0]], pa.list_(pa.float64(), 2))
    assert (tensor.kind, tensor.infinite) == (Kind.TENSOR, 1)
    assert (column([None, None]).kind, column([None, None]).missing) == (Kind.NOTHING, 2)


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        ([3, 3], "3"),
        ([0.5, 0.5], "0.5"),
        (["a", "a"], "a"),
        ([1, 2], None),
        (["a", ""], None),
        (["", ""], ""),
        ([], None),
    ],
)
def test_constant(values: list[object], constant: str | None) -> None:
    """A constant has one value in every row; missing everywhere is one too."""
    assert column(values).constant == constant


numbers = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf"))), max_size=40
)


@settings(max_examples=100, deadline=None)
@given(numbers, numbers)
def test_parts_add_up(a: list[float | None], b: list[float | None]) -> None:
    """The profile of two parts together is the profile of the whole."""
    parts = [profile(pa.table({"x": pa.array(part, pa.float64())})) for part in (a, b)]
    whole = profile(pa.table({"x": pa.array([*a, *b], pa.float64())})).columns[0]
    added = (parts[0] + parts[1]).columns[0]
    for name in ("rows", "missing", "infinite", "finite", "minimum", "maximum", "values", "kind"):
        assert getattr(added, name) == getattr(whole, name), name
    assert added.mean == pytest.approx(whole.mean, abs=1e-6)
    assert added.squares == pytest.approx(whole.squares, rel=1e-6, abs=1e-6)


def test_kinds_that_add() -> None:
    """Whole numbers and fractions add to fractions, nothing adds to anything, text and numbers do not add."""

    def made(values: object) -> Profile:
        return profile(pa.table({"x": pa.array(values)}))

    assert (made([1]) + made([0.5])).columns[0].kind is Kind.FLOAT
    assert (made([None]) + made(["a"])).columns[0].kind is Kind.TEXT
    with pytest.raises(DataInvalid, match="column 'x' is integer in one profile and text in the other"):
        made([1]) + made(["a"])
    with pytest.raises(DataInvalid, match="different columns"):
        made([1]) + profile(pa.table({"y": [1]}))


def test_plain() -> None:
    """A profile is plain data and comes back the same, endless numbers included."""
    table = pa.table({"a": [1.0, np.inf, None], "s": ["x", "", "y"], "n": pa.nulls(3)})
    measured = profile(table)
    assert from_plain(Profile, to_plain(measured)) == measured
    assert b"Infinity" not in canonical(measured)


@pytest.mark.parametrize("module", ["keepfit.data.profile", "keepfit.data.check", "keepfit.data.schema"])
def test_importing_is_cheap(module: str) -> None:
    """Nothing heavy comes along before there is data: neither pandas nor what starts processes."""
    heavy = "('pandas', 'multiprocessing', 'sqlalchemy', 'yaml', 'ray')"
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
