"""Performance without labels, from the model's own confidence."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.samples import SILENT, is_categorical, numbers


@dataclass(frozen=True)
class Confidence:
    """Whether the accuracy that the predicted probabilities promise has changed, without a label.

    Reference and window are probabilities of the positive class, or of the predicted one. Of probabilities that mean
    what they say, max(p, 1 - p) is the expected accuracy (Guillory et al. 2021, difference of confidences); the
    statistic is its change, the p-value Welch's two-sided one, the effect the change's size. A fall of accuracy that
    the model does not know of (concept drift) cannot be seen so.

    >>> round(Confidence().score(np.full(50, 0.9), np.tile([0.6, 0.8], 25)).statistic, 6)
    -0.2
    """

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        """Compare two samples of probabilities; see Detector. SpecInvalid where they are none."""
        old, new = _promised(reference), _promised(window)
        if min(old.size, new.size) < 2:
            return SILENT
        change = float(new.mean() - old.mean())
        spread = sqrt(float(old.var(ddof=1)) / old.size + float(new.var(ddof=1)) / new.size)
        if spread == 0:
            return SILENT if change == 0 else Score(change, 0.0, abs(change))
        return Score(change, erfc(abs(change) / spread / sqrt(2)), abs(change))


def _promised(values: NDArray[Any]) -> NDArray[np.float64]:
    if is_categorical(values):
        raise SpecInvalid("Confidence reads probabilities, and this subject is text or true/false; use Auto")
    known = numbers(values)
    known = known[~np.isnan(known)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise SpecInvalid(
            f"Confidence reads probabilities, 0 to 1; this subject reaches from {known.min():g} to {known.max():g}; "
            "watch an output that is a probability, or use Auto"
        )
    return np.maximum(known, 1 - known)
