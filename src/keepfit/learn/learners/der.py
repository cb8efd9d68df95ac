"""DER: dark experience replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.learn.learners.replay import Replay

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class DER(Replay):
    """Dark experience replay: the loss, plus `alpha` · |scores - remembered scores|² on remembered rows.

    Buzzega et al., Dark experience for general continual learning, 2020, eq. 6. The scores remembered of a row are
    those the network gives when its Lesson ends. The paper takes them on the way, where nobody says when a lesson ends;
    here an Update is one, and the scores of early passes teach worse (0.50 beside 0.64 on split digits).
    """

    alpha: float = 1.0

    def begin(self, study: Study) -> None:
        """Take the remembered scores out of the memory."""
        import torch

        if study.old:
            scores = study.column("_logits").astype("float32")
            study.kept["scores"] = torch.from_numpy(scores).to(study.x.device)

    def loss(self, study: Study, batch: Batch) -> Tensor:
        """The loss of the batch, and how far what was drawn is from what was answered then (mean of squares)."""
        outputs = study.outputs(batch.every)
        fresh = len(batch.fresh)
        loss = study.loss(outputs[:fresh], batch.fresh)
        return loss + self.distant(study, outputs[fresh:], batch.drawn) if len(batch.drawn) else loss

    def distant(self, study: Study, outputs: Tensor, drawn: Tensor) -> Tensor:
        """What is added for remembered rows."""
        from torch.nn import functional

        return self.alpha * functional.mse_loss(outputs, study.kept["scores"].index_select(0, drawn))

    def own(self, study: Study, places: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """The scores remembered: those there were, and of new rows the network's as it is now."""
        import torch

        chosen = torch.from_numpy(places).to(study.x.device)
        with torch.no_grad():
            scores = study.outputs(chosen)
        if study.old:
            scores[chosen < study.old] = study.kept["scores"][chosen[chosen < study.old]]
        return {"_logits": scores.cpu().numpy()}
