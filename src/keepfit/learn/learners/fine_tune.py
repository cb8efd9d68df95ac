"""FineTune: go on from the parent with the new rows alone; what every other deep learner adds something to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from keepfit.core.nouns import Learnt, Lesson, Memory

if TYPE_CHECKING:  # torch takes seconds to import, and a recipe is read where nothing is trained
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class FineTune:
    """Go on from the parent with the new rows alone: the naive baseline, which forgets.

    For Networks (`keepfit.learn.deep.Network`), as all learners that are made of it. A learner of one's own overrides
    what differs: `loss` for what is minimised, `correct` for what is done to the gradient, `passed` and `drawn` for
    which rows are learnt from, `remember` for what is carried to the next update.
    """

    scratch: ClassVar[bool] = False
    """Whether the parent is left aside and the network begins anew."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """A copy of the parent that has learnt the lesson; Refused (`diverged`) where the loss is no number."""
        from keepfit.learn.deep.study import taught

        return taught(self, estimator, lesson)

    def begin(self, study: Study) -> None:
        """Prepare what the steps need."""

    def passed(self, study: Study) -> NDArray[np.int64]:
        """The places of the rows that are passed over once an epoch."""
        return study.fresh

    def drawn(self, study: Study) -> int:
        """How many remembered rows are drawn beside each batch."""
        return 0

    def loss(self, study: Study, batch: Batch) -> Tensor:
        """What a step makes smaller: the loss of the batch and of what was drawn, each row counting the same."""
        return study.loss(study.outputs(batch.every), batch.every)

    def correct(self, study: Study, batch: Batch) -> None:
        """Change `study.gradient` before the optimiser follows it."""

    def after(self, study: Study) -> None:
        """Look at the step just made."""

    def remember(self, study: Study) -> Memory | None:
        """What is carried to the next update."""
        return None
