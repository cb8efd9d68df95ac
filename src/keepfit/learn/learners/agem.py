"""AGEM: averaged gradient episodic memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.learn.learners.replay import Replay

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class AGEM(Replay):
    """Turn every step that would raise the loss on rows drawn from memory so that it no longer does.

    Chaudhry et al., Efficient lifelong learning with A-GEM, 2019, eq. 11: g - (gᵀr / rᵀr) r where gᵀr < 0, r the
    gradient on the rows drawn.
    """

    def loss(self, study: Study, batch: Batch) -> Tensor:
        """The loss of the batch alone."""
        return study.loss(study.outputs(batch.fresh), batch.fresh)

    def correct(self, study: Study, batch: Batch) -> None:
        """Project where the two gradients disagree."""
        from keepfit.learn.deep.projection import agreeing

        if not len(batch.drawn):
            return
        own = study.gradient.clone()
        study.gradient.zero_()
        study.loss(study.outputs(batch.drawn), batch.drawn).backward()
        study.gradient.copy_(agreeing(own, study.gradient))
