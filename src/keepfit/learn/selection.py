"""Selection: which of the labelled rows at hand an update learns from, within a budget.

Pure: the rows, what the parent answers to them, and a seed decide. Random choices are weighted sampling without
replacement by exponential keys (Efraimidis and Spirakis 2006), so that one row more changes few of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Choice, Task
from keepfit.core.service import Selection

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

OF_PARENT = (Choice.UNCERTAIN, Choice.GRADIENT)
"""Choices for which the parent's answers are needed; without a parent the newest rows are taken."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The rows to choose from, in order of time: their labels `y`, which of them the parent has `seen`, its `outputs`.

    `outputs` are the Signature's by name (`prediction`, `probability` or `probabilities`), empty without a parent;
    `classes` are all classes in order, none for numbers.
    """

    y: NDArray[Any]
    task: Task
    classes: tuple[str | int | bool, ...] = ()
    seen: NDArray[np.bool_] | None = None
    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def select(pool: Pool, selection: Selection, seed: int = 0) -> Rows:
    """The chosen rows' places, in order of time; all of them where the budget allows.

    A classifier keeps at least one row of each class it had to choose from: without, it could not even be fitted.

    >>> pool = Pool(y=np.array([0, 0, 0, 1, 0, 0]), task=Task.BINARY, classes=(0, 1))
    >>> select(pool, Selection(rows=2)).tolist(), select(pool, Selection(by=Choice.BALANCED, rows=2)).tolist()
    ([3, 5], [3, 5])
    """
    candidates = _candidates(pool, selection.by)
    budget = min(len(candidates), len(candidates) if selection.rows is None else selection.rows)
    if selection.by is Choice.BALANCED:
        chosen = _balanced(pool, candidates, budget, whole=selection.rows is None)
    else:
        order = np.argsort(-_keys(pool, candidates, selection, np.random.default_rng(seed)), kind="stable")
        chosen = candidates[order[:budget]]
    return np.sort(_with_every_class(pool, candidates, chosen))


def _candidates(pool: Pool, by: Choice) -> Rows:
    if by is Choice.NEW and pool.seen is not None and not pool.seen.all():
        return np.flatnonzero(~pool.seen)
    return np.arange(len(pool.y))


def _keys(pool: Pool, rows: Rows, selection: Selection, random: np.random.Generator) -> Floats:
    """The larger a row's key, the sooner it is chosen."""
    count = len(rows)
    by = Choice.WINDOW if selection.by in OF_PARENT and not pool.outputs else selection.by
    match by:
        case Choice.WINDOW | Choice.NEW | Choice.BALANCED:
            return np.arange(count, dtype=np.float64)
        case Choice.UNIFORM:
            return random.random(count)
        case Choice.FRESH:
            age = (count - 1 - np.arange(count)) / max(1, count)
            return _drawn(0.5 ** (age / selection.half_life), random)
        case Choice.UNCERTAIN:
            return -margins(pool)[rows]
        case Choice.GRADIENT:
            return _drawn(gradients(pool)[rows], random)
    assert_never(by)


def _drawn(weights: Floats, random: np.random.Generator) -> Floats:
    """Keys whose order is a weighted draw without replacement; rows of no weight come last, in order of chance."""
    with np.errstate(divide="ignore"):
        return np.log(random.random(len(weights))) / np.maximum(weights, 1e-12)


def margins(pool: Pool) -> Floats:
    """How sure the parent is of each row: the gap between its two largest probabilities, shape (n,).

    For numbers, and where there are no probabilities, the parent cannot tell, and all rows are alike.
    """
    chances = _chances(pool)
    if chances is None:
        return np.zeros(len(pool.y))
    two = np.partition(chances, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


def gradients(pool: Pool) -> Floats:
    """The size of the gradient each row would have in the parent's last layer, shape (n,).

    Of the log-loss by the logits it is the distance of the probabilities from the truth (EL2N, Paul et al. 2021), of
    the squared error by the answer the absolute error; without probabilities 1 for a wrong answer.
    """
    if pool.task is Task.REGRESSION:
        wrong = pool.outputs["prediction"].astype(np.float64) - pool.y.astype(np.float64)
        return np.nan_to_num(np.abs(wrong))
    chances = _chances(pool)
    if chances is None:
        return np.asarray(pool.outputs["prediction"] != pool.y, dtype=np.float64)
    truth = pool.y[:, None] == np.array(pool.classes, dtype=pool.y.dtype)[None, :]
    return np.asarray(np.sqrt(((chances - truth) ** 2).sum(axis=1)))


def _chances(pool: Pool) -> Floats | None:
    if "probability" in pool.outputs:
        last = pool.outputs["probability"].astype(np.float64)
        return np.column_stack([1.0 - last, last])
    if "probabilities" in pool.outputs:
        return pool.outputs["probabilities"].astype(np.float64)
    return None


def _balanced(pool: Pool, rows: Rows, budget: int, *, whole: bool) -> Rows:
    """The newest rows of each class, as many of each; what a rare class leaves goes to the others, or to nobody.

    Without a budget every class gives as many rows as the rarest has. Numbers have no classes: the newest rows.
    """
    if pool.task is Task.REGRESSION:
        return rows[len(rows) - budget :]
    own = [rows[pool.y[rows] == one][::-1] for one in sorted(set(pool.y[rows].tolist()), key=str)]
    if whole:
        rarest = min((len(one) for one in own), default=0)
        return np.concatenate([one[:rarest] for one in own]) if own else rows
    turns = np.concatenate([np.arange(len(one)) for one in own])
    order = np.argsort(turns, kind="stable")
    return np.concatenate(own)[order[:budget]]


def _with_every_class(pool: Pool, rows: Rows, chosen: Rows) -> Rows:
    """The choice, with the newest row of every class that it would have left out, in place of the last chosen."""
    if pool.task is Task.REGRESSION or not len(rows):
        return chosen
    there, taken = pool.y[rows], set(pool.y[chosen].tolist())
    absent = [one for one in sorted(set(there.tolist()), key=str) if one not in taken]
    newest = np.array([rows[np.flatnonzero(there == one)[-1]] for one in absent], dtype=np.int64)
    if not len(newest):
        return chosen
    return np.concatenate([_spared(pool, chosen, len(newest)), newest])


def _spared(pool: Pool, chosen: Rows, places: int) -> Rows:
    """The choice without its last ones, but with one of every class it had."""
    _, firsts = np.unique(pool.y[chosen].astype(str), return_index=True)
    may_go = np.setdiff1d(np.arange(len(chosen)), firsts)
    gone = may_go[::-1][:places]
    return np.delete(chosen, gone)
