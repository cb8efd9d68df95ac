"""Selection: which of the rows of a Study are remembered."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keepfit.learn.deep import bodies, keeping
from keepfit.learn.deep.study import Study
from keepfit.learn.learners.replay import Keep

_CHUNK = 4096
_KEYS = 10**9
"""A purpose of random numbers that is no epoch."""


def selected(study: Study, keep: Keep, capacity: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The places of the rows kept and the key of each: a random number, or its rank in its class's herd."""
    keep = Keep(keep)  # by its word as well
    if keep is Keep.HERDING:
        return herds(study, capacity)
    keys = np.concatenate([study.column("_key"), study.random(_KEYS).random(len(study.fresh))])
    match keep:
        case Keep.RESERVOIR:
            places = keeping.smallest(keys, capacity)
        case Keep.BALANCED:
            places = keeping.balanced(keys, codes(study), capacity)
        case _:
            assert_never(keep)
    return places, keys[places]


def codes(study: Study) -> NDArray[np.int64]:
    """The class of each row by number; one class of all where numbers are predicted."""
    if not study.network.classifies:
        return np.zeros(len(study.y), dtype=np.int64)
    found: NDArray[np.int64] = study.y.cpu().numpy()
    return found


def featured(study: Study, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """The features of some rows, each of length one, by the network as it is now."""
    study.module.eval()
    with torch.no_grad():
        chunks = torch.from_numpy(places).to(study.x.device).split(_CHUNK)
        parts: list[Tensor] = [bodies.features(study.module, study.x.index_select(0, part)) for part in chunks]
    found: NDArray[Any] = torch.cat(parts).cpu().numpy()
    return found


def herds(study: Study, capacity: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The first rows of each class's herd, in its order; classes of this Lesson are herded anew, others cut short."""
    which, ranks = codes(study), study.column("_key")
    fresh = set(which[study.old :].tolist())
    places, keys = [], []
    for code, share in enumerate(keeping.quotas(np.bincount(which), capacity).tolist()):
        members = np.flatnonzero(which == code)
        if code in fresh:
            chosen = members[keeping.herded(featured(study, members), share)]
        else:
            chosen = members[np.argsort(ranks[members], kind="stable")[:share]]
        places.append(chosen)
        keys.append(np.arange(len(chosen), dtype=np.float64))
    return np.concatenate(places), np.concatenate(keys)


def means(study: Study, places: NDArray[np.int64]) -> Tensor:
    """The mean feature of each class over some rows, of length one again, (classes, width); NaN for a class of none."""
    found, which = torch.from_numpy(featured(study, places)), study.y.cpu()[torch.from_numpy(places)]
    count = len(study.network.classes_)
    total = torch.zeros(count, found.shape[1]).index_add_(0, which, found)
    amount = torch.bincount(which, minlength=count).unsqueeze(1)
    return torch.where(amount > 0, torch.nn.functional.normalize(total, dim=1), torch.nan).to(study.x.device)
