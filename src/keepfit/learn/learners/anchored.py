"""Anchored: hold parameters back from moving, each as much as it matters; what EWC, SI and MAS have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from keepfit.core.errors import Refused
from keepfit.core.nouns import Memory
from keepfit.learn.learners.fine_tune import FineTune

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class Anchored(FineTune):
    """The loss plus `pull` · `strength` / 2 · Σ Ω (θ - θ*)², whose gradient is `pull` · `strength` · Ω (θ - θ*).

    What is remembered are two numbers per parameter, however many lessons there were: the importance Ω and the
    anchor θ*.
    """

    strength: float = 1.0
    pull: ClassVar[float] = 1.0

    def begin(self, study: Study) -> None:
        """Take importance and anchor out of the memory."""
        import torch

        if study.memory is None or study.parent is None:
            return
        for name in ("importance", "anchor"):
            found = torch.from_numpy(study.memory.arrays[name].copy()).to(study.vector.device)
            if found.shape != study.vector.shape:
                raise Refused(
                    f"the memory is of {len(found):,} parameters, the network has {len(study.vector):,}; "
                    "begin again without memory",
                    code="memory_of_another_network",
                )
            study.kept[name] = found

    def correct(self, study: Study, batch: Batch) -> None:
        """Add the gradient of the penalty."""
        if "anchor" in study.kept:
            moved = study.vector.detach() - study.kept["anchor"]
            study.gradient.addcmul_(study.kept["importance"], moved, value=self.pull * self.strength)

    def remember(self, study: Study) -> Memory:
        """Importance and anchor after this Lesson."""
        import numpy as np

        importance, anchor = self.settled(study)
        arrays = {"importance": importance.cpu().numpy(), "anchor": anchor.cpu().numpy()}
        return Memory(type(self).__name__, None, {**arrays, "lessons": np.array([study.number + 1])})

    def settled(self, study: Study) -> tuple[Tensor, Tensor]:
        """The importance and the anchor, (p,) each, that the next Lesson is held to."""
        raise NotImplementedError(f"{type(self).__name__}.settled")
