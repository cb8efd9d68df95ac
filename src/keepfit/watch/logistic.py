"""Logistic regression by Newton's method, so that a classifier needs no more than numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fit(
    features: NDArray[np.float64],
    truth: NDArray[np.float64],
    *,
    times: NDArray[np.float64] | None = None,
    penalty: float = 1.0,
    steps: int = 25,
) -> NDArray[np.float64]:
    """The weights, the intercept last, that minimise the summed log-loss plus `penalty` / 2 times their square.

    The intercept is free of the penalty. `features` has shape (n, d), `truth` holds 0 and 1; each row counts so many
    `times`, once where these are not given.
    """
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    ridge = np.full(rows.shape[1], penalty)
    ridge[-1] = 1e-9  # keeps the system solvable where only one class is there
    weights = np.zeros(rows.shape[1])
    many = np.ones(len(rows)) if times is None else times
    for _ in range(steps):
        chance = expected(features, weights)
        slope = rows.T @ (many * (chance - truth)) + ridge * weights
        bent = rows * np.sqrt(many * chance * (1 - chance))[:, None]
        curve = bent.T @ bent + np.diag(ridge + 1e-12)  # with itself: half the work
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if float(np.abs(step).max()) < 1e-10:
            break
    return weights


def expected(features: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance of 1 for each row."""
    logits = np.clip(features @ weights[:-1] + weights[-1], -500, 500)
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return chance
