"""Accuracies: what a learner knows of everything, after everything it learnt, and the measures taken of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan, sqrt
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

MEASURES: dict[str, tuple[str, bool]] = {
    "ACC": ("accuracy on all experiences after the last", True),
    "BWT": ("backward transfer: what learning more did to what was learnt before", True),
    "FWT": ("forward transfer: accuracy on what is still to come, beyond chance", True),
    "forgetting": ("the best accuracy there was on an experience, less the last", False),
    "anytime": ("accuracy on all experiences so far, averaged over time", True),
    "ahead": ("accuracy on each experience when it comes, before it is learnt", True),
}
"""The measures by name: what each says, and whether more is better."""


@dataclass(frozen=True)
class Accuracies:
    """The accuracy matrix: `rows[i][j]` is the accuracy on experience j after experience i was learnt.

    `chance` has, by experience, what is right without knowing anything. Labels of experience j are known `delay`
    experiences later. Where a measure needs two experiences and there is one, it is NaN.
    """

    rows: tuple[tuple[float, ...], ...]
    chance: tuple[float, ...]
    delay: int = 0

    @cached_property
    def _matrix(self) -> NDArray[np.float64]:
        return np.array(self.rows, dtype=np.float64)

    @property
    def acc(self) -> float:
        """The mean of the last row (Lopez-Paz and Ranzato 2017, "average accuracy").

        >>> Accuracies(((0.9, 0.1), (0.5, 0.7)), (0.1, 0.1)).acc
        0.6
        """
        return float(self._matrix[-1].mean())

    @property
    def bwt(self) -> float:
        """The mean over all but the last experience of its last accuracy less its first (Lopez-Paz and Ranzato 2017).

        >>> Accuracies(((0.9, 0.1), (0.5, 0.7)), (0.1, 0.1)).bwt
        -0.4
        """
        R = self._matrix
        return float((R[-1, :-1] - R.diagonal()[:-1]).mean()) if len(R) > 1 else nan

    @property
    def fwt(self) -> float:
        """The mean over all but the first experience of its accuracy just before it is learnt, less chance.

        Lopez-Paz and Ranzato (2017) take the accuracy of a model at random initialisation off; chance is what that is
        on average, and what estimators that cannot answer before they have learnt have as well.
        """
        R, chance = self._matrix, np.array(self.chance)
        return float((R.diagonal(1) - chance[1:]).mean()) if len(R) > 1 else nan

    @property
    def forgetting(self) -> float:
        """The mean over all but the last experience of its best accuracy before the end less its last one.

        Chaudhry et al., "Riemannian walk for incremental learning" (2018).
        """
        R = self._matrix
        return float((R[:-1, :-1].max(axis=0) - R[-1, :-1]).mean()) if len(R) > 1 else nan

    @property
    def anytime(self) -> float:
        """The mean over time of the mean accuracy on all experiences so far.

        "Average anytime accuracy" of Caccia et al., "New insights on reducing abrupt representation change in online
        continual learning" (2022).
        """
        return fmean(float(row[: place + 1].mean()) for place, row in enumerate(self._matrix))

    @property
    def ahead(self) -> float:
        """The mean accuracy on each experience by the model that was there when it came, late labels included.

        The prequential accuracy of Gama, Sebastião and Rodrigues, "On evaluating stream learning algorithms" (2013), in
        blocks.
        """
        late = 1 + self.delay
        return float(self._matrix.diagonal(late).mean()) if len(self._matrix) > late else nan

    def measures(self) -> dict[str, float]:
        """Every measure by the name it has in MEASURES."""
        return {name: getattr(self, name.lower()) for name in MEASURES}


@dataclass(frozen=True)
class Interval:
    """The mean of `n` values and, from two on, Student's 95 % interval of it; without, its bounds are NaN."""

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """The interval of some values.

        >>> found = Interval.of([1.0, 2.0, 3.0])
        >>> found.mean, round(found.low, 3), round(found.high, 3)
        (2.0, -0.484, 4.484)
        """
        found, n = np.array(values, dtype=np.float64), len(values)
        mean = float(found.mean())
        if n < 2:
            return cls(mean, nan, nan, n)
        half = _student(n - 1) * float(found.std(ddof=1)) / sqrt(n)
        return cls(mean, mean - half, mean + half, n)


def _student(freedom: int) -> float:
    """The 97.5 % point of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))
