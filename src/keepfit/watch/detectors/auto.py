"""The detector that chooses by the kind of the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from keepfit.core.nouns import Score
from keepfit.watch.cells import of_categories
from keepfit.watch.detectors.chi_square import scored
from keepfit.watch.detectors.ks import KS
from keepfit.watch.pooled import Pooled
from keepfit.watch.samples import SILENT, by_value


@dataclass(frozen=True)
class Auto:
    """KS for numbers, ChiSquare for text, booleans, and numbers of few different values.

    >>> import numpy as np
    >>> from keepfit.watch.detectors import ChiSquare
    >>> Auto().score(np.array([0, 1] * 50), np.array([0, 0, 0, 1] * 25)) == ChiSquare().score(
    ...     np.array([0, 1] * 50), np.array([0, 0, 0, 1] * 25)
    ... )
    True
    """

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples; see Detector."""
        if not reference.size or not window.size:
            return SILENT
        counts = by_value(reference, window)
        return KS().score(reference, window) if counts is None else scored(of_categories(counts))

    def compare(self, both: Pooled) -> Score:
        """The same of samples that have been counted."""
        if not all(both.sizes):
            return SILENT
        return scored(of_categories(both.counts)) if both.is_few else KS().compare(both)
