"""Deep: what learners of torch networks share; imported where a network is learnt or declared, never before."""

from keepfit.core.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401  # only to say which extra brings it
except ImportError as error:
    raise MissingExtra("torch", "torch") from error

from keepfit.learn.deep.network import MLP, Network

__all__ = ["MLP", "Network"]
