"""What moved in a subject, and since when: the values or ranges whose shares changed most, the earliest row of it."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Part
from keepfit.watch.coded import shared
from keepfit.watch.samples import has_few_values, is_categorical, numbers, tally

TOLD = 3
"""So many parts are told of a subject."""

_BINS = 10
_ROWS = 20_000
"""Of more numbers so many are looked at, evenly drawn: so shares are told to a third of a per cent."""

_SPLITS = 512
_BEYOND = 3.84  # what a chi-square of one degree passes once in twenty times


def parts(reference: NDArray[Any], window: NDArray[Any], *, most: int = TOLD) -> tuple[Part, ...]:
    """The values (of text) or ranges between the reference's deciles (of numbers) that gained or lost most.

    >>> parts(np.array(["a"] * 6 + ["b"] * 4, object), np.array(["a"] * 10, object), most=1)
    (Part(name='a', before=0.6, now=1.0),)
    """
    if _named(reference, window):
        return _largest(_values(reference, window), most)
    old, new = evenly(numbers(reference)), evenly(numbers(window))
    return _largest(_ranges(old, new, times=reference.dtype.kind == "M"), most)


def _named(*samples: NDArray[Any]) -> bool:
    """Whether values are told one by one: text, flags, and numbers of few different values."""
    return any(map(is_categorical, samples)) or has_few_values(*(evenly(numbers(sample)) for sample in samples))


def said(part: Part) -> str:
    """A part's change in words.

    >>> said(Part("Prcard", 0.0, 0.4))
    "'Prcard' is new with 40.0% of the rows"
    """
    if not part.before:
        return f"'{part.name}' is new with {part.now:.1%} of the rows"
    if not part.now:
        return f"'{part.name}' vanished, it was {part.before:.1%} of the rows"
    return f"'{part.name}' went from {part.before:.1%} to {part.now:.1%} of the rows"


def evenly(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """All values, or _ROWS of them, evenly spread over their order."""
    if values.size <= _ROWS:
        return values
    return values[np.linspace(0, values.size - 1, _ROWS).astype(np.int64)]


def _largest(found: list[Part], most: int) -> tuple[Part, ...]:
    """Those that changed most, the largest first; what is no twentieth of the largest change is not told."""
    ordered = sorted(found, key=lambda part: (-round(abs(part.now - part.before), 9), part.name))
    least = abs(ordered[0].now - ordered[0].before) / 20 if ordered else 0.0
    return tuple(part for part in ordered[:most] if abs(part.now - part.before) > least)


def _values(reference: NDArray[Any], window: NDArray[Any]) -> list[Part]:
    old, new = tally(reference), tally(window)
    return [
        Part(name or "(missing)", old[name] / reference.size, new[name] / window.size)
        for name in old.keys() | new.keys()
    ]


def _ranges(old: NDArray[np.float64], new: NDArray[np.float64], *, times: bool) -> list[Part]:
    edges = _edges(old)
    names = [*_names([shown(edge, is_time=times) for edge in edges.tolist()]), "(missing)"]
    shares = [np.bincount(_codes(side, edges), minlength=len(names)) / side.size for side in (old, new)]
    return [Part(name, float(a), float(b)) for name, a, b in zip(names, *shares, strict=True)]


def _edges(old: NDArray[np.float64]) -> NDArray[np.float64]:
    """The reference's deciles, each the first value of a range; none where nothing is known."""
    known = old[~np.isnan(old)]
    if not known.size:
        return np.empty(0)
    return np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS, method="inverted_cdf"))


def _codes(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """The range each value lies in, from 0; missing ones come last."""
    places = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), edges.size + 1, places)


def _names(shown: list[str]) -> list[str]:
    if not shown:
        return ["any value"]
    between = [f"{low} to {high}" for low, high in pairwise(shown)]
    return [f"below {shown[0]}", *between, f"{shown[-1]} or more"]


def shown(number: float, *, is_time: bool) -> str:
    """A number in four digits, or the time that so many microseconds since 1970 are."""
    return str(np.datetime64(int(number), "us").astype("M8[s]")) if is_time else f"{number:.4g}"


def began(reference: NDArray[Any], window: NDArray[Any]) -> int:
    """The first row of a window, in order of time, from which on it may differ from the reference; 0 for all of it.

    The rows from k on are held against the reference by the chi-square of their shares per value or range. It grows
    with every changed row it is given and falls with every unchanged one, so the true k is near its largest value
    (a maximum-type scan, as in Csörgő & Horváth 1997); the earliest k is taken that cannot be told from that.
    """
    codes, shares = _coded(reference, window)
    size = window.size
    splits = np.unique(np.linspace(0, max(0, size - 10), min(_SPLITS, size)).astype(np.int64))
    counts = _after(codes, splits, shares.size)
    left = counts.sum(axis=1, keepdims=True)
    pooled = (shares * reference.size + counts) / (reference.size + left)
    both = reference.size * left / (reference.size + left)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = both * (counts / left - shares) ** 2 / pooled
    scores = np.nansum(terms, axis=1)
    return int(splits[np.argmax(scores >= scores.max() - _slack(float(scores.max())))])


def _slack(largest: float) -> float:
    """By how much a chi-square as large as this one falls by chance between splits that mean the same."""
    return min(_BEYOND + sqrt(max(0.0, largest)) / 4, largest / 10)


def _coded(reference: NDArray[Any], window: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The value or range of each row of the window as a number, and the share each has in the reference."""
    if is_categorical(reference) or is_categorical(window):
        old, new = shared(reference, window)
        common = np.argsort(-np.bincount(np.concatenate([old, new])), kind="stable")[: _BINS * 5]
        place = np.full(int(max(old.max(), new.max())) + 1, common.size)
        place[common] = np.arange(common.size)
        return place[new], np.bincount(place[old], minlength=common.size + 1) / old.size
    sample = evenly(numbers(reference))
    edges = _edges(sample)
    shares = np.bincount(_codes(sample, edges), minlength=edges.size + 2) / sample.size
    return _codes(numbers(window), edges), shares


def _after(codes: NDArray[np.int64], splits: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """How often each code occurs from each split on, shape (splits, width)."""
    block = np.searchsorted(splits, np.arange(codes.size), side="right") - 1
    counts = np.bincount(block * width + codes, minlength=splits.size * width).reshape(splits.size, width)
    return np.cumsum(counts[::-1], axis=0)[::-1].astype(np.float64)
