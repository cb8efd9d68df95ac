"""What the kept measurements of Monitors say about their limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, lgamma, log

import numpy as np

from keepfit.core.nouns import Measurement

ENOUGH = 20
"""Fewer looks say nothing about so rare an event as an alarm."""


@dataclass(frozen=True)
class Proposal:
    """A `minimum_effect` for one subject of one Monitor, from `looks` past looks.

    `quantile` is the effect that all but the share of false alarms stayed below. `proposed` is one of the effects seen,
    so large that it is above the true quantile with the `confidence` stated; where there were too few looks for the
    confidence asked for, the largest one and the confidence that it gives.
    """

    monitor: str
    subject: str
    looks: int
    quantile: float
    proposed: float
    confidence: float


def proposals(
    history: Iterable[Measurement], *, false_alarms: float = 0.01, confidence: float = 0.95, fired: bool = False
) -> tuple[Proposal, ...]:
    """One Proposal per subject with at least ENOUGH looks, by Monitor and name.

    A look counts if something was compared and it did not fire; with `fired` those that did count too, for whoever
    knows that they were false. The bound is the distribution-free one of order statistics (Wilks 1941).
    """
    seen: dict[tuple[str, str], list[float]] = {}
    for one in history:
        if min(one.n_reference, one.n_window) > 0 and not one.note and (fired or not one.fired):
            seen.setdefault((one.monitor, one.subject), []).append(one.effect)
    return tuple(
        _proposal(*key, np.sort(effects), 1 - false_alarms, confidence)
        for key, effects in sorted(seen.items())
        if len(effects) >= ENOUGH
    )


def _proposal(monitor: str, subject: str, effects: np.ndarray, share: float, confidence: float) -> Proposal:
    place, sure = _above(effects.size, share, confidence)
    quantile = float(np.quantile(effects, share, method="higher"))
    return Proposal(monitor, subject, effects.size, quantile, max(quantile, float(effects[place])), sure)


def _above(count: int, share: float, confidence: float) -> tuple[int, float]:
    """The place of the smallest ordered value that is above the quantile with that confidence, and the one it has."""
    sure = 0.0
    for place in range(count):
        ways = lgamma(count + 1) - lgamma(place + 1) - lgamma(count - place + 1)
        sure += exp(ways + place * log(share) + (count - place) * log(1 - share))
        if sure >= confidence:
            return place, sure
    return count - 1, sure
