"""Curves: what learning from all rows will bring and cost, told from learning from a few of them.

Losses of most learners fall with the number of rows n as `a + b * n ** -c` (Hestness et al. 2017, arXiv:1712.00409;
Viering and Loog 2022, arXiv:2103.10948). Extrapolating from two or three small trainings before the whole is paid for
is the micro-profiling of Ekya (Bhardwaj et al., NSDI 2022, section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_POWERS = (0.25, 0.5, 1.0)  # what c is in practice; three points cannot tell it more finely


@dataclass(frozen=True)
class Trial:
    """A small training: on how many rows, the loss it came to on rows held out, and its seconds of processor time."""

    rows: int
    loss: float
    cpu_seconds: float


@dataclass(frozen=True)
class Outlook:
    """What the whole training is expected to come to, and to cost in seconds of processor time."""

    loss: float
    cpu_seconds: float


def extrapolate(trials: Sequence[Trial], rows: int) -> Outlook:
    """The outlook for `rows` rows from at least two trials of different sizes; ValueError with fewer.

    A loss that does not fall with the rows is expected to stay what it is; so is a cost that does not grow.

    >>> trials = [Trial(rows, 0.1 + rows**-0.5, 0.5 + rows / 1000) for rows in (100, 400, 900)]
    >>> outlook = extrapolate(trials, 10_000)
    >>> round(outlook.loss, 6), round(outlook.cpu_seconds, 6)
    (0.11, 10.5)
    """
    if len({trial.rows for trial in trials}) < 2:
        raise ValueError(f"expected trials of two sizes or more, found {[trial.rows for trial in trials]}")
    sizes = np.array([trial.rows for trial in trials], np.float64)
    losses = np.array([trial.loss for trial in trials], np.float64)
    spent = np.array([trial.cpu_seconds for trial in trials], np.float64)
    fits = [(power, *_line(sizes**-power, losses)) for power in _POWERS]
    power, floor, slope, _ = min(fits, key=lambda fit: fit[3])
    base, rate, _ = _line(sizes, spent)
    return Outlook(floor + slope * rows**-power, base + rate * rows)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Least squares of `y = a + b x` with neither below zero where `y` is not: a, b, and the sum of squares left."""
    centred = x - x.mean()
    b = max(0.0, float(centred @ (y - y.mean()) / (centred @ centred)))
    a = float(y.mean() - b * x.mean())
    if a < 0.0 <= float(y.min()):
        a, b = 0.0, float(x @ y / (x @ x))
    return a, b, float(((a + b * x - y) ** 2).sum())
