"""Adapter: learn a low-rank change of every linear layer, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.core.nouns import Memory
from keepfit.learn.learners.fine_tune import FineTune

if TYPE_CHECKING:
    from keepfit.learn.deep.study import Study


@dataclass(frozen=True)
class Adapter(FineTune):
    """Every linear layer's weights W become W + `alpha` / `rank` · B A; only A and B are learnt, B from nought.

    Hu et al., LoRA: low-rank adaptation of large language models, 2021, section 4.1. When the Lesson ends the change is
    added to the weights: what is served is as large and as quick as before. The first Lesson is an ordinary one.
    """

    rank: int = 4
    alpha: float = 8.0

    def begin(self, study: Study) -> None:
        """Freeze what the parent learnt, and put the changes beside it."""
        from keepfit.learn.deep.low_rank import adapt

        if study.parent is not None:
            adapt(study.module, self.rank, self.alpha / self.rank)
            study.arm()

    def remember(self, study: Study) -> Memory | None:
        """Nothing; the changes become part of the weights."""
        from keepfit.learn.deep.low_rank import merge

        if study.parent is not None:
            merge(study.module)
        return None
