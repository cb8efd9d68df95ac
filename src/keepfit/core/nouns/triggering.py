"""What starts work."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    pass
from keepfit.core.nouns.findings import Finding


@dataclass(frozen=True)
class Mark:
    """How good a Version was, live, on what came since the mark before.

    Of `rows` labels it has `value`, the Service's metric, and `accuracy`, the share answered rightly. Without labels
    `promise` is the accuracy that its own probabilities promise on the newest Records, `released` what they promised on
    training data. NaN stands for what is not known.
    """

    time: datetime
    rows: int = 0
    value: float = nan
    accuracy: float = nan
    promise: float = nan
    released: float = nan


@dataclass(frozen=True)
class Pulse:
    """What a Trigger may look at: counts since the last update was opened, and what was found since.

    `marks` are the latest ones in order of time, of the live Version and of those before it; `metric` is their name,
    more of it is better where `higher`. The live Version was `expected` to be as good, and right as often, when it was
    judged. `waited` is how long the labels since have waited together, in label-seconds; `costs` the CPU-seconds of the
    last updates, `releases` the times at which the last Versions went live, the newest last.
    """

    now: datetime
    since: datetime
    records: int = 0
    labels: int = 0
    findings: tuple[Finding, ...] = field(default=())
    marks: tuple[Mark, ...] = ()
    metric: str = ""
    higher: bool = True
    expected: float | None = None
    expected_accuracy: float | None = None
    waited: float = 0.0
    costs: tuple[float, ...] = ()
    releases: tuple[datetime, ...] = ()


@dataclass(frozen=True)
class Decision:
    """Whether work starts, and the reason either way."""

    fire: bool
    reason: str
