"""MAS: memory aware synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from keepfit.learn.learners.anchored import Anchored

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Study


@dataclass(frozen=True)
class MAS(Anchored):
    """Memory aware synapses: `strength` · Σ Ω (θ - θ*)², Ω how much a parameter moves the length of the scores.

    Aljundi et al., Memory aware synapses: learning what (not) to forget, 2018, eq. 2 to 4; Ω is summed over lessons,
    each estimated on `samples` rows, whose labels are not looked at. With `batch` the slope of so many rows together is
    taken, as Hsu et al. do it (2018): quicker, and weaker, since their signs cancel.
    """

    strength: float = 1.0
    samples: int = 1000
    batch: int = 1
    pull: ClassVar[float] = 2.0

    def settled(self, study: Study) -> tuple[Tensor, Tensor]:
        """The sum of all importances, and the parameters as they are now."""
        from keepfit.learn.deep.importance import sensitivity

        new, here = sensitivity(study, self.samples, self.batch), study.vector.detach().clone()
        old = study.kept.get("importance")
        return (new if old is None else old + new), here
