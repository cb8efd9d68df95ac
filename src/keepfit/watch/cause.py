"""Covariate, prior or concept: which of the distributions behind a change moved, from records, labels and losses.

Three questions, in this order; each answered by differences of shares between before and after, each difference with
the variance of a stratified or weighted mean, at `alpha` over all columns (Bonferroni) and above a floor:

1. Did labels or losses move for the same x? What x explains of them is taken off by a regression and by weighting rows
   before as those after are distributed (doubly robust: either may be wrong); it is looked for over all rows, and where
   each input has each of its values, for a rule may be turned round and be as often right.
2. If so: did P(y) move, and P(x|y) not? That is *prior* (label) shift (Saerens et al. 2002), anything else *concept*
   drift.
3. If not: did P(x) move? That is *covariate* shift.

Where labels are yet to come, P(y) is solved for from the predictions through the confusion matrix before (Lipton et al.
2018, BBSE), and rows before are weighted by it: if P(x) has then not moved, it is prior shift, else covariate.

Where no answer is yes, none is given. x is taken as each input's quantile bins or commonest values, one by one, so a
change that lies only in how two inputs go together may be told as concept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Cause
from keepfit.watch.curves import design, explained, indicators, smooth
from keepfit.watch.logistic import expected, fit

Floats = NDArray[np.float64]

_ROWS = 20_000
_FLOOR = 0.03
"""Shares that moved by less are no cause, however sure."""

_MOST_WEIGHT = 20.0
_PENALTY = 0.1


@dataclass(frozen=True)
class Joint:
    """Rows with everything known of them: inputs by name, what the model predicted, and where known label and loss."""

    inputs: Mapping[str, NDArray[Any]]
    predicted: NDArray[Any]
    truth: NDArray[Any] | None = None
    loss: Floats | None = None

    @property
    def size(self) -> int:
        """How many rows."""
        return int(self.predicted.size)


@dataclass(frozen=True)
class Told:
    """A cause with the numbers it was told by."""

    cause: Cause | None
    reason: str


@dataclass(frozen=True)
class _Moved:
    """The surest of some differences of shares (or means): how large, and its p-value times their number."""

    size: float
    p_value: float

    def is_sure(self, alpha: float) -> bool:
        """Whether it is neither chance nor too small to matter."""
        return self.p_value <= alpha and self.size >= _FLOOR

    def __str__(self) -> str:
        return f"by {self.size:.2g}, p {self.p_value:.2g}"


def cause_of(before: Joint, after: Joint, *, alpha: float = 0.01) -> Told:
    """Why two sets of rows differ; `before` needs labels, `after` may lack them (then nothing is said of concept).

    >>> random = np.random.default_rng(0)
    >>> x = random.normal(size=4000)
    >>> flip = np.repeat([False, True], 2000)
    >>> y = ((x > 0) ^ flip).astype(float)
    >>> loss = flip.astype(float)
    >>> sides = [Joint({"x": x[s]}, (x[s] > 0) * 1.0, y[s], loss[s]) for s in (slice(0, 2000), slice(2000, None))]
    >>> cause_of(*sides).cause.value
    'concept'
    """
    if before.truth is None:
        return Told(None, "the rows before have no labels")
    truth = before.truth[_kept(before.size)]
    before, after = _few(before), _few(after)
    x = design(before.inputs, after.inputs)
    inputs = _apart(*x)
    if after.truth is None:
        return _without_labels(truth, (before.predicted, after.predicted), x, inputs, alpha=alpha)
    y = _labels(truth, after.truth)
    given = _given(before, after, x, y)
    if given.is_sure(alpha):
        labels, within = _apart(*y), _within(x, y)
        if labels.is_sure(alpha) and not within.is_sure(alpha):
            return Told(Cause.PRIOR, f"the labels' shares moved {labels}; inputs given the label did not ({within})")
        return Told(Cause.CONCEPT, f"labels or losses moved {given} for the same inputs")
    return _covariate(inputs, f"labels and losses for the same inputs did not ({given})", alpha)


def _without_labels(
    truth: NDArray[Any],
    predicted: tuple[NDArray[Any], NDArray[Any]],
    x: tuple[Floats, Floats],
    inputs: _Moved,
    *,
    alpha: float,
) -> Told:
    """Prior or covariate, by the predictions alone; a concept cannot be seen so."""
    if not inputs.is_sure(alpha):
        return Told(None, f"no input moved surely ({inputs}), and no label tells of a concept")
    known, _ = _labels(truth, truth)
    was, now = _labels(*predicted)
    outputs = _apart(was, now)
    weights = _solved(known, was, now)
    if outputs.is_sure(alpha) and weights is not None:
        left = _weighted(x, known @ weights)
        if not left.is_sure(alpha):
            told = f"the predictions' shares moved {outputs}; other shares of the labels explain the inputs ({left})"
            return Told(Cause.PRIOR, told)
    return _covariate(inputs, "labels are yet to come, so a concept cannot be excluded", alpha)


def _covariate(inputs: _Moved, rest: str, alpha: float) -> Told:
    if inputs.is_sure(alpha):
        return Told(Cause.COVARIATE, f"the inputs' shares moved {inputs}; {rest}")
    return Told(None, f"nothing moved surely: inputs {inputs}; {rest}")


def _few(rows: Joint) -> Joint:
    """At most _ROWS rows, evenly spread."""
    if rows.size <= _ROWS:
        return rows
    kept = _kept(rows.size)
    return Joint(
        {name: values[kept] for name, values in rows.inputs.items()},
        rows.predicted[kept],
        None if rows.truth is None else rows.truth[kept],
        None if rows.loss is None else rows.loss[kept],
    )


def _kept(size: int) -> NDArray[np.int64]:
    return np.linspace(0, size - 1, min(size, _ROWS)).astype(np.int64)


def _labels(old: NDArray[Any], new: NDArray[Any]) -> tuple[Floats, Floats]:
    """Labels as indicators of every class, or of quantile bins of numbers, none left out."""
    columns = indicators(old, new)
    was, now = (np.column_stack([1.0 - side.sum(axis=1), side]) for side in columns)
    there = was.any(axis=0) | now.any(axis=0)
    return was[:, there], now[:, there]


def _apart(old: Floats, new: Floats) -> _Moved:
    """The surest difference between two sets of columns."""
    return _surest(new.mean(axis=0) - old.mean(axis=0), _variance(old) + _variance(new))


def _within(x: tuple[Floats, Floats], y: tuple[Floats, Floats]) -> _Moved:
    """The surest difference of inputs given any one label, as a share of all rows after."""
    gaps, variances = [np.empty(0)], [np.empty(0)]
    for column in range(y[0].shape[1]):
        old, new = (side[label[:, column] > 0] for side, label in zip(x, y, strict=True))
        share = len(new) / len(x[1])
        if not len(old) and share >= _FLOOR:  # a label never seen before is no shift of known ones
            return _Moved(share, 0.0)
        if len(old) and len(new):
            gaps.append(share * (new.mean(axis=0) - old.mean(axis=0)))
            variances.append(share**2 * (_variance(old) + _variance(new)))
    return _surest(np.concatenate(gaps), np.concatenate(variances))


def _given(before: Joint, after: Joint, x: tuple[Floats, Floats], y: tuple[Floats, Floats]) -> _Moved:
    """The surest difference of labels or losses for the same inputs: over all rows, or where one input is so and so.

    In shares of labels, or deviations of the loss, times the share of the rows.
    """
    sides = y
    if before.loss is not None and after.loss is not None:
        spread = float(np.concatenate([before.loss, after.loss]).std()) or 1.0
        losses = before.loss / spread, after.loss / spread
        sides = np.column_stack([y[0], losses[0]]), np.column_stack([y[1], losses[1]])
    curves = smooth(before.inputs, after.inputs)
    weights = _odds(*curves)
    rests = explained(curves, sides, weights)
    shares = weights / weights.sum(), np.full(len(rests[1]), 1 / len(rests[1]))
    (was, old), (now, new) = (_where(*side) for side in zip(rests, x, shares, strict=True))
    return _surest((now - was).ravel(), (old + new).ravel())


def _where(rest: Floats, x: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Means of what is left of labels and losses, over all rows and over those of every indicator; their variances."""
    at = np.column_stack([np.ones(len(x)), x]).T
    mean = at @ (share[:, None] * rest)
    squares = at @ (share[:, None] * rest) ** 2
    cross = at @ (share[:, None] ** 2 * rest)
    variance = squares - 2 * mean * cross + mean**2 * float((share**2).sum())
    return mean, np.maximum(variance, 0.25 / len(rest) ** 2)


