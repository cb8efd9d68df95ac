"""Scenarios: every row is learnt where its scenario says, as often as it says, and no row is learnt and asked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.core.errors import DataInvalid, NotFound, SpecInvalid
from keepfit.learn.scenarios import (
    Blurry,
    ClassIncremental,
    DataIncremental,
    DomainIncremental,
    Examples,
    Permuted,
    Recurring,
    Rotated,
    Rows,
    Scenario,
    TaskIncremental,
    TimeIncremental,
)
from keepfit.learn.scenarios.sources import from_table

ALL: tuple[Scenario, ...] = (
    ClassIncremental(),
    ClassIncremental(3, shuffle=True),
    TaskIncremental(),
    DomainIncremental(),
    TimeIncremental(7),
    DataIncremental(),
    Rotated(),
    Rotated(whole=False),
    Permuted(),
    Permuted(whole=False),
    Blurry(),
    Recurring(),
    Recurring(Rotated((0.0, 90.0)), times=3),
)


def _examples(rows: int = 600, classes: int = 10, side: int = 4) -> Examples:
    """Rows whose first feature is their number, so that each can be told from all others."""
    random = np.random.default_rng(0)
    X = random.random((rows, side * side)).astype(np.float32)
    X[:, 0] = np.arange(rows)
    y = np.arange(rows) % classes
    return Examples(name="toy", train=Rows(X, y.astype(np.int64)), classes=tuple(range(classes)))


@pytest.mark.parametrize("scenario", ALL, ids=repr)
def test_a_scenario_is_decided_by_its_seed(scenario: Scenario) -> None:
    """The same seed gives the same experiences; another one other rows to be tested on."""
    first, again, other = (scenario.experiences(_examples(), seed) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        assert one.name == two.name
        np.testing.assert_array_equal(one.train.X, two.train.X)
        np.testing.assert_array_equal(one.test.y, two.test.y)
    assert not all(np.array_equal(one.test.X, two.test.X) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("scenario", ALL, ids=repr)
def test_experiences_are_numbered_and_name_the_classes_so_far(scenario: Scenario) -> None:
    """Tasks count from 0; `seen` grows, and holds every class that was learnt, and no other."""
    learnt: set[int] = set()
    for place, one in enumerate(scenario.experiences(_examples(), 0)):
        learnt |= set(one.train.y.tolist())
        assert one.task == place
        assert set(one.seen) == learnt
        assert len(one.train) > 0
        assert len(one.test) > 0


@pytest.mark.parametrize("scenario", [one for one in ALL if "Rotated" not in repr(one) and "Perm" not in repr(one)])
def test_no_row_is_both_learnt_and_asked(scenario: Scenario) -> None:
    """Rows that are tested on are never learnt, in no experience (those that can be told apart, being as they were)."""
    found = scenario.experiences(_examples(), 0)
    learnt = {float(value) for one in found for value in one.train.X[:, 0]}
    asked = {float(value) for one in found for value in one.test.X[:, 0]}
    assert not learnt & asked


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 10), shuffle=st.booleans(), seed=st.integers(0, 99))
def test_classes_come_once(count: int, shuffle: bool, seed: int) -> None:
    """Class-incremental: every class is in exactly one experience, and all of them are."""
    found = ClassIncremental(count, shuffle).experiences(_examples(), seed)
    classes = [one for experience in found for one in sorted(set(experience.train.y.tolist()))]
    assert sorted(classes) == list(range(10))
    assert len(found) == count
    for one in found:
        assert set(one.test.y.tolist()) == set(one.train.y.tolist())


def test_a_task_is_asked_within_its_classes() -> None:
    """Task-incremental: the rows are those of class-incremental, and the classes to choose from are told."""
    split, tasks = (kind().experiences(_examples(), 0) for kind in (ClassIncremental, TaskIncremental))
    assert [one.within for one in tasks] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert all(not one.within for one in split)
    np.testing.assert_array_equal(tasks[3].train.X, split[3].train.X)


def test_domains_without_a_column_ask_the_same_question_everywhere() -> None:
    """Domain-incremental by classes: the label is the place in the group, on digits even or odd."""
    for one in DomainIncremental().experiences(_examples(), 0):
        assert one.seen == (0, 1)
        numbers = one.train.X[:, 0].astype(int)
        np.testing.assert_array_equal(one.train.y, numbers % 10 % 2)


def test_domains_of_a_column() -> None:
    """Domain-incremental by a column: words by value, numbers by ranges with equally many rows."""
    table = pa.table({"place": ["a", "b", "c"] * 100, "size": list(range(300)), "y": [0, 1, 1, 0, 1, 0] * 50})
    examples = from_table(table, "y", name="t")
    by_word = DomainIncremental("place").experiences(examples, 0)
    assert [one.name for one in by_word] == ["place a", "place b", "place c"]
    assert all(set(one.train.X["place"]) == {one.name[-1]} for one in by_word)
    by_size = DomainIncremental("size", 3).experiences(examples, 0)
    assert sum(len(one.train) + len(one.test) for one in by_size) == 300
    sizes = [len(one.train) for one in by_size]
    assert max(sizes) - min(sizes) <= 1
    assert max(by_size[0].train.X["size"]) < min(by_size[1].train.X["size"])
    with pytest.raises(DataInvalid, match="no column 'nowhere'"):
        DomainIncremental("nowhere").experiences(examples, 0)


def test_time_goes_forward() -> None:
    """Time-incremental: every piece lies after the one before, and all rows are learnt or asked, once."""
    found = TimeIncremental(6).experiences(_examples(), 0)
    ends = [(min(part), max(part)) for part in (np.r_[one.train.X[:, 0], one.test.X[:, 0]] for one in found)]
    assert all(last < first for (_, last), (first, _) in pairwise(ends))
    assert sum(len(one.train) + len(one.test) for one in found) == 600


def test_turning_by_a_right_angle_moves_pixels_and_back() -> None:
    """Rotation: four quarter turns are none, and one is what numpy says it is."""
    from keepfit.learn.scenarios.images import turning

    image = np.random.default_rng(0).random((8, 8))
    quarter = turning(8, 90)
    np.testing.assert_allclose((quarter @ image.ravel()).reshape(8, 8), np.rot90(image), atol=1e-5)
    np.testing.assert_allclose(np.linalg.matrix_power(quarter.astype(float), 4), np.eye(64), atol=1e-5)


@given(angle=st.floats(-360, 360))
@settings(max_examples=50, deadline=None)
def test_turning_makes_no_light(angle: float) -> None:
    """Rotation: a pixel of the turned image is a mean of pixels of the image, so it never exceeds the brightest."""
    from keepfit.learn.scenarios.images import turning

    shares = turning(8, angle)
    assert shares.min() >= 0
    assert shares.sum(axis=1).max() <= 1 + 1e-5


def test_what_is_no_square_is_not_turned() -> None:
    """Rotation of rows that are no square images is refused, with their number of features."""
    odd = Examples(name="odd", train=Rows(np.zeros((20, 7), np.float32), np.arange(20) % 2), classes=(0, 1))
    with pytest.raises(DataInvalid, match="7 features"):
        Rotated().experiences(odd, 0)


def test_permuted_rows_hold_the_same_values() -> None:
    """Permutation: an experience has every row's values, in one order for all its rows; the first has the row's own."""
    first, second, *_ = Permuted().experiences(_examples(), 0)
    np.testing.assert_array_equal(np.sort(first.train.X), np.sort(second.train.X))
    assert not np.array_equal(first.train.X, second.train.X)
    order = [int(np.flatnonzero(first.train.X[0] == value)[0]) for value in second.train.X[0]]
    np.testing.assert_array_equal(second.train.X, first.train.X[:, order])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_borders_are_as_blurry_as_asked(share: float) -> None:
    """Blurry: that share of an experience's classes comes elsewhere; no row is lost, none comes twice."""
    found = Blurry(share=share).experiences(_examples(6000), 0)
    own = np.mean([np.isin(one.train.y, list(set(one.test.y.tolist()))).mean() for one in found])
    assert own == pytest.approx(1 - share, abs=0.03)
    rows = np.concatenate([one.train.X[:, 0] for one in found])
    assert len(np.unique(rows)) == len(rows) == 4500


