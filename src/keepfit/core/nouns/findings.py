"""What is observed, and what is out of line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    pass


class Severity(StrEnum):
    """ERROR stops everything downstream, WARNING does not, INFO is only told."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class FindingKind(StrEnum):
    """Where a Finding comes from."""

    ANOMALY = "anomaly"
    DRIFT = "drift"
    SKEW = "skew"
    DECAY = "decay"
    ALIVE = "alive"
    DEAD = "dead"
    GATE = "gate"


class Cause(StrEnum):
    """Which distribution moved: the inputs' own, that of labels or outputs, or that of labels given the inputs."""

    COVARIATE = "covariate"
    PRIOR = "prior"
    CONCEPT = "concept"


@dataclass(frozen=True)
class Part:
    """A value or a range of values of one subject, and its share of the rows before and now."""

    name: str
    before: float
    now: float


@dataclass(frozen=True)
class Moved:
    """What moved in a subject: the parts whose shares changed most, why if it can be told, and since when.

    `row` is the first row of the window which may belong to the change, counting from 0, and `since` its time; None
    where rows have no order. `reason` says how the cause was told.
    """

    parts: tuple[Part, ...] = ()
    cause: Cause | None = None
    reason: str = ""
    row: int | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Finding:
    """One thing observed out of line: on which subject, what was measured, what was expected.

    In data: the name of the `anomaly`, in how many rows (`count`), and the first of those `rows`, counting from 1. Of
    what changed: what `moved`, and how many `looks` of its Monitor in a row have found it, this one included.
    """

    subject: str
    kind: FindingKind
    severity: Severity
    measured: float
    expected: float
    sentence: str
    anomaly: str = ""
    count: int = 0
    rows: tuple[int, ...] = ()
    moved: Moved | None = None
    looks: int = 1


class Reference(StrEnum):
    """What a Monitor compares with: training data (skew), an earlier Span (drift), release (decay)."""

    TRAINING = "training"
    EARLIER = "earlier"
    RELEASE = "release"


class Subject(StrEnum):
    """What a Monitor looks at.

    Every input, the model's output, the per-record loss; the quality expected while labels are awaited; or every input
    record by record, beside what the Service's `offline` computes for it.
    """

    INPUTS = "inputs"
    OUTPUT = "output"
    LOSS = "loss"
    QUALITY = "quality"
    RECORDS = "records"


class Season(StrEnum):
    """Which earlier rows are comparable: all, those of the same hours, of the same weekdays, or of both together."""

    NONE = "none"
    HOUR = "hour"
    WEEKDAY = "weekday"
    HOUR_OF_WEEK = "hour of week"


@dataclass(frozen=True)
class Score:
    """What a Detector says of a window against its reference.

    `statistic` is its distance; `p_value` the chance of one as large without a change; `effect` a size in [0, 1] a
    person can set a floor on; `since` the index in the window where the change began, where the detector can tell.
    """

    statistic: float
    p_value: float
    effect: float
    since: int | None = None


@dataclass(frozen=True)
class Measurement:
    """One look of a Monitor at one subject: kept whether it fired or not; `note` is why nothing was compared."""

    monitor: str
    subject: str
    statistic: float
    p_value: float
    effect: float
    threshold: float
    n_reference: int
    n_window: int
    fired: bool
    note: str = ""
