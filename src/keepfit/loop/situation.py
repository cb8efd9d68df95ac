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
    Forgotten,
    Judged,
    Marked,
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
from keepfit.core.nouns import Digest, Finding, FindingKind, Mark, SlotName
from keepfit.loop.doubts import Doubt, doubted

ASIDE = ("watch", "compact", "mark")
"""Steps that belong to no update."""

KEPT = 200
"""Marks, costs and releases that are kept for triggers: the latest ones."""


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
    `aside` is the Run under way beside any update, a look of Monitors, a Mark or a compaction; `compacted` how many
    Records the Stream held at the last `compaction`.

    For triggers: `marks` of all Versions, `marked` the last of the live Version on labels and on records; `measures`
    what each Version was judged on, by name; `spent` the CPU-seconds of the open update, `costs` those of the last
    ones; `releases` when Versions went live; `arrivals` how many labels there were when, since the last update;
    `answered` what was found before it, and led to it; `remembered` the decision to update that was made while one was
    open, or before the newest Records were looked at. `looked` is when the last look that ended well began, `seen` how
    many Records there were when each Monitor last looked, whatever was live, `doubts` what looks found to have moved.
    `forgotten` are the ids of Records that no update learns from again, `forgetting` the last request for it; since
    then so many of their rows were `erased` from the Stream and so many left in what is being written, None if unknown.
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
    compaction: datetime | None = None
    findings: tuple[Finding, ...] = ()
    losses: Mapping[int, Digest] = field(default_factory=dict)
    decided: Decided | None = None
    trained: RunFinished | None = None
    marks: tuple[Mark, ...] = ()
    marked: Mapping[str, Marked] = field(default_factory=dict)
    measures: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    spent: float = 0.0
    costs: tuple[float, ...] = ()
    releases: tuple[datetime, ...] = ()
    arrivals: tuple[tuple[datetime, int], ...] = ()
    answered: frozenset[tuple[FindingKind, str]] = frozenset()
    remembered: Decided | None = None
    looked: datetime | None = None
    seen: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    forgotten: frozenset[str] = frozenset()
    forgetting: str = ""
    erased: tuple[int, int] | None = None

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
            return replace(situation, decided=fact, remembered=fact if fact.fire else situation.remembered)
        case Swapped():
            known = replace(situation, slots={**situation.slots, fact.slot: fact})
            if fact.slot != SlotName.LIVE:
                return known
            releases = (*situation.releases, fact.time)[-KEPT:] if fact.cause != "rollback" else situation.releases
            fresh = replace(known, swap=fact, watched={}, fired={}, findings=(), confirmations=())
            return replace(fresh, marked={}, releases=releases)
        case Watched():
            return _watched(situation, fact)
        case Marked():
            marks = (*situation.marks, fact.mark)[-KEPT:]
            own = dict.fromkeys(fact.on, fact) if fact.version == situation.live else {}
            known = replace(situation, marks=marks, marked={**situation.marked, **own})
            return _arrived(known, fact.mark.time, fact.labels)
        case Forgotten():
            return _forgotten(situation, fact)
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
    return replace(
        situation,
        verdicts={**situation.verdicts, fact.version: fact},
        losses=losses,
        measures={**situation.measures, fact.version: _measures(update)},
    )


def _measures(update: Progress) -> Mapping[str, float]:
    """What the candidate was judged on: metrics by name, such as `auc of all`."""
    evaluated = update.done.get("evaluate")
    found = evaluated.result.get("measures", {}) if evaluated else {}
    return {name: float(value) for name, value in found.items() if value is not None}


def _arrived(situation: Situation, when: datetime, labels: int) -> Situation:
    """How many labels there were at a moment since the last update."""
    known = situation.arrivals
    if known and (when <= known[-1][0] or labels < known[-1][1]):
        return situation
    return replace(situation, arrivals=(*known[:1], *known[1:][-KEPT:], (when, labels)))


def _forgotten(situation: Situation, fact: Forgotten) -> Situation:
    versions = {
        number: replace(
            version,
            memory=fact.memories.get(version.memory, version.memory),
            datasets=tuple(fact.datasets.get(digest, digest) for digest in version.datasets),
        )
        for number, version in situation.versions.items()
    }
    theirs = next((request.records for request in situation.requests if request.id == fact.request), ())
    losses = {number: fact.datasets.get(digest, digest) for number, digest in situation.losses.items()}
    known = replace(situation, versions=versions, losses=losses, forgotten=situation.forgotten | frozenset(theirs))
    return replace(known, forgetting=fact.request, erased=None)


