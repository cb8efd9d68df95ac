"""SI: synaptic intelligence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from keepfit.learn.learners.anchored import Anchored

if TYPE_CHECKING:
    from torch import Tensor

    from keepfit.learn.deep.study import Batch, Study


@dataclass(frozen=True)
class SI(Anchored):
    """Synaptic intelligence: `strength` · Σ Ω (θ - θ*)², Ω what each parameter did for the loss on its way.

    Zenke et al., Continual learning through synaptic intelligence, 2017: ω = -Σ_t g(t) · Δθ(t) along the path of a
    Lesson (eq. 3), Ω = Σ_k ω_k / (Δ_k² + `damping`) (eq. 5), Δ_k how far the Lesson moved the parameter. g is the
    gradient of the loss alone, without the penalty; no importance is below nought.
    """

    strength: float = 1.0
    damping: float = 0.1
    pull: ClassVar[float] = 2.0

    def begin(self, study: Study) -> None:
        """Start the path where the Lesson begins."""
        super().begin(study)
        here = study.vector.detach()
        study.kept |= {"began": here.clone(), "before": here.clone(), "path": here.new_zeros(here.shape)}
        study.kept["slope"] = here.new_zeros(here.shape)
        study.lasting |= {"path", "before"}

    def correct(self, study: Study, batch: Batch) -> None:
        """Note the gradient of the loss, then add that of the penalty."""
        study.kept["slope"].copy_(study.gradient)
        super().correct(study, batch)

    def after(self, study: Study) -> None:
        """Go on along the path by the step just made."""
        before, here = study.kept["before"], study.vector.detach()
        study.kept["path"].addcmul_(study.kept["slope"], before.sub_(here))
        before.copy_(here)

    def settled(self, study: Study) -> tuple[Tensor, Tensor]:
        """The sum of all importances, and the parameters as they are now."""
        here = study.vector.detach().clone()
        new = (study.kept["path"] / ((here - study.kept["began"]).square() + self.damping)).clamp_min(0.0)
        old = study.kept.get("importance")
        return (new if old is None else old + new), here
