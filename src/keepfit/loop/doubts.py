"""Doubts: Spans that Monitors found out of line, of which nobody knows yet, or never will, that the change lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from keepfit.core.facts import Watched
from keepfit.core.nouns import Finding, FindingKind, Severity, Span

KEPT = 200
"""Doubts that are kept: the latest ones."""

_CHANGES = frozenset({FindingKind.DRIFT, FindingKind.SKEW, FindingKind.ALIVE, FindingKind.DEAD})


@dataclass(frozen=True)
class Doubt:
    """A subject that so many `looks` of a Monitor in a row found to have moved, in these Spans.

    It is `over` once a look finds it no more.
    """

    monitor: str
    subject: str
    spans: tuple[Span, ...]
    looks: int = 1
    over: bool = False


def doubted(known: tuple[Doubt, ...], fact: Watched) -> tuple[Doubt, ...]:
    """The Doubts after one more look: new ones, some that last longer, and some that are over."""
    if fact.window is None:
        return known
    found = {one.subject: _from(one, fact.window) for one in fact.findings if _is_change(one)}
    after: list[Doubt] = []
    for doubt in known:
        if doubt.monitor != fact.monitor or doubt.over:
            after.append(doubt)
        elif span := found.pop(doubt.subject, None):
            after.append(replace(doubt, spans=(*doubt.spans, span), looks=doubt.looks + 1))
        else:
            after.append(replace(doubt, over=True))
    after += [Doubt(fact.monitor, subject, (span,)) for subject, span in found.items()]
    return tuple(after[-KEPT:])


def left_out(doubts: Sequence[Doubt], looks: int) -> tuple[Span, ...]:
    """The Spans an update leaves out: of changes that fewer than so many looks in a row have found; none overlap.

    >>> from datetime import UTC, datetime
    >>> first, then, last = (datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    >>> bad = Doubt("inputs", "x", (Span("flights", first, last),), over=True)
    >>> lasts = Doubt("inputs", "y", (Span("flights", first, then), Span("flights", then, last)), looks=2)
    >>> [(span.start.day, span.end.day) for span in left_out((bad, lasts), looks=2)]
    [(1, 3)]
    """
    return tuple(
        _joined(
            sorted((span for one in doubts if one.looks < looks for span in one.spans), key=lambda span: span.start)
        )
    )


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    last: Span | None = None
    for span in spans:
        if last is not None and span.start <= last.end:
            last = replace(last, end=max(last.end, span.end))
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def _is_change(finding: Finding) -> bool:
    """What `Drifted` counts: recorded values that are wrong are to be put right, and stop nothing here."""
    return finding.kind in _CHANGES and finding.severity is not Severity.INFO and not finding.anomaly


def _from(finding: Finding, window: Span) -> Span:
    """The part of the window which may belong to the change."""
    since = finding.moved.since if finding.moved else None
    return window if since is None else replace(window, start=max(window.start, min(since, window.end)))
