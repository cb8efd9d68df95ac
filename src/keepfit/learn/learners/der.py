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
    those the network gave in a pass over it which is drawn at random, so they come from all along the way.
    """

    alpha: float = 0.5

    def begin(self, study: Study) -> None:
        """Make room for the scores of every row; those of remembered rows are there already."""
        import torch

        outputs = len(study.network.classes_) if study.network.classifies else 1
        scores = torch.full((len(study.y), outputs), torch.nan, device=study.x.device)
        if study.old:
            scores[: study.old] = torch.from_numpy(study.column("_logits").astype("float32")).to(scores.device)
        wanted = study.random(_PASSES).integers(0, study.passes(len(study.fresh)), len(study.y))
        study.kept |= {"scores": scores, "left": torch.from_numpy(wanted).to(scores.device)}
        study.lasting |= {"scores", "left"}

    def loss(self, study: Study, batch: Batch) -> Tensor:
        """The loss of the batch, and how far what was drawn is from what was answered then (mean of squares)."""
        outputs = study.outputs(batch.every)
        fresh = len(batch.fresh)
        self.note(study, batch.fresh, outputs[:fresh])
        loss = study.loss(outputs[:fresh], batch.fresh)
        return loss + self.distant(study, outputs[fresh:], batch.drawn) if len(batch.drawn) else loss

    def distant(self, study: Study, outputs: Tensor, drawn: Tensor) -> Tensor:
        """What is added for remembered rows."""
        from torch.nn import functional

        return self.alpha * functional.mse_loss(outputs, study.kept["scores"].index_select(0, drawn))

    def note(self, study: Study, places: Tensor, outputs: Tensor) -> None:
        """Keep the scores of the rows whose drawn pass this is, and of those which had theirs, no more."""
        left = study.kept["left"].index_select(0, places)
        due = left >= 0
        study.kept["scores"][places[due]] = outputs.detach()[due]
        study.kept["left"][places] = left - 1

    def own(self, study: Study, places: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """The scores remembered; of rows that no batch came to, those of the network as it is now."""
        import torch

        chosen = torch.from_numpy(places).to(study.x.device)
        scores = study.kept["scores"].index_select(0, chosen)
        with torch.no_grad():
            now = study.outputs(chosen) if scores.isnan().any() else scores
        return {"_logits": torch.where(scores.isnan(), now, scores).cpu().numpy()}


_PASSES = 10**9 + 3
"""A purpose of random numbers that is no epoch."""
