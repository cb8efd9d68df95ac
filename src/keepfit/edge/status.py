"""status: where every Service stands, what the loop is doing about it, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from keepfit.core.errors import NotFound
from keepfit.core.facts import Failed, RunFinished, slot_called, slot_name
from keepfit.core.nouns import Digest, Outcome, SlotName
from keepfit.edge.telling import beside, told
from keepfit.loop.pipeline import steps_of
from keepfit.loop.situation import Progress, Situation, fold
from keepfit.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    """A Version: where it comes from, what was ruled on it, whether it answers now."""

    number: int
    digest: Digest
    parent: int
    update: str
    time: datetime
    verdict: Outcome | None = None
    reasons: tuple[str, ...] = ()
    approved: str = ""
    live: bool = False
    quarantined: bool = False
    origin: str = ""


@dataclass(frozen=True, kw_only=True)
class SlotStatus:
    """What a Slot holds, by name (`canary`, `live@2`); a canary's share and key; how many requests it answered.

    `answered` and `failed` are those of the front workers that run now; None where the runner does not say.
    """

    slot: str
    version: int
    share: float = 0.0
    key: str = ""
    answered: int | None = None
    failed: int | None = None


@dataclass(frozen=True, kw_only=True)
class UpdateStatus:
    """The open update: its steps with how far each is."""

    update: str
    reason: str
    since: datetime
    steps: tuple[tuple[str, str], ...]
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """One Service at one moment. `runner` is what the runner says of itself, empty where it cannot be asked.

    `beside` is how the last training got on beside serving, and what it was granted.
    """

    service: str
    time: datetime
    specification: Digest
    live: int
    previous: int
    doing: str
    slots: tuple[SlotStatus, ...] = ()
    versions: tuple[VersionStatus, ...] = ()
    records: int = 0
    labels: int = 0
    update: UpdateStatus | None = None
    events: tuple[tuple[datetime, str], ...] = ()
    waiting: tuple[str, ...] = ()
    runner: dict[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()


class Histories:
    """The Situation of every Service, folded from the ledger and kept up to date; safe to ask from threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = 0
        self._lock = Lock()
        self._situations: dict[str, Situation] = {}
        self._failed: dict[str, Failed] = {}

    def services(self) -> tuple[str, ...]:
        """The Services that were applied, by name."""
        with self._lock:
            self._read()
            return tuple(sorted(name for name, one in self._situations.items() if one.applied))

    def of(self, service: str) -> Situation:
        """The Situation of a Service by the facts; NotFound lists the Services there are."""
        known = self.services()
        if service not in known:
            raise NotFound(f"there is no service '{service}'; there are: {', '.join(known) or 'none'}")
        return self._situations[service]

    def failed(self, service: str) -> Failed | None:
        """The last background failure of a Service, or of the loop as a whole."""
        found = [self._failed[name] for name in (service, "") if name in self._failed]
        return max(found, key=lambda fact: fact.time, default=None)

    def _read(self) -> None:
        for row in self._ledger.facts(after=self._seen):
            self._seen = row.seq
            fact = row.fact
            if isinstance(fact, Failed):
                self._failed[fact.service] = fact
            before = self._situations.get(fact.service) or Situation(now=fact.time)
            self._situations[fact.service] = fold(before, fact)


def status_of(service: str, situation: Situation, *, failed: Failed | None, runner: dict[str, Any]) -> ServiceStatus:
    """What people are shown of a Situation; its counts of records and labels are taken as they are."""
    applied, swap = situation.applied, situation.swap
    assert applied is not None  # noqa: S101  # Histories lists only what was applied
    return ServiceStatus(
        service=service,
        time=applied.time,
        specification=applied.specification,
        live=situation.live,
        previous=swap.before if swap else 0,
        doing=_doing(situation),
        slots=slots_of(service, runner, _placements(situation)),
        versions=versions_of(situation),
        records=situation.records,
        labels=situation.labels,
        update=_update(situation.update) if situation.update else None,
        events=tuple(sorted(_events(situation, failed))),
        waiting=tuple(f"{request.deed} asked by {request.actor}: {request.reason}" for request in situation.requests),
        runner=runner,
        beside=_beside(situation.trained) if situation.trained else (),
    )


