"""The oracle: the best schedule of updates, chosen in hindsight by dynamic programming over a matrix of losses.

`losses[u, t]` is the loss of chunk t under the model that was made at the beginning of chunk u, for u ≤ t; model 0 is
the first one, which every schedule begins with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fewest(losses: Floats, most: int | None = None) -> Floats:
    """The least total loss with at most k updates after the first model, for each k from 0 to `most`.

    >>> fewest(np.array([[0.0, 5.0, 9.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]])).tolist()
    [14.0, 3.0, 2.0]
    """
    chunks = len(losses)
    most = chunks - 1 if most is None else min(most, chunks - 1)
    sums = _until(losses)
    best = np.full((most + 1, chunks + 1), np.inf)  # [k, t]: chunks before t, the newest model being the k-th update
    best[0] = sums[0]
    for updates in range(1, most + 1):
        for end in range(updates + 1, chunks + 1):
            begins = np.arange(updates, end)
            best[updates, end] = (best[updates - 1, begins] + sums[begins, end] - sums[begins, begins]).min()
    return np.asarray(np.minimum.accumulate(best[:, -1]))


def optimum(losses: Floats, price: float) -> tuple[float, tuple[int, ...]]:
    """The least loss plus `price` for every update after the first model, and the chunks the updates come before.

    >>> optimum(np.array([[0.0, 5.0, 9.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]]), price=2.0)
    (5.0, (1,))
    """
    chunks = len(losses)
    sums = _until(losses)
    best, came = np.full(chunks + 1, np.inf), np.zeros(chunks + 1, np.int64)
    best[0] = -price  # the first model is not bought
    for end in range(1, chunks + 1):
        begins = np.arange(end)
        totals = best[begins] + price + sums[begins, end] - sums[begins, begins]
        came[end] = int(totals.argmin())
        best[end] = totals[came[end]]
    schedule, place = [], int(came[chunks])
    while place:
        schedule.append(place)
        place = int(came[place])
    return float(best[chunks]), tuple(reversed(schedule))


def spent(losses: Floats, schedule: Sequence[int]) -> float:
    """The total loss of a schedule: the chunks that updates come before, in order."""
    chunks = np.arange(len(losses))
    model = np.concatenate([[0], np.asarray(schedule, np.int64)])[np.searchsorted(schedule, chunks, side="right")]
    return float(losses[model, chunks].sum())


def _until(losses: Floats) -> Floats:
    """[u, t]: the loss of model u on all chunks before t, counted from chunk 0; entries below the diagonal count 0."""
    kept = np.triu(losses)
    return np.concatenate([np.zeros((len(losses), 1)), np.cumsum(kept, axis=1)], axis=1)
