"""EWC: elastic weight consolidation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.learn.learners.anchored import Anchored

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Study


@dataclass(frozen=True)
class EWC(Anchored):
    """Elastic weight consolidation: Σ_k `strength` / 2 · F_k (θ - θ*_k)² over all earlier lessons k.

    Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, 2017, eq. 3; F_k is the diagonal of the
    Fisher information on `samples` rows. A sum of parabolas is a parabola: F = Σ F_k around the mean of the θ*_k that
    they weigh, so the penalties of all lessons are kept in the room of one.
    """

    strength: float = 100.0
    samples: int = 1000

    def settled(self, study: Study) -> tuple[Tensor, Tensor]:
        """The sum of all Fisher diagonals, and the mean of all anchors weighed by them."""
        from keepfit.learn.deep.importance import fisher

        new, here = fisher(study, self.samples), study.vector.detach().clone()
        if "anchor" not in study.kept:
            return new, here
        old, anchor = study.kept["importance"], study.kept["anchor"]
        total = old + new
        mean = (old * anchor + new * here) / total.clamp_min(1e-30)
        return total, mean.where(total > 0, here)
