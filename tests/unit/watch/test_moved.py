"""What moved, and since when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keepfit.core.nouns import Part
from keepfit.data.read import read
from keepfit.watch.moved import began, parts

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Every test draws alike, whatever ran before it."""
    RNG.bit_generator.state = np.random.default_rng(11).bit_generator.state


def text(**shares: int) -> np.ndarray:
    return np.array([name for name, count in shares.items() for _ in range(count)], dtype=object)


def test_values() -> None:
    """Values are told with exact shares, the largest change first, new and vanished ones among them."""
    found = parts(text(cash=70, card=20, gone=10), text(cash=30, card=25, new=45))
    assert found == (Part("new", 0.0, 0.45), Part("cash", 0.7, 0.3), Part("gone", 0.1, 0.0))


def test_flags_and_few_numbers() -> None:
    """Flags and numbers of few values are told value by value, what is missing under its name."""
    assert parts(np.array([True, False] * 50), np.array([True] * 100), most=1) == (Part("False", 0.5, 0.0),)
    old, new = np.array([1.0, 2.0] * 50), np.array([1.0, np.nan] * 50)
    assert set(parts(old, new)) == {Part("2", 0.5, 0.0), Part("(missing)", 0.0, 0.5)}


def test_ranges() -> None:
    """Numbers are told by ranges between the reference's deciles; every range's share is exact."""
    old, new = RNG.normal(size=5000), np.concatenate([RNG.normal(size=2500), RNG.uniform(0, 0.1, size=2500)])
    first = parts(old, new)[0]
    low, high = (float(end) for end in first.name.split(" to "))
    assert low < 0.1
    assert high > 0.0
    assert first.before == pytest.approx(0.1, abs=0.001)
    assert first.now == pytest.approx(((new >= low) & (new < high)).mean(), abs=0.002)
    assert sum(one.before for one in parts(old, new, most=20)) <= 1 + 1e-9


def test_times_are_times() -> None:
    """A range of times is written as times."""
    old = np.datetime64("2018-01-01", "us") + np.arange(1000) * np.timedelta64(1, "h")
    assert all("2018-" in one.name for one in parts(old, old + np.timedelta64(500, "h")))


@pytest.mark.parametrize("kind", ["number", "text", "holes"])
@pytest.mark.parametrize("change", [0, 300, 700])
def test_since(kind: str, change: int) -> None:
    """In 50 windows of 1,000 rows with a change the row told is seldom far from the true one, and mostly before it."""
    told = []
    for _ in range(50):
        sides = RNG.normal(size=4000), RNG.normal(size=1000) + 1.2 * (np.arange(1000) >= change)
        if kind == "text":
            sides = tuple(np.where(side > 0.8, "b", "a").astype(object) for side in sides)
        elif kind == "holes":
            sides = tuple(np.where(side > 0.8, np.nan, 1.0 * (side > 0)) for side in sides)
        told.append(began(*sides))
    off = np.array(told) - change
    assert np.quantile(np.abs(off), 0.8) <= 40
    assert (off <= 5).mean() >= 0.8


def test_since_on_real_data(shared_data: Path) -> None:
    """On elec2 the transfer between states is told to vary from the very row on which it does, 17,424 from 0."""
    table = read(shared_data / "elec2" / "*.csv")
    values = table["vicdemand"].to_numpy()
    assert abs(began(values[:15_000], values[15_000:20_000]) - 2_424) <= 24