def _erased(situation: Situation, fact: RunFinished) -> Situation:
    before, _ = situation.erased or (0, 0)
    return replace(situation, erased=(before + int(fact.result["erased"]), int(fact.result["left"])))


def _watched(situation: Situation, fact: Watched) -> Situation:
    fact = replace(fact, findings=_counted(situation.watched.get(fact.monitor), fact.findings))
    fired = {**situation.fired, fact.monitor: fact.time} if fact.findings else situation.fired
    return _arrived(
        replace(
            situation,
            watched={**situation.watched, fact.monitor: fact},
            fired=fired,
            findings=(*situation.findings, *fact.findings),
            doubts=doubted(situation.doubts, fact),
            seen={**situation.seen, fact.monitor: fact.records},
        ),
        fact.time,
        fact.labels,
    )


def _counted(last: Watched | None, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Findings with the number of looks in a row that have found the same: what is found once may be gone again."""
    before = {(one.subject, one.kind): one.looks for one in last.findings} if last else {}
    return tuple(replace(one, looks=before.get((one.subject, one.kind), 0) + 1) for one in findings)


def _fold_update(situation: Situation, fact: Fact) -> Situation:
    match fact:
        case UpdateOpened():
            opened = replace(situation, update=Progress(fact))
            if fact.confirms:
                return replace(opened, confirmations=(*situation.confirmations, fact))
            if fact.bundle:  # what triggers count from is the last training
                return opened
            return _began(opened, fact)
        case UpdateClosed():
            unmade = fact.outcome == "failed" or (fact.outcome == "refused" and not fact.version)
            failures = situation.failures + 1 if unmade else 0
            trained = situation.update is not None and "train" in situation.update.done
            costs = (*situation.costs, situation.spent)[-KEPT:] if trained else situation.costs
            return replace(situation, update=None, closed=fact, failures=failures, costs=costs)
        case RunStarted() if fact.step in ASIDE:
            return replace(situation, aside=fact)
        case RunFinished() if fact.step in ASIDE:
            compacted = int(fact.result.get("compacted", situation.compacted))
            looked = situation.aside.time if situation.aside and fact.step == "watch" else situation.looked
            known = replace(situation, aside=None, aside_failed=None, compacted=compacted, looked=looked)
            known = replace(known, compaction=fact.time) if fact.step == "compact" else known
            return _erased(known, fact) if "erased" in fact.result else known
        case RunFailed() if fact.step in ASIDE:
            return replace(situation, aside=None, aside_failed=fact)
        case RunStarted():
            return _progress(situation, fact.update, running=fact, failed=None)
        case RunFinished():
            done = {**(situation.update.done if situation.update else {}), fact.step: fact}
            if fact.step == "train" and fact.wall_seconds > 0.0:  # one that was reused tells nothing new
                situation = replace(situation, trained=fact)
            situation = replace(situation, spent=situation.spent + fact.cpu_seconds)
            return _progress(situation, fact.update, running=None, failed=None, lost=0, done=done)
        case RunFailed():
            lost = (situation.update.lost if situation.update else 0) + (fact.code == "lost")
            situation = replace(situation, spent=situation.spent + fact.cpu_seconds)
            return _progress(situation, fact.update, running=None, failed=fact, lost=lost)
        case _:
            return situation


def _began(situation: Situation, fact: UpdateOpened) -> Situation:
    """A training begins: what triggers count begins anew."""
    return replace(
        situation,
        opened=fact,
        findings=(),
        spent=0.0,
        arrivals=((fact.time, fact.labels),),
        answered=frozenset((finding.kind, finding.subject) for finding in situation.findings),
        remembered=None,
    )


def _progress(situation: Situation, update: str, **changes: object) -> Situation:
    if situation.update is None or situation.update.opened.update != update:
        return situation
    return replace(situation, update=replace(situation.update, **changes))  # type: ignore[arg-type]  # fields of Progress


def quiet_until(fact: RunFailed | UpdateClosed | None, failures: int) -> timedelta:
    """How long to leave a thing alone after it failed: doubling from half a minute to an hour."""
    return timedelta(seconds=min(3600.0, 30.0 * 2 ** max(0, failures - 1))) if fact and failures else timedelta(0)
