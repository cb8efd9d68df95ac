"""Vector: all trainable parameters of a module as one tensor, and their gradients as another.

One tensor is one call for the optimiser in place of one per parameter, and what learners compute of parameters
(importances, projections, path integrals) is written as in the papers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flattened(module: nn.Module) -> tuple[Tensor, Tensor]:
    """The vector (p,), whose `grad` is the second, (p,); the module's parameters and their `grad` become views."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    vector = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    gradient = torch.zeros_like(vector)
    place = 0
    for parameter in parameters:
        end = place + parameter.numel()
        parameter.data = vector[place:end].view_as(parameter)
        parameter.grad = gradient[place:end].view_as(parameter)
        place = end
    vector.requires_grad_()
    vector.grad = gradient
    return vector, gradient


def released(module: nn.Module) -> None:
    """Let the gradients go."""
    for parameter in module.parameters():
        parameter.grad = None
