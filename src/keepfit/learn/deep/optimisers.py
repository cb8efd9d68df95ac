"""Optimisers: what follows the gradients, and what of it goes from one Lesson to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from keepfit.learn.deep.network import Network

NAMES = ("adam", "adamw", "sgd")


def optimiser(network: Network, parameters: list[Tensor]) -> Any:
    """The Network's optimiser of some parameters."""
    shared: dict[str, Any] = {"lr": network.lr, "weight_decay": network.weight_decay, "fused": True}
    if network.optimiser == "sgd":
        return torch.optim.SGD(parameters, momentum=network.momentum, **shared)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[network.optimiser](parameters, **shared)


def moments(used: Any) -> dict[str, NDArray[Any]]:
    """What an optimiser of one vector has gathered, by name; nothing before its first step."""
    found = used.state_dict()["state"].get(0, {})
    return {name: value.cpu().numpy().copy() for name, value in found.items() if isinstance(value, Tensor)}


def take_up(fresh: Any, gathered: dict[str, NDArray[Any]]) -> None:
    """Let a new optimiser of one vector go on with what another gathered, unless that was of another vector."""
    state = fresh.state_dict()
    vector = fresh.param_groups[0]["params"][0]
    if gathered and all(values.size in (1, vector.numel()) for values in gathered.values()):
        state["state"] = {0: {name: torch.tensor(values) for name, values in gathered.items()}}
        fresh.load_state_dict(state)
