"""Low rank: changes of linear layers by the product of two thin matrices."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from keepfit.core.errors import Refused


class LowRank(nn.Module):
    """W + scale · B A, with A (rank, in) drawn as a linear layer's weights are, and B (out, rank) nought."""

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, weight.shape[1], device=weight.device))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weights, of the same shape."""
        return weight + self.scale * (self.up @ self.down)


def adapt(module: nn.Module, rank: int, scale: float) -> None:
    """Freeze all parameters and change every linear layer by so low a rank; Refused where there is none."""
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if not layers:
        raise Refused("the module has no linear layer that could be adapted; take another learner")
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, scale))


def merge(module: nn.Module) -> None:
    """Make the changes part of the weights, which can all be trained again."""
    for part in module.modules():
        if isinstance(part, nn.Linear) and parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
