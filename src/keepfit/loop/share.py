"""share(waiting) → deeds: which trainings may begin now, where several Services want the same processors.

The best expected gain for a second of processor time goes first, as in Ekya (Bhardwaj et al., NSDI 2022). What is
expected is asked of a micro-profile (`loop.outlook`), and only where there is a choice to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

PATIENCE = timedelta(hours=1)
"""Whoever has waited for longer goes first: being worth little now is no reason to wait for ever."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A Service whose update wants to train with so many threads, since when it does.

    `gain` is the share of the present loss that the update is expected to take away, for `cpu_seconds`; None where
    nobody has looked yet. A Service that `lacks` a Version answers nobody until it has trained.
    """

    service: str
    threads: int
    since: datetime
    gain: float | None = None
    cpu_seconds: float | None = None
    lacks: bool = False


@dataclass(frozen=True)
class Deeds:
    """The Services whose micro-profile is to be made now, and those which may train now."""

    outlook: tuple[str, ...] = ()
    train: tuple[str, ...] = ()


def share(waiting: Sequence[Waiting], *, taken: int, cores: int, now: datetime) -> Deeds:
    """What may begin, given the threads `taken` by trainings under way; one core is always left to serving.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> dear = Waiting(service="dear", threads=1, since=now, gain=0.2, cpu_seconds=100.0)
    >>> good = Waiting(service="good", threads=1, since=now, gain=0.1, cpu_seconds=10.0)
    >>> share([dear, good], taken=0, cores=2, now=now).train
    ('good',)
    """
    most = max(1, cores - 1)
    free = most - taken
    if not waiting or free <= 0:
        return Deeds()
    if sum(min(one.threads, most) for one in waiting) <= free:
        return Deeds(train=tuple(one.service for one in waiting))
    unknown = [one for one in waiting if one.gain is None and not one.lacks]
    if unknown and not any(one.lacks for one in waiting):
        return Deeds(outlook=(min(unknown, key=lambda one: one.since).service,))
    begun: list[str] = []
    for one in sorted(waiting, key=lambda one: _rank(one, now)):
        threads = min(one.threads, most)
        if threads > free:
            break  # nobody smaller slips past it, or it would wait for ever
        begun.append(one.service)
        free -= threads
    return Deeds(train=tuple(begun))


def _rank(one: Waiting, now: datetime) -> tuple[int, float, datetime]:
    """Without a Version first, then whoever waited for long, then by gain for a second of processor time."""
    if one.lacks:
        return (0, 0.0, one.since)
    if now - one.since >= PATIENCE:
        return (1, 0.0, one.since)
    worth = (one.gain or 0.0) / max(one.cpu_seconds or 0.0, 1e-3)
    return (2, -worth, one.since)
