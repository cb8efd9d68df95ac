"""The facts: rows that are appended to the ledger and never changed. A fact's class name is its kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keepfit.core.nouns import Digest, Finding, Measurement, Outcome, Ruling, SlotName


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
    """What happened, to which Service, when; `subject` is what one looks it up by."""

    service: str
    time: datetime

    @property
    def subject(self) -> str:
        """The thing the fact is about: a run key, an update id, a version number, a monitor's name."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Applied(Fact):
    """A specification became the one in force."""

    specification: Digest
    code: Digest
    actor: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Requested(Fact):
    """A person or a program asks for a deed: `update`, `swap`, `rollback`, `register`; the loop carries it out.

    `version` is the Version to swap into `slot` (0: the Slot is to be left), with a canary's `share` and `key`;
    `dataset` the Dataset to train on instead of the recipe's window; `bundle` the Bundle to register and judge, with
    its `origin`. `forced` says the caller overrides a missing or negative Verdict, for `reason`.
    """

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

    @property
    def subject(self) -> str:
        return self.id


@dataclass(frozen=True, kw_only=True)
class Answered(Fact):
    """A Requested deed was done or refused; `code` is the machine code of the runner's refusal."""

    request: str
    done: bool
    reason: str
    code: str = ""

    @property
    def subject(self) -> str:
        return self.request


@dataclass(frozen=True, kw_only=True)
class Decided(Fact):
    """The loop's decision on triggers, also when it is to do nothing; repeated only when the reason changes."""

    fire: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class UpdateOpened(Fact):
    """An update (or, with `confirms`, a re-judging of a live Version) began.

    `as_of` fixes which labels are known to it, so that its keyed steps can be repeated exactly. With `bundle` nothing
    is trained: that Bundle, which came from outside, is the candidate.
    """

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

    @property
    def subject(self) -> str:
        return self.update


@dataclass(frozen=True, kw_only=True)
class UpdateClosed(Fact):
    """An update ended: `outcome` is `passed`, `held`, `refused`, `failed` or, for a confirmation, `confirmed`."""

    update: str
    outcome: str
    reason: str
    version: int = 0

    @property
    def subject(self) -> str:
        return self.update


@dataclass(frozen=True, kw_only=True)
class RunStarted(Fact):
    """One execution of one step began; `process` is the operating system's id of the worker."""

    key: Digest
    run: str
    step: str
    update: str
    process: int
    inputs: dict[str, Digest] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return self.key


@dataclass(frozen=True, kw_only=True)
class RunFinished(Fact):
    """A Run ended well: its outputs by name, each an artifact's digest, and what it cost.

    `granted` is what the operating system really gave the worker (scheduling policy, nice, threads).
    """

    key: Digest
    run: str
    step: str
    update: str
    outputs: dict[str, Digest]
    result: dict[str, Any]
    cpu_seconds: float
    wall_seconds: float
    granted: str = ""

    @property
    def subject(self) -> str:
        return self.key


@dataclass(frozen=True, kw_only=True)
class RunFailed(Fact):
    """A Run ended badly; `code` is the error's machine code."""

    key: Digest
    run: str
    step: str
    update: str
    code: str
    reason: str

    @property
    def subject(self) -> str:
        return self.key


@dataclass(frozen=True, kw_only=True)
class VersionRegistered(Fact):
    """A Bundle was given a number; `origin` says where one came from that no update made.

    `memory` is what the learner that made it remembers, for the update that goes on from this Version.
    """

    number: int
    digest: Digest
    parent: int
    update: str
    origin: str = ""
    memory: Digest = ""

    @property
    def subject(self) -> str:
        return str(self.number)


@dataclass(frozen=True, kw_only=True)
class Judged(Fact):
    """The Verdict on a Version, against which incumbent (0: none), with every gate's reasons."""

    version: int
    against: int
    outcome: Outcome
    rulings: tuple[Ruling, ...]
    evaluation: Digest
    update: str

    @property
    def subject(self) -> str:
        return str(self.version)


@dataclass(frozen=True, kw_only=True)
class Approved(Fact):
    """A person's recorded yes or no to a Version, with a reason."""

    version: int
    actor: str
    yes: bool
    reason: str

    @property
    def subject(self) -> str:
        return str(self.version)


@dataclass(frozen=True, kw_only=True)
class Swapped(Fact):
    """A Slot went from one Version to another (0: empty); `cause` is `promote`, `force`, `rollback` or `abort`.

    `slot` is `live`, `canary` or `shadow`, with the major where it is not the first: `live@2`. A canary answers `share`
    of the requests, by the input `key`. `records` and `labels` are what the Stream held at that moment.
    """

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

    @property
    def subject(self) -> str:
        return self.slot


@dataclass(frozen=True, kw_only=True)
class Quarantined(Fact):
    """A Version may not go live again without a person's approval."""

    version: int
    reason: str
    evaluation: Digest = ""

    @property
    def subject(self) -> str:
        return str(self.version)


@dataclass(frozen=True, kw_only=True)
class Watched(Fact):
    """A Monitor looked at records up to `records` (or labels up to `labels`) of the Stream."""

    monitor: str
    records: int
    labels: int
    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]

    @property
    def subject(self) -> str:
        return self.monitor


@dataclass(frozen=True, kw_only=True)
class Failed(Fact):
    """Something in the background went wrong: a failure is a fact, never silence."""

    where: str
    reason: str

    @property
    def subject(self) -> str:
        return self.where


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
        Failed,
    )
}
"""Every kind a ledger can hold, by name."""
