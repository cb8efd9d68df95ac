"""The nouns: frozen dataclasses which every room speaks. Nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepfit.core.requirements import Requirements
from keepfit.core.signature import Field, Signature

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    import pyarrow as pa
    from numpy.typing import NDArray

Digest = str
"""A lower-case hexadecimal SHA-256 of content."""

RECORD_ID = "_id"
RECORD_TIME = "_time"
RECORD_VERSION = "_version"
RECORD_TRACE = "_trace"
LABEL = "_label"
LABEL_TIME = "_label_time"
OUTPUT_PREFIX = "_out_"
"""Columns of a Dataset that are keepfit's own; a label column keeps its declared name only in source files."""


class Task(StrEnum):
    """What the label is, and therefore which outputs a model has.

    BINARY: `prediction` and `probability` (of the last class in order). MULTICLASS: `prediction` and
    `probabilities` (one per class, in order). REGRESSION: `prediction`.
    """

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


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


@dataclass(frozen=True)
class Span:
    """A half-open interval [start, end) of a Service's Records by record time; the only way to name data."""

    service: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Dataset:
    """A frozen Span: an immutable Parquet blob named by its digest."""

    digest: Digest
    rows: int
    source: str


@dataclass(frozen=True)
class Bundle:
    """The manifest of a Bundle: everything needed to answer, in one content-addressed directory.

    `runtime` names the Runtime that loads it (`onnx`, `python`, …), `framework` what made the model, with its version;
    `columns` maps each input of the native model to the Signature fields stacked into it; `parity` is the largest
    difference between the converted and the native model's outputs on held-out rows, None when nothing was converted;
    `note` says why a model could not be converted. `task` and `label` are None where no label will ever come.
    `threshold` is the probability from which a binary model predicts its last class, None for the model's own.
    `entry` names what of `code/` is served (`module:attribute`); `pickle` is the reason a person gave for opening a
    pickle; `requirements` are what a single request is held to. Files of the directory: `bundle.json` (this), the
    model's own, `code/` where it needs some, `golden.parquet` (examples with the answers expected), `reference.parquet`
    (a sample of the training inputs and outputs: what drift and skew are measured against), `environment.lock` (the
    distributions it was made with, one `name==version` a line), `card.md` (the model card).
    """

    service: str
    runtime: str
    signature: Signature
    task: Task | None = None
    label: Field | None = None
    framework: str = ""
    entry: str = ""
    pickle: str = ""
    threshold: float | None = None
    classes: tuple[str | int | bool, ...] = ()
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tolerance: float = 1e-4
    parity: float | None = None
    note: str = ""
    environment: Digest = ""
    licence: str = ""
    recipe: str = ""
    requirements: Requirements = Requirements()


@dataclass(frozen=True)
class Version:
    """A numbered Bundle of a Service; `parent` is the Version it was updated from, 0 for none."""

    service: str
    number: int
    digest: Digest
    parent: int = 0

    def __str__(self) -> str:
        return f"{self.service} v{self.number}"


