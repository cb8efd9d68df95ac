"""Joint: learn all rows ever seen."""

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
class Cumulative(FineTune):
    """Go on from the parent with all rows seen so far, the newest `rows` of them at most."""

    rows: int = 1_000_000

    def passed(self, study: Study) -> NDArray[np.int64]:
        """All rows, remembered and new."""
        return study.every

    def remember(self, study: Study) -> Memory:
        """All rows, the oldest dropped where there are too many."""
        return study.remembered(type(self).__name__, study.every[-self.rows :], {})


@dataclass(frozen=True)
class Joint(Cumulative):
    """Learn all rows seen so far from scratch: what continual learning is measured against."""

    scratch: ClassVar[bool] = True
