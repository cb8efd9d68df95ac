"""Slices name the records they stand for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Slice
from keepfit.judge.slices import members

TABLE = pa.table(
    {
        "origin": pa.array(["JFK", "LGA", None, "JFK"]).dictionary_encode(),
        "delay": [1.0, None, float("nan"), 30.0],
        "hour": pa.array([5, 6, 6, 23], pa.int32()),
        "late": [True, False, None, True],
    }
)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (Slice("origin"), {"origin=JFK": [0, 3], "origin=LGA": [1]}),
        (Slice("hour", most=1), {"hour=6": [1, 2]}),
        (Slice("hour", most=2), {"hour=6": [1, 2], "hour=5": [0]}),
        (Slice("late", equals=True), {"late=True": [0, 3]}),
        (Slice("hour", equals=7), {"hour=7": []}),
        (Slice("delay", at_least=1), {"delay>=1": [0, 3]}),
        (Slice("delay", below=30.0), {"delay<30": [0]}),
        (Slice("hour", at_least=6, below=23), {"hour in [6, 23)": [1, 2]}),
        (Slice("delay"), {"delay=1": [0], "delay=30": [3]}),
    ],
)
def test_members(declared: Slice, expected: dict[str, list[int]]) -> None:
    """A slice holds exactly the rows its predicate says, missing values in none; a bare column one slice per value."""
    found = members([declared], TABLE)
    assert list(found) == ["all", *expected]
    assert found["all"].all()
    assert {name: found[name].nonzero()[0].tolist() for name in expected} == expected


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Slice("gate"), "slice on 'gate': no such column; there are"),
        (Slice("hour", equals="six"), "slice on 'hour': 'six' cannot be compared"),
        (Slice("origin", at_least=1), "slice on 'origin': a range needs numbers"),
    ],
)
def test_an_impossible_slice_is_explained(declared: Slice, message: str) -> None:
    """A column that is absent or of another type is an error which says so, not an empty slice."""
    with pytest.raises(DataInvalid, match=message):
        members([declared], TABLE)


def test_values_have_one_order() -> None:
    """Slices by value come by count and then by value, whatever the order of rows."""
    backwards = TABLE.take([3, 2, 1, 0])
    assert list(members([Slice("hour")], TABLE)) == list(members([Slice("hour")], backwards))
