"""OnlineEWC: elastic weight consolidation around the latest parameters alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.learn.learners.anchored import Anchored

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Study


@dataclass(frozen=True)
class OnlineEWC(Anchored):
    """Elastic weight consolidation that forgets gracefully: F ← `decay` · F + F_k, around the latest θ*.

    Schwarz et al., Progress & compress, 2018, eq. 8 and 9.
    """

    strength: float = 100.0
    decay: float = 1.0
    samples: int = 1000

    def settled(self, study: Study) -> tuple[Tensor, Tensor]:
        """The decayed sum of Fisher diagonals, and the parameters as they are now."""
        from keepfit.learn.deep.importance import fisher

        new, here = fisher(study, self.samples), study.vector.detach().clone()
        old = study.kept.get("importance")
        return (new if old is None else self.decay * old + new), here