def test_what_recurs_has_other_rows_and_the_same_tests() -> None:
    """Recurring: each experience comes as often as asked, with other rows of the same, and all of them are used."""
    once = ClassIncremental(2).experiences(_examples(), 0)
    found = Recurring(ClassIncremental(2), times=3).experiences(_examples(), 0)
    assert [one.name for one in found][:4] == [once[0].name, once[1].name, f"{once[0].name} (2)", f"{once[1].name} (2)"]
    rows = np.concatenate([one.train.X[:, 0] for one in found[::2]])
    np.testing.assert_array_equal(np.sort(rows), np.sort(once[0].train.X[:, 0]))
    np.testing.assert_array_equal(found[4].test.X, once[0].test.X)


def test_too_few_classes_or_rows_are_said() -> None:
    """More experiences than classes, one class only, or an experience without rows: an error that says which."""
    with pytest.raises(SpecInvalid, match="10 classes cannot be spread over 11"):
        ClassIncremental(11).experiences(_examples(), 0)
    with pytest.raises(DataInvalid, match="at least two classes"):
        from_table(pa.table({"a": [1, 2], "y": ["x", "x"]}), "y", name="t")
    with pytest.raises(DataInvalid, match="to be tested on"):
        ClassIncremental(2).experiences(_examples(rows=4, classes=2), 0)
    with pytest.raises(SpecInvalid, match=r"Blurry\.share"):
        Blurry(share=1.5)
    with pytest.raises(SpecInvalid, match="delay"):
        TimeIncremental(delay=-1)
    with pytest.raises(SpecInvalid, match="times"):
        Recurring(times=0)


def test_a_table_becomes_examples() -> None:
    """Rows without a label are left out, times are no features, and fractions are no classes."""
    days = pd.date_range("2026-01-01", periods=4, tz="UTC")
    table = pa.table({"when": days, "a": [1.0, 2.0, 3.0, 4.0], "y": ["no", None, "yes", "no"]})
    found = from_table(table, "y", name="t")
    assert list(found.train.X.columns) == ["a"]
    assert found.classes == ("no", "yes")
    assert found.train.y.tolist() == ["no", "yes", "no"]
    with pytest.raises(DataInvalid, match="fractions"):
        from_table(table, "a", name="t")
    with pytest.raises(DataInvalid, match="no column 'z'"):
        from_table(table, "z", name="t")


def test_the_digits_are_there() -> None:
    """The default data: 1,797 images of 8 × 8 with values from 0 to 1, ten classes."""
    pytest.importorskip("sklearn")
    from keepfit.learn.scenarios.sources import digits

    found = digits()
    assert found.train.X.shape == (1797, 64)
    assert (found.train.X.min(), found.train.X.max()) == (0.0, 1.0)
    assert found.classes == tuple(range(10))


def test_a_missing_folder_of_images_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A folder without MNIST's files is refused with what was looked for."""
    from keepfit.learn.scenarios.sources import mnist

    with pytest.raises(NotFound, match="train-images-idx3-ubyte"):
        mnist(tmp_path)