@dataclass(frozen=True)
class Measure:
    """One metric on one slice: candidate, incumbent, and the interval of their difference.

    `difference` is candidate minus incumbent, turned so that positive is better; `low`/`high` bound it.
    Without an incumbent, `incumbent` and `difference` are None and the bounds are the candidate's own.
    """

    metric: str
    slice: str
    n: int
    candidate: float
    incumbent: float | None
    difference: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics × slices of a candidate, beside an incumbent, on one Dataset."""

    dataset: Digest
    candidate: Digest
    incumbent: Digest | None
    confidence: float
    resamples: int
    measures: tuple[Measure, ...]

    def measure(self, metric: str, slice: str = "all") -> Measure | None:
        """The Measure of a metric on a slice, or None where it was not evaluated."""
        return next((m for m in self.measures if m.metric == metric and m.slice == slice), None)


class Outcome(StrEnum):
    """PASS lets a Version in; HOLD waits for more evidence; REFUSE keeps it out."""

    PASS = "pass"
    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Ruling:
    """What one gate says, and why, with the numbers in the sentence."""

    gate: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Verdict:
    """All rulings on a Version: refuse if any refuses or none spoke, else hold if any holds, else pass."""

    outcome: Outcome
    rulings: tuple[Ruling, ...]


class SlotName(StrEnum):
    """The places of a Deployment.

    LIVE answers; CANARY answers a share of the requests in its stead; SHADOW gets a copy of the requests, and its
    answers are recorded and never returned.
    """

    LIVE = "live"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True)
class Held:
    """The Version a Slot holds."""

    version: int
    digest: Digest


@dataclass(frozen=True)
class Placement:
    """Which Versions the Slots of a Deployment hold; `previous` is the one live before, kept to go back to.

    The canary answers `share` (0 to 1) of the requests: drawn at random, or by the value of the input `key`, so that
    one value always gets the same Version.
    """

    live: Held | None = None
    previous: Held | None = None
    canary: Held | None = None
    shadow: Held | None = None
    share: float = 0.0
    key: str = ""


class Check(StrEnum):
    """What is done with a request that is out of line with the Service's Schema.

    OFF does not look, WARN counts it, REFUSE also refuses it where a Finding is an ERROR.
    """

    OFF = "off"
    WARN = "warn"
    REFUSE = "refuse"


class Preserve(StrEnum):
    """What a swap saves: AVAILABILITY holds the old and the new Version for a moment, RESOURCES only ever one."""

    AVAILABILITY = "availability"
    RESOURCES = "resources"


@dataclass(frozen=True)
class Gpu:
    """What of a GPU a Run may use: which `device`, as CUDA names it (several with commas).

    `share` is the percentage of its processors, which CUDA's Multi-Process Service keeps to; `time` the share of the
    time (above 0, at most 1) in which the Run may work at all, for devices that are shared without that service.
    """

    device: str = "0"
    share: int = 100
    time: float = 1.0


@dataclass(frozen=True)
class Resources:
    """What a Run may use: threads, bytes of memory (None: no limit of keepfit's), a GPU (None: it sees none)."""

    threads: int = 1
    memory: int | None = None
    gpu: Gpu | None = None


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a Run really worked under, as the operating system says; `missing` has one sentence for what it refused.

    `scheduling` and `io` are the classes in which it waits for processors and disks, `cores` the processors it may use,
    `memory` the bytes it may take (None: all there are), `cgroup` the control group of its own with its `weight`.
    """

    scheduling: str = ""
    io: str = ""
    threads: int = 1
    cores: tuple[int, ...] = ()
    memory: int | None = None
    cgroup: str = ""
    weight: int | None = None
    gpu: str = ""
    session: int = 0
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        threads, cores = f"{self.threads} thread(s)", f"core(s) {','.join(map(str, self.cores))}"
        limit = f"{self.memory:,} bytes" if self.memory is not None else ""
        group = f"cgroup weight {self.weight}" if self.cgroup else ""
        gpu = f"GPU {self.gpu}" if self.gpu else ""
        lacking = f"not granted: {'; '.join(self.missing)}" if self.missing else ""
        io = f"io {self.io}" if self.io else ""
        return ", ".join(filter(None, (self.scheduling, io, threads, cores, limit, group, gpu, lacking)))


@dataclass(frozen=True, kw_only=True)
class Interference:
    """What a Run did to the answers of one Service: their p99 in seconds in the minute before it, and during it.

    Both are medians over seconds, None where nothing was asked; `budget` is the Service's, None where it has none.
    """

    service: str
    budget: float | None = None
    before: float | None = None
    during: float | None = None


@dataclass(frozen=True)
class Window:
    """An amount of data, by rows or by time; neither means everything."""

    rows: int | None = None
    time: timedelta | None = None


class Base(StrEnum):
    """What an update starts from: nothing, or the parent Version's fitted estimator."""

    SCRATCH = "scratch"
    WARM = "warm"


class Choice(StrEnum):
    """Which labelled rows of its window an update learns from.

    WINDOW: the newest. NEW: those that the parent has not learnt from. FRESH: at random, newer ones rather. UNIFORM: at
    random. BALANCED: as many of every class. UNCERTAIN: those of which the parent is least sure. GRADIENT: at random,
    rather those on which the parent errs most.
    """

    WINDOW = "window"
    NEW = "new"
    FRESH = "fresh"
    UNIFORM = "uniform"
    BALANCED = "balanced"
    UNCERTAIN = "uncertain"
    GRADIENT = "gradient"


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
class Slice:
    """A named predicate on Records: a column equal to a value or inside [at_least, below).

    With neither, the slice stands for one slice per value of the column (at most `most` values, by count).
    """

    column: str
    equals: str | int | float | bool | None = None
    at_least: float | None = None
    below: float | None = None
    most: int = 20


@dataclass(frozen=True)
class Rollout:
    """How a passed Version goes live and is watched afterwards.

    The live Version is judged again on `confirm_labels` labels that arrived for Records it answered; being
    worse than its predecessor by more than `margin` of the metric, beyond the interval, swaps it back.
    """

    confirm_labels: int = 500
    margin: float = 0.0
    automatic: bool = True


@dataclass(frozen=True)
class Memory:
    """What a learner carries from update to update: rows it remembers, and arrays by name.

    `kind` names the learner that wrote it. `rows` are remembered Records: `_id`, the features, `_label`, and columns of
    the learner's own whose names begin with `_`, so that a person's Records can be found in it and taken out.
    """

    kind: str
    rows: pa.Table | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a learner is given to learn, and what it goes on from.

    `X` is a DataFrame with the Service's features in order, or one matrix; `y` a 1-d array of labels; `ids` the ids of
    the Records, none where they have none. `classes` are all classes of the Service in order, none for numbers.
    `parent` is the fitted estimator before and `memory` what that update left behind. `checkpoint` is a folder that
    belongs to this very work: a learner may keep there how far it came, and goes on from there where an earlier
    attempt was interrupted.
    """

    X: Any
    y: NDArray[Any]
    ids: tuple[str, ...] = ()
    classes: tuple[str | int | bool, ...] = ()
    parent: Any = None
    memory: Memory | None = None
    seed: int = 0
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Learnt:
    """What came of a Lesson: a fitted estimator, and the memory to go on with, None for learners without one."""

    model: Any
    memory: Memory | None = None


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


@dataclass(frozen=True)
class Evidence:
    """All a Gate may look at; None or an empty string means that there is none."""

    evaluation: Evaluation | None = None
    contract: str = ""
    contract_changes: tuple[str, ...] = ()
    golden_error: float | None = None
    golden_tolerance: float = 1e-4
    metric: str = ""
