"""Importance: how much each parameter matters to what a network does, one row at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from keepfit.learn.deep.study import Study

_ROWS, _LABELS = 10**9 + 1, 10**9 + 2
"""Purposes of random numbers."""


def fisher(study: Study, samples: int) -> Tensor:
    """The diagonal of the Fisher information, (p,), estimated on so many of the Lesson's rows.

    F = E_x E_{y~p(y|x,θ)} [(∂ log p(y|x,θ) / ∂θ)²]: the label is drawn from the network's own answer, not the row's
    (Kunstner et al., Limitations of the empirical Fisher approximation, 2019). Of a number to predict, whose density is
    normal around the output with deviation 1, E_y[(∂ log p)²] = (∂ f(x) / ∂θ)².
    """
    total = torch.zeros_like(study.gradient)
    draws = study.random(_LABELS)
    count = 0
    for place in _places(study, samples):
        outputs = study.outputs(place)
        if study.network.classifies:
            scores = study.open(outputs, place).log_softmax(dim=1)
            shares = scores.detach().double().exp().cpu().numpy()[0]
            label = min(int((shares.cumsum() < draws.random() * shares.sum()).sum()), len(shares) - 1)
            scores[0, label].backward()
        else:
            outputs.sum().backward()
        total.addcmul_(study.gradient, study.gradient)
        count += 1
    return total / max(1, count)


def sensitivity(study: Study, samples: int, batch: int = 1) -> Tensor:
    """Memory aware synapses, (p,): the mean over rows of |∂ ‖F(x)‖² / ∂θ|, F the scores (Aljundi et al., 2018).

    With `batch` above 1 it is |∂ mean ‖F(x)‖² / ∂θ| over so many rows at a time, in which signs cancel.
    """
    total = torch.zeros_like(study.gradient)
    count = 0
    for places in _places(study, samples, batch):
        outputs = study.outputs(places)
        if study.tasks is not None and study.closed is not None:
            outputs = outputs * (study.closed[study.tasks[places]] == 0)
        (outputs.square().sum() / len(places)).backward()
        total.add_(study.gradient.abs())
        count += 1
    return total / max(1, count)


def _places(study: Study, samples: int, batch: int = 1) -> Iterator[Tensor]:
    """Rows of the Lesson, `batch` at a time, drawn without replacement, each time with the gradient at nought."""
    study.module.eval()
    drawn = torch.as_tensor(study.random(_ROWS).permutation(study.fresh)[:samples], device=study.x.device)
    for places in drawn.split(batch):
        study.gradient.zero_()
        yield places
