"""CUSUM, which follows a loss record by record."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.samples import SILENT, is_categorical, numbers

_NODES = (-2.8569700138728, -1.3556261799743, 0.0, 1.3556261799743, 2.8569700138728)
_WEIGHTS = (0.0112574113277, 0.2220759220056, 0.5333333333333, 0.2220759220056, 0.0112574113277)
"""Gauss and Hermite's five points for the mean over a normal variable (Abramowitz and Stegun 25.4.46)."""


@dataclass(frozen=True)
class CUSUM:
    """Page's (1954) cumulative sum, which looks for a lasting rise of the mean, record by record.

    Meant for losses: the reference is the loss at release, the window the losses since, in order of arrival. `shift`
    is the rise it is quickest for, in standard deviations of the reference: 0.25 is an error rate that goes from 0.11
    to 0.19 (one that goes to 0.17 takes about 400 records). Losses above the reference's mean plus six deviations
    count as that, so that one record alone says nothing.

    The statistic is the highest sum since it last stood at zero. The p-value is the chance that a sum as high comes
    up in any `per` records without a change, so a Monitor's `false_discovery` of 0.01 means one false alarm in
    100,000 records. It comes from Siegmund's (1985) average run length, with the exponent taken from the reference's
    own distribution, eased where its losses come in bursts, and averaged over how wrong the mean of so few rows may
    be. So that a small reference does not make it blind, each loss is held against the mean of the reference and of
    all losses before it (the recursive residuals of Brown, Durbin & Evans 1975), until that rests on `settled` rows:
    what the model showed since its release refines what was measured before. The effect is the rise since the
    change, in standard deviations, at most 1; `since` is the change's index in the window.

    >>> quiet, worse = np.tile([0.0] * 9 + [1.0], 200), np.tile([0.0] * 4 + [1.0], 100)
    >>> CUSUM().score(quiet, quiet).p_value > 0.5, CUSUM().score(quiet, worse).p_value < 0.01
    (True, True)
    """

    shift: float = 0.25
    per: int = 1000
    settled: int = 10_000

    def __post_init__(self) -> None:
        if not self.shift > 0 or self.per < 1 or self.settled < 0:
            raise SpecInvalid(
                f"CUSUM: expected shift above 0, per of at least 1 and settled of at least 0, found "
                f"shift={self.shift}, per={self.per}, settled={self.settled}"
            )

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Follow the window; see Detector. SpecInvalid for text."""
        if is_categorical(reference) or is_categorical(window):
            raise SpecInvalid("CUSUM follows numbers, and this subject is text or true/false; use Auto or ChiSquare")
        old, new = numbers(reference), numbers(window)
        known = np.flatnonzero(new > -np.inf)  # neither missing nor endlessly good
        old, new = old[np.isfinite(old)], new[known]
        if old.size < 2 or not new.size:
            return SILENT
        mean, deviation, cap = _scale(old, new)
        if deviation == 0:
            return SILENT
        allowance = self.shift / 2
        learnt = max(0, self.settled - old.size)
        walk = _residuals(np.minimum(new, cap), mean, old.size, learnt) / deviation - allowance
        start, peak = _excursion(walk)
        if start is None:
            return SILENT
        steps = (np.minimum(old, cap) - mean) / deviation - allowance
        bursts = _burstiness(steps)
        exponent = _exponent(steps, allowance) / bursts
        doubt = sqrt(bursts / (old.size + min(start, learnt)))
        run_lengths = (_run_length(peak, exponent, allowance, off=doubt * node) for node in _NODES)
        p_value = sum(-weight * expm1(-self.per / length) for weight, length in zip(_WEIGHTS, run_lengths, strict=True))
        rise = float(walk[start:].mean()) + allowance
        return Score(peak, min(1.0, p_value), min(1.0, max(0.0, rise)), int(known[start]))


def _scale(old: NDArray[np.float64], new: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean and deviation of the reference, and where losses are capped; a constant reference borrows the scale."""
    cap = float(old.mean() + 6 * old.std())
    capped = np.minimum(old, cap)
    deviation = float(capped.std())
    if deviation > 0:
        return float(capped.mean()), deviation, cap
    return float(old.mean()), float(np.concatenate([old, new]).std()), float("inf")


def _residuals(losses: NDArray[np.float64], mean: float, rows: int, learnt: int) -> NDArray[np.float64]:
    """Each loss less the mean of `rows` earlier ones and of the losses before it, of which at most `learnt` count."""
    before = np.minimum(np.arange(losses.size), learnt)
    sums = np.concatenate([[0.0], np.cumsum(losses[:learnt])])
    means: NDArray[np.float64] = (rows * mean + sums[before]) / (rows + before)
    return losses - means


def _excursion(walk: NDArray[np.float64]) -> tuple[int | None, float]:
    """Where the sum left zero for the last time, and its highest value since."""
    path = np.concatenate([[0.0], np.cumsum(walk)])
    height = path - np.minimum.accumulate(path)
    start = int(np.flatnonzero(height == 0)[-1])
    return (None, 0.0) if start == walk.size else (start, float(height[start:].max()))


def _exponent(steps: NDArray[np.float64], allowance: float) -> float:
    """The positive root of E exp(root * step) = 1 (Lundberg's exponent); twice the allowance for a normal step."""
    low, high = 0.0, 4 * allowance
    if steps.max() <= 0:
        return 2 * allowance
    while np.exp(high * steps).mean() < 1:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(middle * steps).mean() < 1 else (low, middle)
    return high


def _burstiness(steps: NDArray[np.float64]) -> float:
    """How much more the means of blocks vary than those of independent losses would, beyond its own error."""
    length = int(sqrt(steps.size))
    blocks = steps.size // length
    if blocks < 5 or not steps.std() > 0:
        return 1.0
    means = steps[: blocks * length].reshape(blocks, length).mean(axis=1)
    ratio = float(means.var(ddof=1)) * length / float(steps.var())
    return max(1.0, ratio / (1 + 2 * sqrt(2 / (blocks - 1))))


def _run_length(height: float, exponent: float, allowance: float, *, off: float) -> float:
    """Siegmund's mean number of records until the sum reaches `height` without a change.

    `off` is by how much the mean really lies above the reference's, in standard deviations.
    """
    left = allowance - off
    left = left if abs(left) > allowance / 1000 else allowance / 1000  # the formula's limit at zero, well enough
    exponent *= left / allowance
    reach = min(exponent * (height + 1.166), 700.0)  # 1.166: the mean overshoot of both borders; exp(700) is endless
    return (expm1(reach) - reach) / (exponent * left)
