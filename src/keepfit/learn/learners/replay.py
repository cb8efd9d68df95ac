"""Replay: learn new rows beside remembered ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from keepfit.core.nouns import Memory
from keepfit.learn.learners.fine_tune import FineTune

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keepfit.learn.deep.study import Study


class Keep(StrEnum):
    """Which rows are remembered.

    RESERVOIR: a uniform sample of all rows ever seen. BALANCED: equally many of each class, uniform within it. HERDING:
    equally many of each class, those whose mean feature is nearest to the class's (iCaRL).
    """

    RESERVOIR = "reservoir"
    BALANCED = "balanced"
    HERDING = "herding"


@dataclass(frozen=True)
class Replay(FineTune):
    """Experience replay: beside every batch as many remembered rows, or `replayed` of them, drawn at random.

    Chaudhry et al., On tiny episodic memories in continual learning, 2019. At most `rows` are remembered. They are
    chosen when a lesson ends: its own rows need no replay while they are all at hand.
    """

    rows: int = 1000
    keep: Keep = Keep.RESERVOIR
    replayed: int = 0

    def drawn(self, study: Study) -> int:
        """As many as the batch has, unless said otherwise."""
        return self.replayed or study.network.batch

    def remember(self, study: Study) -> Memory:
        """The rows kept, with the keys they are chosen by."""
        from keepfit.learn.deep.selection import selected

        places, keys = selected(study, self.keep, self.rows)
        return study.remembered(type(self).__name__, places, {"_key": keys, **self.own(study, places)})

    def own(self, study: Study, places: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """More columns to remember of the rows kept."""
        return {}
