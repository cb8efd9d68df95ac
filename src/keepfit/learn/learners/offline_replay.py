"""OfflineReplay: remembered rows as more data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.learn.learners.replay import Replay

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keepfit.learn.deep.study import Study


@dataclass(frozen=True)
class OfflineReplay(Replay):
    """Replay in which remembered and new rows are one heap, passed over together: each row counts once an epoch.

    Robins, Catastrophic forgetting, rehearsal and pseudorehearsal, 1995 (random rehearsal, offline).
    """

    def drawn(self, study: Study) -> int:
        """None beside the batches: they are in them."""
        return 0

    def passed(self, study: Study) -> NDArray[np.int64]:
        """All rows, remembered and new."""
        return study.every
