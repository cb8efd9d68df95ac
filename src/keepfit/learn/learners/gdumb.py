"""GDumb: learn from the memory alone, from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from keepfit.core.nouns import Memory
from keepfit.learn.learners.fine_tune import FineTune

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keepfit.learn.deep.study import Study


@dataclass(frozen=True)
class GDumb(FineTune):
    """Let rows in greedily so that classes are balanced, then learn from those `rows` alone, from scratch.

    Prabhu et al., GDumb: a simple approach that questions our progress in continual learning, 2020. The network's own
    optimiser takes the place of their schedule and CutMix. Once every class has its share, no more rows of it are let
    in: it learns new classes, and is deaf to a drift of old ones.
    """

    rows: int = 1000
    scratch: ClassVar[bool] = True

    def passed(self, study: Study) -> NDArray[np.int64]:
        """The rows let in by now."""
        from keepfit.learn.deep import keeping, selection

        return keeping.greedy(selection.codes(study), study.old, self.rows, study.random(_ROOM))

    def remember(self, study: Study) -> Memory:
        """The rows it learnt from."""
        return study.remembered(type(self).__name__, self.passed(study), {})


_ROOM = 10**9 + 4
"""A purpose of random numbers that is no epoch."""
