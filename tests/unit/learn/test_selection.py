"""Selection: which rows are chosen, by hand and as shares over many seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Choice, Task
from keepfit.core.service import Selection
from keepfit.learn.selection import Pool, gradients, margins, select

LABELS = np.array([0, 1] * 50)
POOL = Pool(y=LABELS, task=Task.BINARY, classes=(0, 1))
SURE = np.linspace(0.5, 1.0, 100)
ANSWERED = replace(POOL, outputs={"prediction": np.ones(100, np.int64), "probability": SURE})


@pytest.mark.parametrize("by", list(Choice))
def test_laws(by: Choice) -> None:
    """Places are different, in order, within the budget, the same for a seed, and have every class."""
    seen = np.arange(100) < 40
    for rows in (2, 10, 99, 100, 1000):
        for pool in (POOL, ANSWERED, replace(ANSWERED, seen=seen)):
            chosen = select(pool, Selection(by=by, rows=rows), seed=3)
            assert (np.diff(chosen) > 0).all()
            assert len(chosen) == min(rows, 60 if by is Choice.NEW and pool.seen is not None else 100)
            assert np.array_equal(chosen, select(pool, Selection(by=by, rows=rows), seed=3))
            assert set(LABELS[chosen].tolist()) == {0, 1}


def test_the_newest() -> None:
    """A window is its newest rows; without a budget, all of them."""
    assert select(POOL, Selection(rows=10)).tolist() == list(range(90, 100))
    assert select(POOL, Selection()).tolist() == list(range(100))


def test_new_rows_are_those_the_parent_has_not_seen() -> None:
    """Rows in between count as well; where all are seen, or none is known, all are candidates."""
    seen = np.ones(100, np.bool_)
    seen[[5, 6, 7, 98]] = False
    assert select(replace(POOL, seen=seen), Selection(by=Choice.NEW)).tolist() == [5, 6, 7, 98]
    assert select(replace(POOL, seen=seen), Selection(by=Choice.NEW, rows=2)).tolist() == [7, 98]
    assert len(select(replace(POOL, seen=np.ones(100, np.bool_)), Selection(by=Choice.NEW))) == 100
    assert len(select(POOL, Selection(by=Choice.NEW))) == 100


def test_fresh_rows_are_drawn_by_their_age() -> None:
    """Over many seeds a row a half-life older is drawn half as often; uniform rows are all drawn alike."""
    pool = Pool(y=np.arange(100.0), task=Task.REGRESSION)
    fresh, uniform = (
        np.bincount(
            np.concatenate([select(pool, Selection(by=by, rows=5, half_life=0.25), seed) for seed in range(4000)]),
            minlength=100,
        )
        for by in (Choice.FRESH, Choice.UNIFORM)
    )
    quarters = fresh.reshape(4, 25).sum(axis=1)
    assert quarters[:-1] / quarters[1:] == pytest.approx([0.5] * 3, abs=0.08)
    assert uniform.min() > 130
    assert uniform.max() < 270


def test_classes_in_balance() -> None:
    """A rare class gives all it has, the others share the rest; without a budget all give as many as the rarest."""
    pool = Pool(y=np.array(["a"] * 90 + ["b"] * 4 + ["c"] * 6), task=Task.MULTICLASS, classes=("a", "b", "c"))
    counted = np.unique(pool.y[select(pool, Selection(by=Choice.BALANCED, rows=24))], return_counts=True)
    assert dict(zip(*(one.tolist() for one in counted), strict=True)) == {"a": 14, "b": 4, "c": 6}
    assert len(select(pool, Selection(by=Choice.BALANCED))) == 12
    assert 89 in select(pool, Selection(by=Choice.BALANCED))  # the newest of each


def test_the_parents_doubt() -> None:
    """Uncertain rows are those with the smallest gap between the two largest probabilities."""
    assert select(ANSWERED, Selection(by=Choice.UNCERTAIN, rows=10)).tolist() == list(range(10))
    many = Pool(
        y=np.array([0, 1, 2]),
        task=Task.MULTICLASS,
        classes=(0, 1, 2),
        outputs={"probabilities": np.array([[0.5, 0.4, 0.1], [0.6, 0.2, 0.2], [0.34, 0.33, 0.33]])},
    )
    assert margins(many) == pytest.approx([0.1, 0.4, 0.01])
    assert gradients(many)[1] == pytest.approx(np.sqrt(0.36 + 0.64 + 0.04))


def test_gradients_favour_what_the_parent_gets_wrong() -> None:
    """The distance from truth is the gradient's size by the logits, and rows are drawn in proportion to it."""
    assert gradients(ANSWERED)[:2] == pytest.approx([np.sqrt(0.5), np.sqrt(2) * (1 - SURE[1])])
    drawn = np.concatenate([select(ANSWERED, Selection(by=Choice.GRADIENT, rows=5), seed) for seed in range(3000)])
    share = (LABELS[drawn] == 0).mean()  # it says 1 throughout, ever more surely
    weights = gradients(ANSWERED)
    assert share == pytest.approx(weights[LABELS == 0].sum() / weights.sum(), abs=0.06)  # each class keeps one


def test_without_a_parent_the_newest_rows_are_taken() -> None:
    """The first Version has nobody to ask."""
    for by in (Choice.UNCERTAIN, Choice.GRADIENT):
        assert select(POOL, Selection(by=by, rows=10)).tolist() == list(range(90, 100))


def test_numbers() -> None:
    """For numbers a gradient is the absolute error, nothing is uncertain, and there are no classes to balance."""
    y = np.arange(10, dtype=np.float64)
    pool = Pool(y=y, task=Task.REGRESSION, outputs={"prediction": np.zeros(10)})
    assert gradients(pool).tolist() == y.tolist()
    assert select(pool, Selection(by=Choice.BALANCED, rows=3)).tolist() == [7, 8, 9]
    assert 0 not in select(pool, Selection(by=Choice.GRADIENT, rows=9), seed=1)


def test_wrong_selections() -> None:
    """A choice among rows without a number of rows means nothing, and is refused when it is declared."""
    for make in (
        lambda: Selection(by=Choice.UNIFORM),
        lambda: Selection(rows=0),
        lambda: Selection(by=Choice.FRESH, rows=5, half_life=0.0),
    ):
        with pytest.raises(SpecInvalid, match="expected"):
            make()
