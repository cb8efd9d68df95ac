"""The facts: rows that are appended to the ledger and never changed. A fact's class name is its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from keepfit.core.nouns import (
    Conditions,
    Digest,
    Finding,
    Interference,
    Mark,
    Measurement,
    Outcome,
    Ruling,
    SlotName,
    Span,
)


def slot_called(name: str) -> tuple[SlotName, int]:
    """The Slot and the major of a Slot's name in facts: `live`, `canary`, `shadow`, `live@2`.

    >>> slot_called("live@2") == (SlotName.LIVE, 2)
    True
    """
    slot, _, major = name.partition("@")
    return SlotName(slot), int(major or 1)


def slot_name(slot: SlotName, major: int) -> str:
    """The name of a Slot in facts; the first major goes without its number."""
    return f"{slot}@{major}" if major > 1 else slot.value


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What happened, to which Service, when; `about` names the field by which one looks it up."""

    service: str
    time: datetime
    about: ClassVar[str] = ""

    @property
    def subject(self) -> str:
        """The thing the fact is about: a run key, an update id, a version number, a monitor's name."""
        return str(getattr(self, self.about)) if self.about else ""


@dataclass(frozen=True, kw_only=True)
class Applied(Fact):
    """A specification became the one in force."""

    specification: Digest
    code: Digest
    actor: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Requested(Fact):
    """A person or a program asks for a deed: `update`, `swap`, `rollback`, `register`, `forget`; the loop does it.

    `version` is the Version to swap into `slot` (0: the Slot is to be left), with a canary's `share` and `key`;
    `dataset` the Dataset to train on instead of the recipe's window; `bundle` the Bundle to register and judge, with
    its `origin`; `records` the ids of the Records to forget. `forced` says the caller overrides a missing or negative
    Verdict, for `reason`.
    """

    about = "id"
    id: str
    deed: str
    actor: str
    reason: str
    version: int = 0
    dataset: Digest = ""
    forced: bool = False
    slot: str = "live"
    share: float = 0.0
    key: str = ""
    bundle: Digest = ""
    origin: str = ""
    records: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answered(Fact):
    """A Requested deed was done or refused; `code` is the machine code of the runner's refusal."""

    about = "request"
    request: str
    done: bool
    reason: str
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Decided(Fact):
    """The loop's decision on triggers, also when it is to do nothing; repeated only when the reason changes."""

    fire: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class UpdateOpened(Fact):
    """An update (or, with `confirms`, a re-judging of a live Version) began.

    `as_of` fixes which labels are known to it, so that its keyed steps can be repeated exactly, and `left_out` the
    Spans whose rows it neither learns from nor is judged on: Monitors found them out of line, and that did not last.
    With `bundle` nothing is trained: that Bundle, which came from outside, is the candidate.
    """

    about = "update"
    update: str
    reason: str
    parent: int
    as_of: datetime
    specification: Digest
    records: int = 0
    labels: int = 0
    request: str = ""
    dataset: Digest = ""
    confirms: int = 0
    bundle: Digest = ""
    origin: str = ""
    left_out: tuple[Span, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UpdateClosed(Fact):
    """An update ended: `outcome` is `passed`, `held`, `refused`, `failed` or, for a confirmation, `confirmed`."""

    about = "update"
    update: str
    outcome: str
    reason: str
    version: int = 0


@dataclass(frozen=True, kw_only=True)
class RunStarted(Fact):
    """One execution of one step began; `process` is the operating system's id of the worker."""

    about = "key"
    key: Digest
    run: str
    step: str
    update: str
    process: int
    inputs: dict[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunFinished(Fact):
    """A Run ended well: its outputs by name, each an artifact's digest, and what it cost.

    `granted` is what the operating system really gave the worker, or a sentence where nothing was run. Serving made it
    stand still `yields` times, for `held` seconds together; `interference` is what it did to every Service's answers.
    """

    about = "key"
    key: Digest
    run: str
    step: str
    update: str
    outputs: dict[str, Digest]
    result: dict[str, Any]
    cpu_seconds: float
    wall_seconds: float
    granted: Conditions | str = ""
    yields: int = 0
    held: float = 0.0
    interference: tuple[Interference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunFailed(Fact):
    """A Run ended badly; `code` is the error's machine code; the rest as in `RunFinished`.

    Of a worker that vanished `cpu_seconds` are what the system counted, 0 where it could not be asked any more.
    """

    about = "key"
    key: Digest
    run: str
    step: str
    update: str
    code: str
    reason: str
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    granted: Conditions | str = ""
    yields: int = 0
    held: float = 0.0
    interference: tuple[Interference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VersionRegistered(Fact):
    """A Bundle was given a number; `origin` says where one came from that no update made.

    `memory` is what the learner that made it remembers, for the update that goes on from this Version; `datasets` are
    the Datasets it was given to learn from.
    """

    about = "number"
    number: int
    digest: Digest
    parent: int
    update: str
    origin: str = ""
    memory: Digest = ""
    datasets: tuple[Digest, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Judged(Fact):
    """The Verdict on a Version, against which incumbent (0: none), with every gate's reasons."""

    about = "version"
    version: int
    against: int
    outcome: Outcome
    rulings: tuple[Ruling, ...]
    evaluation: Digest
    update: str


@dataclass(frozen=True, kw_only=True)
class Approved(Fact):
    """A person's recorded yes or no to a Version, with a reason."""

    about = "version"
    version: int
    actor: str
    yes: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Swapped(Fact):
    """A Slot went from one Version to another (0: empty); `cause` is `promote`, `force`, `rollback` or `abort`.

    `slot` is `live`, `canary` or `shadow`, with the major where it is not the first: `live@2`. A canary answers `share`
    of the requests, by the input `key`. `records` and `labels` are what the Stream held at that moment.
    """

    about = "slot"
    slot: str
    before: int
    after: int
    cause: str
    reason: str
    records: int = 0
    labels: int = 0
    share: float = 0.0
    key: str = ""
    request: str = ""


@dataclass(frozen=True, kw_only=True)
class Quarantined(Fact):
    """A Version may not go live again without a person's approval."""

    about = "version"
    version: int
    reason: str
    evaluation: Digest = ""


@dataclass(frozen=True, kw_only=True)
class Watched(Fact):
    """A Monitor looked at records up to `records` (or labels up to `labels`) of the Stream.

    `window` is the Span it looked at, None where it does not look at how Records are distributed.
    """

    about = "monitor"
    monitor: str
    records: int
    labels: int
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    window: Span | None = None


@dataclass(frozen=True, kw_only=True)
class Marked(Fact):
    """The live `version` got a Mark `on` its labels, its records or both; the Stream held so many of them then."""

    about = "version"
    version: int
    on: tuple[str, ...]
    records: int
    labels: int
    mark: Mark


@dataclass(frozen=True, kw_only=True)
class Forgotten(Fact):
    """Records are to be found nowhere any more but where `remains` says, because somebody asked for it.

    They were so many `records` of the Stream. `memories` and `datasets` say by which one without them each was
    replaced; of the Memories' `rows` so many were theirs. `checkpoints` are the keys of work that saw them, `runs` its
    Runs: what those left on the way is removed. `versions` learnt from them, which nothing undoes: to be rid of that,
    train anew from scratch and let those go.
    """

    about = "request"
    request: str
    rows: int
    memories: dict[Digest, Digest]
    versions: tuple[int, ...]
    datasets: dict[Digest, Digest] = field(default_factory=dict)
    checkpoints: tuple[Digest, ...] = ()
    runs: tuple[str, ...] = ()
    records: int = 0
    remains: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Failed(Fact):
    """Something in the background went wrong: a failure is a fact, never silence."""

    about = "where"
    where: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Experimented(Fact):
    """A learner went through a scenario with a seed: one Run of the Experiment of that name; no Service is asked.

    `key` is the digest of all that decides the result: what has been run is looked up by it and not run again.
    `learner` is its plain data under the `name` it has in the Experiment. `result` has the accuracy matrix and what it
    cost; `code` and `reason` say why there is none.
    """

    about = "key"
    experiment: str
    key: Digest
    name: str
    seed: int
    learner: dict[str, Any] = field(default_factory=dict)
    estimator: str = ""
    scenario: dict[str, Any] = field(default_factory=dict)
    data: Digest = ""
    result: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    reason: str = ""


KINDS: dict[str, type[Fact]] = {
    kind.__name__: kind
    for kind in (
        Applied,
        Requested,
        Answered,
        Decided,
        UpdateOpened,
        UpdateClosed,
        RunStarted,
        RunFinished,
        RunFailed,
        VersionRegistered,
        Judged,
        Approved,
        Swapped,
        Quarantined,
        Watched,
        Marked,
        Forgotten,
        Failed,
        Experimented,
    )
}
"""Every kind a ledger can hold, by name."""
