"""DERPlusPlus: dark experience replay that is told the labels as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.learn.learners.der import DER

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Study


@dataclass(frozen=True)
class DERPlusPlus(DER):
    """Dark experience replay, plus `beta` · the loss of other remembered rows under their labels.

    Buzzega et al., Dark experience for general continual learning, 2020, eq. 7.
    """

    alpha: float = 0.5
    beta: float = 1.0

    def drawn(self, study: Study) -> int:
        """Two batches of remembered rows: for the scores, and for the labels."""
        return 2 * super().drawn(study)

    def distant(self, study: Study, outputs: Tensor, drawn: Tensor) -> Tensor:
        """The first half is held against its scores, the second against its labels."""
        half = len(drawn) // 2
        by_label = study.loss(outputs[half:], drawn[half:])
        return super().distant(study, outputs[:half], drawn[:half]) + self.beta * by_label
