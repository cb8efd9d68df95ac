"""Service: what the business calls by name, declared in one Python file by constructor arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import (
    Base,
    Digest,
    Preserve,
    Reference,
    Resources,
    Rollout,
    Slice,
    Subject,
    Task,
    Window,
)
from keepfit.core.protocols import Detector, Gate, Learner, Trigger
from keepfit.core.signature import Field, Signature

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an update is made: learner, base, data window, the later rows held out to judge it, seed, resources.

    `holdout` is the share (below 1) or the number (1 and above) of the window's latest labelled rows which the
    candidate is judged on and never trained on; `learner` None means to refit the Service's estimator. With `refit` the
    Bundle that goes live has learnt from all rows, those held out included, and its verdict is that of its twin, which
    has not: worth twice the training where the newest rows matter most.
    """

    window: Window = Window()
    base: Base = Base.SCRATCH
    holdout: int | float = 0.2
    seed: int = 0
    resources: Resources = Resources()
    learner: Learner | None = None
    refit: bool = False

    def __post_init__(self) -> None:
        if self.holdout <= 0 or (self.holdout > 1 and self.holdout != int(self.holdout)):
            raise SpecInvalid(
                f"Recipe.holdout: expected a share between 0 and 1 or a whole number of rows, found {self.holdout}"
            )


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """Stream × Detector × window × reference.

    A subject fires when its p-value passes the Benjamini-Hochberg bound at `false_discovery` over all subjects of
    the Monitor and its effect is at least `minimum_effect`; after firing it stays silent for `cooldown`. It looks
    again after every `stride` new records (labels, for the loss); 0 means the window's rows (`minimum` for the loss).
    """

    name: str
    on: Subject
    detector: Detector
    reference: Reference = Reference.TRAINING
    window: Window = Window(rows=1000)
    stride: int = 0
    minimum: int = 100
    minimum_effect: float = 0.1
    false_discovery: float = 0.01
    cooldown: timedelta = timedelta(0)


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
    is reported. `body` is the most bytes of one request. `grpc` opens a gRPC port beside the HTTP one.
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
    recipe: Recipe = Recipe()
    monitors: tuple[Monitor, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    gates: tuple[Gate, ...] = ()
    slices: tuple[Slice, ...] = ()
    rollout: Rollout = Rollout()
    serving: Serving = Serving()
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
    """A Service as stored: plain data (`service.estimator` and `service.data` are None), read without user code.

    `code` is the digest of the snapshot tree that workers run, `module` the file in it that declares the Service;
    `source` the Dataset of first labelled rows; `environment` the digest of the installed distributions.
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
