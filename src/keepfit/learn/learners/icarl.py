"""ICaRL: incremental classifier and representation learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.core.errors import Refused
from keepfit.core.nouns import Memory
from keepfit.learn.learners.fine_tune import FineTune

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class ICaRL(FineTune):
    """Learn features from new rows and exemplars, answer by the nearest mean of exemplars; `rows` of them at most.

    Rebuffi et al., iCaRL: incremental classifier and representation learning, 2017: every class by itself as yes or no,
    old classes as likely as the parent said (algorithm 3), exemplars by herding (algorithms 4 and 5), the nearest mean
    of features of length one (algorithm 1). Old are the classes that the Lesson has no rows of.
    """

    rows: int = 2000

    def begin(self, study: Study) -> None:
        """Ask the parent once about every row."""
        import torch

        if not study.network.classifies:
            raise Refused("ICaRL knows classes only; take another learner for numbers", code="not_a_classifier")
        targets = torch.nn.functional.one_hot(study.y, len(study.network.classes_)).float()
        if study.parent is not None:
            old = torch.tensor(study.parent.seen_, device=study.x.device)
            old[study.y[study.old :]] = False
            with torch.no_grad():
                said = study.parent.module_.eval()(study.x).sigmoid()
            targets = torch.where(old, said, targets)
        study.kept["targets"] = targets

    def passed(self, study: Study) -> NDArray[np.int64]:
        """New rows and exemplars together."""
        return study.every

    def loss(self, study: Study, batch: Batch) -> Tensor:
        """The sum over classes of the binary cross-entropy, the mean over rows."""
        from torch.nn import functional

        wanted = study.kept["targets"].index_select(0, batch.fresh)
        entropy = functional.binary_cross_entropy_with_logits(study.outputs(batch.fresh), wanted, reduction="none")
        return entropy.sum(dim=1).mean()

    def remember(self, study: Study) -> Memory:
        """The exemplars; the network gets their means to answer by."""
        from keepfit.learn.deep import selection

        places, ranks = selection.herds(study, self.rows)
        study.network.means_ = selection.means(study, places)
        return study.remembered(type(self).__name__, places, {"_key": ranks})
