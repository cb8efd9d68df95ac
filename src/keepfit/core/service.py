"""Service: what the business calls by name, declared in one Python file by constructor arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import (
    Base,
    Check,
    Choice,
    Digest,
    Preserve,
    Reference,
    Resources,
    Rollout,
    Season,
    Slice,
    Subject,
    Task,
    Window,
)
from keepfit.core.protocols import Detector, Gate, Learner, Trigger
from keepfit.core.requirements import Requirements
from keepfit.core.signature import Field, Signature

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def _check(resources: Resources) -> None:
    """SpecInvalid where no Run can have such Resources."""
    gpu = resources.gpu
    wrong = {
        "threads": (resources.threads, resources.threads < 1, "1 or more"),
        "memory": (resources.memory, resources.memory is not None and resources.memory < 2**26, "64 MiB or more"),
        "gpu.device": (gpu and gpu.device, gpu is not None and not gpu.device, "a device as CUDA names it"),
        "gpu.share": (gpu and gpu.share, gpu is not None and not 1 <= gpu.share <= 100, "a percentage from 1 to 100"),
        "gpu.time": (gpu and gpu.time, gpu is not None and not 0.0 < gpu.time <= 1.0, "a share above 0, at most 1"),
    }
    for name, (found, is_wrong, expected) in wrong.items():
        if is_wrong:
            raise SpecInvalid(f"Resources.{name}: expected {expected}, found {found!r}")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of the labelled rows in its window an update learns from: at most `rows` of them, None for all of `by`.

    With FRESH a row counts half as much as one that is younger by `half_life`, a share of the rows at hand.
    """

    by: Choice = Choice.WINDOW
    rows: int | None = None
    half_life: float = 0.25

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 1:
            raise SpecInvalid(f"Selection.rows: expected at least 1, or None for no limit, found {self.rows}")
        if self.rows is None and self.by not in (Choice.WINDOW, Choice.NEW, Choice.BALANCED):
            raise SpecInvalid(f"Selection.rows: expected how many rows to choose by {self.by.value}, found None")
        if self.half_life <= 0:
            raise SpecInvalid(f"Selection.half_life: expected a share of the rows above 0, found {self.half_life}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an update is made: learner, base, data window, the later rows held out to judge it, seed, resources.

    `holdout` is the share (below 1) or the number (1 and above) of the window's latest labelled rows which the
    candidate is judged on and never trained on; `learner` None means to refit the Service's estimator. With `refit` the
    Bundle that goes live has learnt from all rows, those held out included, and its verdict is that of its twin, which
    has not: worth twice the training where the newest rows matter most. `selection` says which rows of the window it
    learns from. Records that a Monitor found to have moved are left out until `looks` of its looks in a row have found
    the same: one bad batch is not learnt, a change that lasts is; 1 learns all of them at once.
    """

    window: Window = Window()
    base: Base = Base.SCRATCH
    holdout: int | float = 0.2
    seed: int = 0
    resources: Resources = Resources()
    learner: Learner | None = None
    refit: bool = False
    selection: Selection = Selection()
    looks: int = 2

    def __post_init__(self) -> None:
        if self.looks < 1:
            raise SpecInvalid(f"Recipe.looks: expected at least 1, found {self.looks}")
        if self.holdout <= 0 or (self.holdout > 1 and self.holdout != int(self.holdout)):
            raise SpecInvalid(
                f"Recipe.holdout: expected a share between 0 and 1 or a whole number of rows, found {self.holdout}"
            )
        _check(self.resources)


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """Stream × Detector × window × reference.

    A subject fires when its p-value passes the Benjamini-Hochberg bound at `false_discovery` over all subjects of
    the Monitor and its effect is at least `minimum_effect`; after firing it stays silent for `cooldown`. It looks
    again after every `stride` new records (labels, for the loss); 0 means the window's rows (`minimum` for the loss).
    With a `season` the earlier Span is made of rows of the same hours or weekdays as the window's, by the clocks of the
    IANA zone `tz`. QUALITY and RECORDS have rules of their own (three standard errors; any row that differs) instead of
    detector and floor.
    """

    name: str
    on: Subject
    detector: Detector | None = None
    reference: Reference = Reference.TRAINING
    window: Window = Window(rows=1000)
    stride: int = 0
    minimum: int = 100
    minimum_effect: float = 0.1
    false_discovery: float = 0.01
    cooldown: timedelta = timedelta(0)
    season: Season = Season.NONE
    tz: str = "UTC"

    def __post_init__(self) -> None:
        if (self.detector is None) is not (self.on in (Subject.QUALITY, Subject.RECORDS)):
            found = "none" if self.detector is None else repr(self.detector)
            wanted = "a detector such as detectors.Auto()" if self.detector is None else "none"
            raise SpecInvalid(f"Monitor.detector: expected {wanted} on {self.on}, found {found}")
        if self.season is not Season.NONE and (
            self.reference is not Reference.EARLIER or self.on not in (Subject.INPUTS, Subject.OUTPUT)
        ):
            raise SpecInvalid(
                f"Monitor.season: expected on inputs or output, with reference=Reference.EARLIER; found {self.on} and "
                f"{self.reference}"
            )
        try:
            ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SpecInvalid(
                f"Monitor.tz: expected an IANA name such as 'Europe/Berlin', found {self.tz!r}"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a Deployment answers and records.

    `sample` is the share of the answered requests that is recorded; the values of the fields in `mask` are never
    written. `sink` is a URL that gets every recorded exchange as CloudEvents. A model in a process of its own answers
    up to `batch_rows` records together, of those that wait; `batch_delay` seconds is what the first of them may be
    made to wait for others. At most `queue` requests wait for it (429), each at most `deadline` seconds (504).
    `cache` is how many answers are kept to be given again, `memory` how many bytes the models may have (None: what
    the machine has). With `preserve` RESOURCES the old Version is let go before the new one is loaded, and requests
    wait meanwhile. A Version that left is expected to have answered what it began within `drain` seconds, whose breach
    is reported. `body` is the most bytes of one request. `grpc` opens a gRPC port beside the HTTP one. `p99` is the
    budget of the answers in seconds: while the slowest hundredth takes longer, every Run on the machine stands still.
    `check` holds every request to the Service's `schema`.
    """

    sample: float = 1.0
    mask: tuple[str, ...] = ()
    sink: str = ""
    batch_rows: int = 64
    batch_delay: float = 0.0
    queue: int = 1000
    deadline: float = 60.0
    cache: int = 0
    memory: int | None = None
    preserve: Preserve = Preserve.AVAILABILITY
    drain: float = 30.0
    body: int = 16 * 2**20
    grpc: bool = False
    check: Check = Check.OFF
    p99: float | None = None

    def __post_init__(self) -> None:
        wrong = {
            "sample": not 0.0 <= self.sample <= 1.0,
            "batch_rows": self.batch_rows < 1,
            "batch_delay": not 0.0 <= self.batch_delay <= 10.0,
            "queue": self.queue < 1,
            "deadline": self.deadline <= 0,
            "cache": self.cache < 0,
            "memory": self.memory is not None and self.memory < 1,
            "drain": self.drain <= 0,
            "body": self.body < 1,
            "p99": self.p99 is not None and not 0.0 < self.p99 <= 60.0,
            "sink": bool(self.sink) and not self.sink.startswith(("http://", "https://")),
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            raise SpecInvalid(f"Serving.{name}: {getattr(self, name)!r} is out of range; see its docstring")


@dataclass(frozen=True, kw_only=True)
class Service:
    """The declaration of a Service.

    `estimator` is any object with scikit-learn's `fit` and `predict`, with its preprocessing inside. `data` is
    where the first labelled rows come from: a path or glob beside the service file, or a function returning a table.
    `label` names the label's column there, `label_delay` how late labels usually are; `id`, `entity` and `time` name
    columns that are no features. `features` None means every other column. `metric` is the one decisions are made on.
    `schema` is a file beside the service file that says what is expected of the data; without one, what the first data
    showed is expected. `offline` is a function that computes features anew: from a table of Records (`_id`, `_time` and
    inputs) it makes one with `_id` and features, which a Monitor on RECORDS holds the recorded ones against.
    """

    name: str
    estimator: Any = None
    label: str
    data: Any = None
    label_delay: timedelta = timedelta(0)
    features: tuple[str, ...] | None = None
    id: str | None = None
    entity: str | None = None
    time: str | None = None
    metric: str = ""
    schema: str = ""
    recipe: Recipe = Recipe()
    monitors: tuple[Monitor, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    gates: tuple[Gate, ...] = ()
    slices: tuple[Slice, ...] = ()
    rollout: Rollout = Rollout()
    serving: Serving = Serving()
    offline: Any = None
    team: str = "default"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SpecInvalid(
                f"Service.name: expected lower-case letters, digits and '-', beginning with a letter, at most 63; "
                f"found {self.name!r}"
            )
        names = [monitor.name for monitor in self.monitors]
        if len(set(names)) < len(names):
            raise SpecInvalid(f"Service.monitors: names must differ, found {names}")


@dataclass(frozen=True, kw_only=True)
class Specification:
    """A Service as stored: plain data (`estimator`, `data`, `offline` are None), read without user code.

    `code` is the digest of the snapshot tree that workers run, `module` the file in it that declares the Service;
    `source` the Dataset of first labelled rows; `environment` the digest of the installed distributions.
    `schema` is the digest of the declared Schema, empty without one; `requirements` what it asks of single requests.
    `experiment` is the one whose winner is the recipe's learner, where the service file names none.
    """

    service: Service
    code: Digest
    module: str
    source: Digest
    source_rows: int
    task: Task
    classes: tuple[str | int | bool, ...]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    label: Field
    environment: Digest = ""
    metrics: tuple[str, ...] = field(default=())
    schema: Digest = ""
    requirements: Requirements = Requirements()
    experiment: str = ""

    @property
    def signature(self) -> Signature:
        """The contract every Version of the Service answers to."""
        return Signature(self.inputs, self.outputs)


def services_of(module: ModuleType) -> Iterator[Service]:
    """Every Service a module declares in a variable, also inside a tuple or a list, once each."""
    seen: set[int] = set()
    for value in vars(module).values():
        for thing in value if isinstance(value, tuple | list) else (value,):
            if isinstance(thing, Service) and id(thing) not in seen:
                seen.add(id(thing))
                yield thing
