"""Scaling: mean and deviation of the first rows a network saw, which it keeps to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """What is taken off rows and numbers to predict, and what they are divided by; None leaves rows as they are."""

    mean: Doubles | None = None
    deviation: Doubles | None = None
    middle: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, X: NDArray[Any], y: NDArray[Any] | None, *, standardise: bool) -> Scaling:
        """The scaling of rows (n, ...) and, where they are numbers, of what is to be predicted (n,)."""
        if not standardise:
            return cls()
        known = np.isfinite(X)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, X, 0.0).sum(axis=0, dtype=np.float64) / count
        square = np.where(known, X - mean, 0.0) ** 2
        deviation = np.sqrt(square.sum(axis=0, dtype=np.float64) / count)
        scaled = cls(mean, np.where(deviation > 1e-12 * np.maximum(1.0, np.abs(mean)), deviation, 1.0))
        if y is None:
            return scaled
        numbers = y.astype(np.float64)
        return cls(scaled.mean, scaled.deviation, float(numbers.mean()), float(numbers.std()) or 1.0)

    def inputs(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Rows in single precision; a missing number is nought."""
        if self.mean is not None and self.deviation is not None:
            X = (X - self.mean.astype(X.dtype)) / self.deviation.astype(X.dtype)
        plain = np.ascontiguousarray(X, dtype=np.float32)
        return np.where(np.isnan(plain), np.float32(0), plain) if np.isnan(plain).any() else plain

    def targets(self, y: NDArray[Any]) -> NDArray[np.float32]:
        """Numbers to predict, scaled."""
        return ((y.astype(np.float64) - self.middle) / self.spread).astype(np.float32)

    def numbers(self, predicted: NDArray[Any]) -> Doubles:
        """The inverse of `targets`."""
        return predicted.astype(np.float64) * self.spread + self.middle
