"""The pulse of a Service: what its Triggers may look at, from the Situation alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from keepfit.core.nouns import Finding, Pulse
from keepfit.core.service import Specification
from keepfit.judge.metrics import default, metric
from keepfit.loop.situation import Situation


def pulse_of(situation: Situation, specification: Specification) -> Pulse:
    """The Pulse at this moment.

    While an update is open its outcome is awaited: what was found before it began led to it, and the marks since are
    those of the Version that it may replace, so neither says that another update is due.
    """
    opened, update = situation.opened, situation.update
    judged_on = metric(specification.service.metric or default(specification.task))
    measures = situation.measures.get(situation.live, {})
    labels = situation.labels - (opened.labels if opened else 0)
    return Pulse(
        now=situation.now,
        since=situation.since,
        records=situation.records - (opened.records if opened else 0),
        labels=labels,
        findings=_new(situation) if update else situation.findings,
        marks=tuple(one for one in situation.marks if one.time <= situation.since) if update else situation.marks,
        metric=judged_on.name,
        higher=judged_on.higher,
        expected=measures.get(f"{judged_on.name} of all"),
        expected_accuracy=measures.get("accuracy of all"),
        waited=waited(situation.arrivals, situation.now, situation.labels),
        costs=situation.costs,
        releases=situation.releases,
    )


def _new(situation: Situation) -> tuple[Finding, ...]:
    return tuple(one for one in situation.findings if (one.kind, one.subject) not in situation.answered)


def waited(arrivals: Sequence[tuple[datetime, int]], now: datetime, labels: int) -> float:
    """The label-seconds that labels have waited: the area under their number, known at some moments, straight between.

    >>> from datetime import UTC, timedelta
    >>> begin = datetime(2013, 1, 1, tzinfo=UTC)
    >>> waited(((begin, 50), (begin + timedelta(seconds=10), 60)), begin + timedelta(seconds=12), 60)
    70.0
    """
    points = (*arrivals, (now, labels))
    base = points[0][1]
    return sum(
        (later - earlier).total_seconds() * ((fewer - base) + (more - base)) / 2
        for (earlier, fewer), (later, more) in pairwise(points)
    )
