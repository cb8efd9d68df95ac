"""LwF: learning without forgetting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.learn.learners.fine_tune import FineTune

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class LwF(FineTune):
    """The loss, plus `strength` · the distance of the answers for the old classes from those of the parent.

    Li and Hoiem, Learning without forgetting, 2016, eq. 2 and 3: on the new rows, at `temperature` T; times T², so that
    gradients keep their size (Hinton et al., 2015). With heads, each earlier task is distilled by itself.

    A single head that `grows` with its classes is taught as by van de Ven and Tolias, Three scenarios for continual
    learning, 2019: s · loss + (1 - s) · `strength` · distance, both among the classes seen so far, of which the parent
    gives the new ones nothing; s is the part of them that the Lesson has (1/k in the k-th of equal lessons). As in
    their first code the distance is a mean over those classes too.
    """

    strength: float = 1.0
    temperature: float = 2.0
    grows: bool = False

    def begin(self, study: Study) -> None:
        """Ask the parent once about every row of the Lesson."""
        import torch

        parent = study.parent
        grown = self.grows and study.network.classifies and study.network.heads is None
        if grown:
            study.kept["closed"] = study.network.unseen()
            study.kept["share"] = torch.tensor(study.y.unique().numel() / float(study.network.seen_.sum()))
        if parent is None:
            return
        if parent.classifies and not grown:
            groups = parent.seen_[None] if parent.heads is None else parent.groups_
            names = {f"group {number}": group.nonzero()[0] for number, group in enumerate(groups)}
            study.kept |= {name: torch.from_numpy(places).to(study.x.device) for name, places in names.items()}
        with torch.no_grad():
            before = parent.module_.eval()(study.x)
        study.kept["before"] = before + parent.unseen() if grown else before

    def loss(self, study: Study, batch: Batch) -> Tensor:
        """The loss of the batch and its distance from the parent's answers."""
        outputs = study.outputs(batch.fresh) + study.kept.get("closed", 0.0)
        loss = study.loss(outputs, batch.fresh)
        if study.parent is None:
            return loss
        before = study.kept["before"].index_select(0, batch.fresh)
        if "closed" in study.kept:
            share, seen = study.kept["share"], int(study.network.seen_.sum())
            return share * loss + (1 - share) * self.strength / seen * self.distance(outputs, before)
        groups = [group for name, group in study.kept.items() if name.startswith("group")]
        if not groups:
            return loss + self.strength * (outputs - before).square().mean()
        distances = [self.distance(outputs[:, group], before[:, group]) for group in groups]
        return loss + self.strength * sum(distances[1:], distances[0])

    def distance(self, now: Tensor, before: Tensor) -> Tensor:
        """T² · KL(softmax(before / T) ‖ softmax(now / T)), the mean over rows."""
        from torch.nn import functional

        t = self.temperature
        wanted, found = (before / t).log_softmax(dim=1), (now / t).log_softmax(dim=1)
        return t * t * functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
