"""The situation: everything `plan` may look at, folded from the ledger's facts and two readings of the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from keepfit.core.facts import (
    Answered,
    Applied,
    Approved,
    Decided,
    Fact,
    Judged,
    Quarantined,
    Requested,
    RunFailed,
    RunFinished,
    RunStarted,
    Swapped,
    UpdateClosed,
    UpdateOpened,
    VersionRegistered,
    Watched,
)
from keepfit.core.nouns import Digest, Finding, SlotName

ASIDE = ("watch", "compact")
"""Steps that belong to no update."""


@dataclass(frozen=True)
class Progress:
    """How far an open update has come: its finished Runs by step, the one under way, the last failure."""

    opened: UpdateOpened
    done: Mapping[str, RunFinished] = field(default_factory=dict)
    running: RunStarted | None = None
    failed: RunFailed | None = None
    lost: int = 0
    version: int = 0
    judged: Judged | None = None


@dataclass(frozen=True)
class Situation:
    """One Service at one moment. `deployed` is the Version the runner has committed, None where it cannot be asked.

    `swap` is the last of the live Slot, which the loop looks after; `slots` has the last of every Slot by its name.
    `aside` is the Run under way beside any update, a look of Monitors or a compaction; `compacted` how many Records
    the Stream held at the last compaction.
    """

    now: datetime
    records: int = 0
    labels: int = 0
    deployed: int | None = None
    applied: Applied | None = None
    versions: Mapping[int, VersionRegistered] = field(default_factory=dict)
    verdicts: Mapping[int, Judged] = field(default_factory=dict)
    approvals: Mapping[int, Approved] = field(default_factory=dict)
    quarantined: frozenset[int] = frozenset()
    swap: Swapped | None = None
    slots: Mapping[str, Swapped] = field(default_factory=dict)
    update: Progress | None = None
    opened: UpdateOpened | None = None
    closed: UpdateClosed | None = None
    failures: int = 0
    confirmations: tuple[UpdateOpened, ...] = ()
    requests: tuple[Requested, ...] = ()
    watched: Mapping[str, Watched] = field(default_factory=dict)
    fired: Mapping[str, datetime] = field(default_factory=dict)
    aside: RunStarted | None = None
    aside_failed: RunFailed | None = None
    compacted: int = 0
    findings: tuple[Finding, ...] = ()
    losses: Mapping[int, Digest] = field(default_factory=dict)
    decided: Decided | None = None

    @property
    def live(self) -> int:
        """The Version in the live Slot by the last Swap; 0 for none."""
        return self.swap.after if self.swap else 0

    def held(self, slot: str) -> int:
        """The Version in a Slot by its last Swap; 0 for none."""
        swap = self.slots.get(slot)
        return swap.after if swap else 0

    @property
    def bundles(self) -> dict[int, Digest]:
        """The digests of all Versions by number."""
        return {number: version.digest for number, version in self.versions.items()}

    @property
    def since(self) -> datetime:
        """The moment from which triggers count: the last update opened, or the specification applied."""
        moments = [fact.time for fact in (self.applied, self.opened) if fact]
        return max(moments, default=self.now)


def at(situation: Situation, *, now: datetime, records: int, labels: int, deployed: int | None) -> Situation:
    """The same history at another moment, with what the Stream holds and what the runner serves."""
    return replace(situation, now=now, records=records, labels=labels, deployed=deployed)


def fold(situation: Situation, fact: Fact) -> Situation:
    """The situation after one more fact: the only place where facts get their meaning."""
    match fact:
        case Applied():
            return replace(situation, applied=fact)
        case VersionRegistered():
            known = replace(situation, versions={**situation.versions, fact.number: fact})
            return _progress(known, fact.update, version=fact.number)
        case Approved():
            return replace(situation, approvals={**situation.approvals, fact.version: fact})
        case Quarantined():
            return replace(situation, quarantined=situation.quarantined | {fact.version})
        case Requested():
            return replace(situation, requests=(*situation.requests, fact))
        case Answered():
            left = tuple(request for request in situation.requests if request.id != fact.request)
            return replace(situation, requests=left)
        case Decided():
            return replace(situation, decided=fact)
        case Swapped():
            known = replace(situation, slots={**situation.slots, fact.slot: fact})
            if fact.slot != SlotName.LIVE:
                return known
            return replace(known, swap=fact, watched={}, fired={}, findings=(), confirmations=())
        case Watched():
            return _watched(situation, fact)
        case Judged():
            return _judged(situation, fact)
        case UpdateOpened() | UpdateClosed() | RunStarted() | RunFinished() | RunFailed():
            return _fold_update(situation, fact)
        case _:
            return situation


def _judged(situation: Situation, fact: Judged) -> Situation:
    update = situation.update
    if update is None or update.opened.update != fact.update:
        return situation
    situation = _progress(situation, fact.update, judged=fact)
    if update.opened.confirms:
        return situation
    losses = dict(situation.losses)
    if "evaluate" in update.done:  # a Bundle from outside may be judged by what kept it from being evaluated
        losses[fact.version] = update.done["evaluate"].outputs["losses"]
    return replace(situation, verdicts={**situation.verdicts, fact.version: fact}, losses=losses)


def _watched(situation: Situation, fact: Watched) -> Situation:
    fired = {**situation.fired, fact.monitor: fact.time} if fact.findings else situation.fired
    return replace(
        situation,
        watched={**situation.watched, fact.monitor: fact},
        fired=fired,
        findings=(*situation.findings, *fact.findings),
    )


def _fold_update(situation: Situation, fact: Fact) -> Situation:
    match fact:
        case UpdateOpened():
            opened = replace(situation, update=Progress(fact))
            if fact.confirms:
                return replace(opened, confirmations=(*situation.confirmations, fact))
            if fact.bundle:  # what triggers count from is the last training
                return opened
            return replace(opened, opened=fact, findings=())
        case UpdateClosed():
            failures = situation.failures + 1 if fact.outcome == "failed" else 0
            return replace(situation, update=None, closed=fact, failures=failures)
        case RunStarted() if fact.step in ASIDE:
            return replace(situation, aside=fact)
        case RunFinished() if fact.step in ASIDE:
            compacted = int(fact.result.get("compacted", situation.compacted))
            return replace(situation, aside=None, aside_failed=None, compacted=compacted)
        case RunFailed() if fact.step in ASIDE:
            return replace(situation, aside=None, aside_failed=fact)
        case RunStarted():
            return _progress(situation, fact.update, running=fact, failed=None)
        case RunFinished():
            done = {**(situation.update.done if situation.update else {}), fact.step: fact}
            return _progress(situation, fact.update, running=None, failed=None, lost=0, done=done)
        case RunFailed():
            lost = (situation.update.lost if situation.update else 0) + (fact.code == "lost")
            return _progress(situation, fact.update, running=None, failed=fact, lost=lost)
        case _:
            return situation


def _progress(situation: Situation, update: str, **changes: object) -> Situation:
    if situation.update is None or situation.update.opened.update != update:
        return situation
    return replace(situation, update=replace(situation.update, **changes))  # type: ignore[arg-type]  # fields of Progress


def quiet_until(fact: RunFailed | UpdateClosed | None, failures: int) -> timedelta:
    """How long to leave a thing alone after it failed: doubling from half a minute to an hour."""
    return timedelta(seconds=min(3600.0, 30.0 * 2 ** max(0, failures - 1))) if fact and failures else timedelta(0)