def _odds(old: Floats, new: Floats) -> Floats:
    """How much likelier each row before is after, by a logistic regression; bounded, so that no row speaks for all."""
    if not old.shape[1]:
        return np.ones(len(old))
    truth = np.repeat([0.0, 1.0], [len(old), len(new)])
    chance = expected(old, fit(np.concatenate([old, new]), truth, penalty=_PENALTY))
    odds: Floats = chance / (1 - chance) * len(old) / len(new)
    return np.clip(odds, 1 / _MOST_WEIGHT, _MOST_WEIGHT)


def _solved(truth: Floats, was: Floats, now: Floats) -> Floats | None:
    """How much commoner each label is now, from the predictions; None where they tell labels apart too little."""
    if truth.shape[1] != was.shape[1]:
        return None
    confusion = was.T @ truth / len(truth)
    if np.linalg.cond(confusion) > 100:
        return None
    found: Floats = np.linalg.solve(confusion, now.mean(axis=0))
    return np.clip(found, 0.0, _MOST_WEIGHT)


def _weighted(x: tuple[Floats, Floats], weights: Floats) -> _Moved:
    """The surest difference of inputs once rows before are weighted."""
    share = weights / weights.sum()
    middle = share @ x[0]
    variance = (share[:, None] ** 2 * (x[0] - middle) ** 2).sum(axis=0) + _variance(x[1])
    return _surest(x[1].mean(axis=0) - middle, variance)


def _variance(columns: Floats) -> Floats:
    """Of the mean of each column; of indicators never below what a single row would give."""
    least = 0.25 / max(1, len(columns)) ** 2
    found: Floats = np.maximum(columns.var(axis=0) / max(1, len(columns) - 1), least)
    return found


def _surest(gaps: Floats, variances: Floats) -> _Moved:
    """The difference with the largest ratio to its error among those above the floor, if any; Bonferroni's p-value."""
    if not gaps.size:
        return _Moved(0.0, 1.0)
    ratios = np.abs(gaps) / np.sqrt(np.maximum(variances, 1e-300))
    large = np.abs(gaps) >= _FLOOR
    place = int(np.argmax(np.where(large, ratios, -1.0) if large.any() else ratios))
    return _Moved(float(abs(gaps[place])), min(1.0, gaps.size * erfc(float(ratios[place]) / sqrt(2))))