def _beside(trained: RunFinished) -> tuple[str, ...]:
    return (str(trained.granted), *beside(trained, trained.wall_seconds))


def _placements(situation: Situation) -> dict[str, Any]:
    """What the Slots hold by the facts, for when no runner can be asked; in the runner's own form."""
    majors: dict[str, Any] = {}
    for name, swap in situation.slots.items():
        slot, major = slot_called(name)
        placed = majors.setdefault(str(major), {})
        placed[slot.value] = {"version": swap.after} if swap.after else None
        if slot is SlotName.CANARY:
            placed |= {"share": swap.share, "key": swap.key}
    return majors


def slots_of(service: str, runner: dict[str, Any], known: dict[str, Any]) -> tuple[SlotStatus, ...]:
    """The Slots that hold a Version, by what the runner says, else by what is `known`: placements by major."""
    answered: dict[tuple[str, str, int], Any] = {}
    for worker in runner.get("workers", ()):
        for one in worker.get("answered", ()):
            counts = answered.setdefault((one["model"], one["slot"], one["version"]), [0, 0])
            counts[0] += one["requests"]
            counts[1] += one["failed"]
    return tuple(_slots(service, runner.get("majors", known), answered))


def _slots(service: str, majors: dict[str, Any], answered: dict[tuple[str, str, int], Any]) -> Iterator[SlotStatus]:
    for major, placed in sorted(majors.items()):
        model = service if major == "1" else f"{service}@{major}"
        for slot in SlotName:
            held = placed.get(slot.value)
            if not held:
                continue
            counts = answered.get((model, slot.value, held["version"]), (None, None))
            is_canary = slot is SlotName.CANARY
            yield SlotStatus(
                slot=slot_name(slot, int(major)),
                version=held["version"],
                share=placed.get("share", 0.0) if is_canary else 0.0,
                key=placed.get("key", "") if is_canary else "",
                answered=counts[0],
                failed=counts[1],
            )


def versions_of(situation: Situation) -> tuple[VersionStatus, ...]:
    """All Versions, the newest last."""
    return tuple(_version(number, situation) for number in sorted(situation.versions))


def _version(number: int, situation: Situation) -> VersionStatus:
    made, judged = situation.versions[number], situation.verdicts.get(number)
    approval = situation.approvals.get(number)
    return VersionStatus(
        number=number,
        digest=made.digest,
        parent=made.parent,
        update=made.update,
        time=made.time,
        verdict=judged.outcome if judged else None,
        reasons=tuple(f"{ruling.gate}: {ruling.reason}" for ruling in judged.rulings) if judged else (),
        approved=f"{'yes' if approval.yes else 'no'} by {approval.actor}: {approval.reason}" if approval else "",
        live=number == situation.live,
        quarantined=number in situation.quarantined,
        origin=made.origin,
    )


def _doing(situation: Situation) -> str:
    update = situation.update
    if update:
        what = f"confirming v{update.opened.confirms}" if update.opened.confirms else f"update {update.opened.update}"
        what = f"judging v{update.version}, {update.opened.origin}" if update.opened.bundle else what
        step = f", {update.running.step} is running" if update.running else ""
        return f"{what}{step}, because {update.opened.reason}"
    decided = situation.decided
    return f"waiting: {decided.reason}" if decided else "nothing was decided yet"


def _update(progress: Progress) -> UpdateStatus:
    opened, running = progress.opened, progress.running
    return UpdateStatus(
        update=opened.update,
        reason=opened.reason,
        since=opened.time,
        steps=tuple((step, _state(step, progress)) for step in steps_of(opened)),
        run=running.run if running else "",
    )


def _state(step: str, progress: Progress) -> str:
    if step in progress.done:
        return "done"
    if progress.running and progress.running.step == step:
        return "running"
    if progress.failed and progress.failed.step == step:
        return f"failed: {progress.failed.reason}"
    return "waiting"


def _events(situation: Situation, failed: Failed | None) -> Iterator[tuple[datetime, str]]:
    """The latest of each thing that happened."""
    for fact in (*situation.slots.values(), situation.closed, failed):
        if fact:
            yield fact.time, told(fact)
    for watched in situation.watched.values():
        for finding in watched.findings:
            yield watched.time, f"{watched.monitor}: {finding.sentence}"
