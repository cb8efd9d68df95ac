"""Calibration: probabilities that mean what they say, learnt from answers whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.watch.logistic import expected, fit

Floats = NDArray[np.float64]

_ENOUGH = 1000
"""From so many known answers on a free curve is steadier than a logistic one (Niculescu-Mizil & Caruana 2005)."""

_CLIP = 1e-6


@dataclass(frozen=True)
class Calibration:
    """A rising curve from what a model says to how often that came true: straight between its points."""

    said: Floats
    true: Floats

    def __call__(self, probability: Floats) -> Floats:
        """The calibrated probabilities, of the same shape."""
        found: Floats = np.interp(probability, self.said, self.true)
        return found


def calibrate(probability: Floats, truth: Floats) -> Calibration:
    """Learn from probabilities and truths (0 or 1): isotonic regression where there are many, Platt's logistic else.

    DataInvalid where there is no row, or lengths differ.
    """
    if not probability.size or probability.size != truth.size:
        raise DataInvalid(f"calibration: expected one truth per probability, found {truth.size} for {probability.size}")
    return _isotonic(probability, truth) if probability.size >= _ENOUGH else _platt(probability, truth)


def _isotonic(probability: Floats, truth: Floats) -> Calibration:
    """Pool adjacent violators (Ayer et al. 1955); a block stands at its mean probability with its mean truth."""
    said, place = np.unique(probability, return_inverse=True)
    rows = np.bincount(place).astype(np.float64)
    hits = np.bincount(place, weights=truth)
    blocks: list[list[float]] = []
    for value, count, hit in zip((said * rows).tolist(), rows.tolist(), hits.tolist(), strict=True):
        blocks.append([value, count, hit])
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][1] >= blocks[-1][2] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    summed = np.array(blocks)
    return Calibration(summed[:, 0] / summed[:, 1], summed[:, 2] / summed[:, 1])


def _platt(probability: Floats, truth: Floats) -> Calibration:
    """A logistic regression of the truth on the log-odds (Platt 1999), with his targets short of 0 and 1."""
    hits = float(truth.sum())
    targets = np.where(truth > 0, (hits + 1) / (hits + 2), 1 / (truth.size - hits + 2))
    weights = fit(_odds(probability)[:, None], targets, penalty=1e-3)
    grid = np.linspace(0.0, 1.0, 1001)
    curve = expected(_odds(grid)[:, None], weights)
    return Calibration(grid, curve if weights[0] >= 0 else np.full(grid.size, hits / truth.size))


def _odds(probability: Floats) -> Floats:
    kept = np.clip(probability, _CLIP, 1 - _CLIP)
    found: Floats = np.log(kept / (1 - kept))
    return found
