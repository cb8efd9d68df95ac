"""Bodies: what a module computes below its last linear layer, and classification by the nearest mean of that."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from keepfit.core.errors import Refused


def head(module: nn.Module) -> nn.Linear:
    """The last linear layer; Refused where there is none."""
    found = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if not found:
        raise Refused("the module has no linear layer, below which its features could be taken")
    return found[-1]


def features(module: nn.Module, rows: Tensor) -> Tensor:
    """What the last linear layer is given, of length one, (n, width)."""
    caught: list[Tensor] = []
    hook = head(module).register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        module(rows)
    finally:
        hook.remove()
    return nn.functional.normalize(caught[-1].flatten(1), dim=1)


class NearestMean(nn.Module):
    """Scores of classes that order as minus the distance to their means; a class without a mean (NaN) is never nearest.

    |f - m|² = |f|² - 2 f·m + |m|², of which the first is the same for every class.
    """

    def __init__(self, module: nn.Module, means: Tensor) -> None:
        super().__init__()
        self.module = module
        self.means = torch.nan_to_num(means)
        self.offsets = torch.where(means.isnan().any(dim=1), torch.tensor(1e9), self.means.square().sum(dim=1))

    def forward(self, rows: Tensor) -> Tensor:
        """Scores of shape (n, classes)."""
        return 2.0 * features(self.module, rows) @ self.means.T - self.offsets
