"""The detector that chooses by the kind of the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.detectors.chi_square import ChiSquare
from keepfit.watch.detectors.ks import KS
from keepfit.watch.samples import SILENT, has_few_values, is_categorical


@dataclass(frozen=True)
class Auto:
    """KS for numbers, ChiSquare for text, booleans, and numbers of few different values.

    >>> import numpy as np
    >>> Auto().score(np.array([0, 1] * 50), np.array([0, 0, 0, 1] * 25)) == ChiSquare().score(
    ...     np.array([0, 1] * 50), np.array([0, 0, 0, 1] * 25)
    ... )
    True
    """

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if not reference.size or not window.size:
            return SILENT
        if is_categorical(reference) or is_categorical(window) or has_few_values(reference, window):
            return ChiSquare().score(reference, window)
        return KS().score(reference, window)
