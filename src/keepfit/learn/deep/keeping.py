"""Keeping: which of many rows a memory of so many rows keeps.

Every row is given one random key when it is first seen and keeps it. Those with the smallest keys are a uniform sample
of all rows ever seen, as a reservoir is (Vitter, Random sampling with a reservoir, 1985), and stay one when the
capacity shrinks or rows are taken out: nothing has to be counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def smallest(keys: NDArray[np.float64], capacity: int) -> Places:
    """The places of the rows with the smallest keys, in order of place.

    >>> smallest(np.array([0.9, 0.1, 0.5]), 2).tolist()
    [1, 2]
    """
    return np.sort(np.argsort(keys, kind="stable")[:capacity])


def quotas(counts: NDArray[np.int64], capacity: int) -> NDArray[np.int64]:
    """How many rows each class keeps: equally many, and what a class cannot fill is shared by the others.

    >>> quotas(np.array([100, 3, 0, 100]), 21).tolist()
    [9, 3, 0, 9]
    """
    found = np.zeros(len(counts), dtype=np.int64)
    while True:
        hungry = np.flatnonzero(found < counts)
        left = capacity - int(found.sum())
        if not len(hungry) or left <= 0:
            return found
        share = max(1, left // len(hungry))
        more = np.minimum(counts[hungry] - found[hungry], share)
        for place, amount in zip(hungry, more, strict=True):
            found[place] += min(int(amount), capacity - int(found.sum()))


def balanced(keys: NDArray[np.float64], codes: Places, capacity: int) -> Places:
    """The places of the smallest keys of each class, as many of each class as can be."""
    shares = quotas(np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64), capacity)
    kept = [np.flatnonzero(codes == code)[smallest(keys[codes == code], share)] for code, share in enumerate(shares)]
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)


def herded(features: NDArray[np.float32], count: int) -> Places:
    """The places of the rows whose running mean stays nearest to the mean of all, in the order they are taken.

    Algorithm 4 of Rebuffi et al., iCaRL, 2017: p_k = argmin_x |μ - (φ(x) + Σ_{j<k} φ(p_j)) / k|, no row twice.
    """
    taken: list[int] = []
    mean, total = features.mean(axis=0, dtype=np.float64), np.zeros(features.shape[1])
    squares = np.einsum("nf,nf->n", features, features, dtype=np.float64)
    for k in range(1, min(count, len(features)) + 1):
        wanted = k * mean - total
        gaps = squares - 2.0 * (features @ wanted)
        gaps[taken] = np.inf
        taken.append(int(np.argmin(gaps)))
        total += features[taken[-1]]
    return np.array(taken, dtype=np.int64)


def greedy(codes: Places, old: int, capacity: int, random: np.random.Generator) -> Places:
    """The places kept when rows come one by one, of which the first `old` are there already.

    Algorithm 1 of Prabhu et al., GDumb, 2020: a row is let in while its class has less than its share of the capacity;
    where there is no room a random row of the largest class goes.
    """
    members: dict[int, list[int]] = {}
    for place in range(old):
        members.setdefault(int(codes[place]), []).append(place)
    held = old
    for place, code in enumerate(codes[old:].tolist(), start=old):
        if len(members.get(code, ())) * (len(members) + (code not in members)) >= capacity:
            continue
        if held >= capacity:
            largest = members[max(members, key=lambda one: len(members[one]))]
            largest.pop(int(random.integers(len(largest))))
        else:
            held += 1
        members.setdefault(code, []).append(place)
    return np.sort(np.concatenate([np.array(m, dtype=np.int64) for m in members.values()]))
