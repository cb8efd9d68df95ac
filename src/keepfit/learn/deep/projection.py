"""Projection: the gradient nearest to one that does not raise what it must not raise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SWEEPS = 1000
_CLOSE = 1e-10


def agreeing(own: Tensor, reference: Tensor) -> Tensor:
    """A-GEM, eq. 11: `own` without its part against `reference`."""
    product = torch.dot(own, reference)
    if product >= 0:
        return own
    return own - (product / torch.dot(reference, reference)) * reference


def nearest(own: Tensor, others: Tensor, margin: float) -> Tensor:
    """GEM, eq. 11: Gᵀ v + g with v = argmin ½ vᵀ G Gᵀ v + gᵀ Gᵀ v over v ≥ margin; g itself where it agrees with all.

    `others` is G, (k, p), one gradient a row.
    """
    products = others @ own
    if bool((products >= 0).all()):
        return own
    square = (others @ others.T).double().cpu().numpy()
    v = bounded(square, products.double().cpu().numpy(), margin)
    return own + others.T @ torch.from_numpy(v).to(own)


def bounded(square: NDArray[np.float64], linear: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """argmin over v ≥ `least` of ½ vᵀ S v + lᵀ v, by coordinates in turn; S (k, k) is positive semidefinite.

    >>> bounded(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([-4.0, 1.0]), 0.5).tolist()
    [2.0, 0.5]
    """
    v = np.full(len(linear), least)
    scale = max(float(np.diag(square).max(initial=0.0)), 1e-30)
    for _ in range(_SWEEPS):
        before = v.copy()
        for place in range(len(v)):
            slope = float(square[place] @ v + linear[place])
            v[place] = max(least, v[place] - slope / max(float(square[place, place]), 1e-12 * scale))
        if np.abs(v - before).max() <= _CLOSE * max(1.0, float(np.abs(v).max())):
            break
    return v
