"""The desk behind the API's doors: reads what is known, and writes down what people wish."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from keepfit.core.errors import Conflict, Invalid, KeepfitError, NotFound
from keepfit.core.facts import (
    KINDS,
    Answered,
    Approved,
    Decided,
    Requested,
    RunFailed,
    RunFinished,
    RunStarted,
    Watched,
    slot_name,
)
from keepfit.core.nouns import RECORD_ID, Conditions, SlotName
from keepfit.core.places import Places
from keepfit.core.protocols import Clock
from keepfit.core.registry import to_plain
from keepfit.core.signature import Field
from keepfit.edge import asked
from keepfit.edge.apply import Applying, record, specification_at
from keepfit.edge.belonging import records_of
from keepfit.edge.status import Histories, ServiceStatus, VersionStatus, status_of, versions_of
from keepfit.loop.executors import read_granted
from keepfit.loop.targets import Local
from keepfit.serve.manifest import manifest
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger
from keepfit.store.streams import Stream

_RUN = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the doors lead to. Every method may be called from any thread."""

    places: Places
    ledger: Ledger
    clock: Clock
    target: Local
    new_id: Callable[[], str]
    histories: Histories
    _streams: dict[str, Stream] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def services(self) -> list[dict[str, Any]]:
        """Every Service with its live Version."""
        return [{"service": name, "live": self.histories.of(name).live} for name in self.histories.services()]

    def service(self, service: str) -> dict[str, Any]:
        """The specification in force."""
        applied = self.histories.of(service).applied
        assert applied is not None  # noqa: S101  # Histories knows only applied Services
        specification = to_plain(specification_at(applied.specification, self.places))
        return {**to_plain(applied), "digest": applied.specification, "specification": specification}

    def status(self, service: str) -> ServiceStatus:
        """Where the Service stands, with what its runner says."""
        situation = self.histories.of(service)
        with self._lock:
            stream = self._streams.setdefault(service, Stream(self.places.stream(service)))
            counts = stream.counts()
        now = replace(situation, records=counts.records, labels=counts.labels)
        return status_of(service, now, failed=self.histories.failed(service), runner=self._runner(service))

    def _runner(self, service: str) -> dict[str, Any]:
        try:
            return {**self.target.status(service), "url": self.target.address(service)}
        except KeepfitError:
            return {}

    def versions(self, service: str) -> tuple[VersionStatus, ...]:
        """All Versions of the Service, the newest last."""
        return versions_of(self.histories.of(service))

    def version(self, service: str, number: int) -> dict[str, Any]:
        """One Version with the manifest of its Bundle and the evidence of its Verdict."""
        found = next((version for version in self.versions(service) if version.number == number), None)
        if found is None:
            raise NotFound(f"'{service}' has no version {number}; it has {len(self.versions(service))} versions")
        judged = self.histories.of(service).verdicts.get(number)
        manifest = Trees(self.places.trees).path(found.digest) / "bundle.json"
        evidence = Blobs(self.places.blobs).get(judged.evaluation) if judged and judged.evaluation else b"null"
        return {
            **to_plain(found),
            "bundle": msgspec.json.decode(manifest.read_bytes()),
            "evidence": msgspec.json.decode(evidence),
        }

    def facts(self, service: str, kind: str, *, after: int, limit: int, newest: bool) -> list[dict[str, Any]]:
        """The facts of a Service, of one kind or of all, from a sequence number on."""
        self.histories.of(service)
        if kind and kind not in KINDS:
            raise Invalid(f"there is no kind of fact '{kind}'; there are: {', '.join(KINDS)}")
        rows = self.ledger.facts(service, KINDS.get(kind), after=after, limit=limit, newest=newest)
        return [{"seq": row.seq, "kind": type(row.fact).__name__, **to_plain(row.fact)} for row in rows]

    def findings(self, service: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        """What Monitors found out of line, and what the checks of the data that updates learn from did."""
        self.histories.of(service)
        facts: dict[int, Watched | RunFinished] = {}
        facts |= {row.seq: row.fact for row in self.ledger.facts(service, Watched, after=after, limit=limit)}
        facts |= {row.seq: row.fact for row in self.ledger.facts(service, RunFinished, after=after, limit=limit)}
        found = []
        for seq in sorted(facts)[:limit]:
            fact = facts[seq]
            name = fact.monitor if isinstance(fact, Watched) else fact.step
            told = {"seq": seq, "time": to_plain(fact.time), "monitor": name}
            found += [{**told, **finding} for finding in self._findings(fact)]
        return found

    def _findings(self, fact: Watched | RunFinished) -> list[dict[str, Any]]:
        if isinstance(fact, Watched):
            return [to_plain(finding) for finding in fact.findings]
        if fact.step != "check" or not fact.result.get("findings"):
            return []
        kept: list[dict[str, Any]] = msgspec.json.decode(Blobs(self.places.blobs).get(fact.outputs["findings"]))
        return kept

    def decisions(self, service: str, *, after: int, limit: int) -> list[dict[str, Any]]:
        """What the loop decided, also when it was to do nothing."""
        return self.facts(service, Decided.__name__, after=after, limit=limit, newest=False)

    def runs(self, service: str, *, limit: int) -> list[asked.RunStatus]:
        """The latest Runs of a Service, the newest last."""
        self.histories.of(service)
        finished = self.ledger.facts(service, RunFinished, newest=True, limit=2 * limit)
        failed = self.ledger.facts(service, RunFailed, newest=True, limit=2 * limit)
        ended: dict[str, RunFinished | RunFailed] = {row.fact.run: row.fact for row in finished}
        ended.update({row.fact.run: row.fact for row in failed})
        started = self.ledger.facts(service, RunStarted, newest=True, limit=limit)
        return [
            _run(
                row.fact,
                ended.get(row.fact.run),
                self.clock.now(),
                granted=read_granted(self.places.run(row.fact.run)),
            )
            for row in sorted(started, key=lambda r: r.seq)
        ]

    def log(self, service: str, run: str) -> Path:
        """Where the log of a Run is."""
        self.histories.of(service)
        path = self.places.run(run) / "log"
        if not _RUN.fullmatch(run) or not path.is_file():
            raise NotFound(f"'{service}' has no log of a run '{run}'; `keepfit runs {service}` lists the runs")
        return path

    def ended(self, run: str) -> bool:
        """Whether a Run has its result; one whose worker vanished is over when the loop has noticed."""
        if (self.places.run(run) / "result.json").exists():
            return True
        return any(row.fact.run == run for row in self.ledger.facts(kind=RunFailed, newest=True, limit=50))

    def apply(self, wish: asked.Apply) -> Applying:
        """Put a stored Specification in force."""
        return record(wish.specification, self.places, self.ledger, actor=wish.actor, clock=self.clock)

    def update(self, service: str, wish: asked.Update) -> asked.Asked:
        """Ask for a candidate."""
        if wish.dataset and not Blobs(self.places.blobs).has(wish.dataset):
            raise NotFound(f"the store holds no dataset {wish.dataset}; `keepfit update --data FILE` puts one there")
        return self._ask(service, "update", wish.actor, wish.reason, dataset=wish.dataset)

    def swap(self, service: str, wish: asked.Swap) -> asked.Asked:
        """Ask for a Version to go live."""
        if wish.version not in self.histories.of(service).versions:
            raise NotFound(f"'{service}' has no version {wish.version}; `keepfit versions {service}` lists them")
        if wish.forced and not wish.reason:
            raise Invalid("a forced swap needs a reason, which is recorded; give one with --reason")
        self._check_canary(service, wish)
        is_canary = wish.slot is SlotName.CANARY
        return self._ask(
            service,
            "swap",
            wish.actor,
            wish.reason or f"asked by {wish.actor}",
            version=wish.version,
            forced=wish.forced,
            slot=slot_name(wish.slot, wish.major),
            share=wish.share if is_canary else 0.0,
            key=wish.key if is_canary else "",
        )

    def _check_canary(self, service: str, wish: asked.Swap) -> None:
        if not 0.0 <= wish.share <= 1.0:
            raise Invalid(f"share: expected a number from 0 to 1, found {wish.share}")
        applied = self.histories.of(service).applied
        assert applied is not None  # noqa: S101  # Histories knows only applied Services
        known = [RECORD_ID, *(field.name for field in specification_at(applied.specification, self.places).inputs)]
        if wish.key and wish.key not in known:
            raise Invalid(f"key: expected an input of '{service}', found '{wish.key}'; there are: {', '.join(known)}")

    def rollback(self, service: str, wish: asked.Rollback) -> asked.Asked:
        """Ask for the Version before to go live again."""
        slot = slot_name(SlotName.LIVE, wish.major)
        return self._ask(service, "rollback", wish.actor, wish.reason, slot=slot)

    def promote(self, service: str, wish: asked.Promote) -> asked.Asked:
        """Ask for what is canary or shadow to go live: a Swap like any other."""
        slot = slot_name(wish.slot, wish.major)
        version = self._held(service, slot)
        reason = f"{slot} is promoted: {wish.reason or f'asked by {wish.actor}'}"
        live = slot_name(SlotName.LIVE, wish.major)
        return self._ask(service, "swap", wish.actor, reason, version=version, forced=wish.forced, slot=live)

    def abort(self, service: str, wish: asked.Abort) -> asked.Asked:
        """Ask for a Slot to be emptied: a Swap to nothing."""
        slot = slot_name(wish.slot, wish.major)
        self._held(service, slot)
        if slot == SlotName.LIVE:
            raise Conflict("the live slot is never emptied; swap another version in", code="live_slot")
        return self._ask(service, "swap", wish.actor, wish.reason or f"asked by {wish.actor}", slot=slot)

    def _held(self, service: str, slot: str) -> int:
        held = self.histories.of(service).held(slot)
        if not held:
            raise Conflict(f"the {slot} slot of '{service}' is empty; `keepfit status` shows the slots", code="empty")
        return held

    def register(self, service: str, wish: asked.Register) -> asked.Asked:
        """Ask for a Bundle from outside to become a Version and to be judged."""
        situation = self.histories.of(service)
        known = next((number for number, digest in situation.bundles.items() if digest == wish.digest), 0)
        if known:
            raise Conflict(f"the bundle is v{known} of '{service}' already", code="known")
        bundle = manifest(Trees(self.places.trees).path(wish.digest))
        if bundle.service != service:
            raise Conflict(
                f"the bundle was made for '{bundle.service}', not '{service}'; onboard it with --service {service}",
                code="wrong_service",
            )
        assert situation.applied is not None  # noqa: S101  # Histories knows only applied Services
        wanted = specification_at(situation.applied.specification, self.places)
        if (bundle.task, bundle.label) != (wanted.task, wanted.label):
            raise Conflict(
                f"the bundle takes labels as {_shown(bundle.label)} ({bundle.task}), '{service}' as "
                f"{_shown(wanted.label)} ({wanted.task}); onboard it with --service {service}, which says so",
                code="wrong_label",
            )
        reason = wish.reason or f"{wish.actor} brought {wish.origin}"
        return self._ask(service, "register", wish.actor, reason, bundle=wish.digest, origin=wish.origin)

    def forget(self, service: str, wish: asked.Forget) -> asked.Asked:
        """Ask for Records to be taken out of every Memory of the Service."""
        ids = set(wish.ids) | (self._ids_of(service, wish.entity) if wish.entity else set())
        if not ids:
            raise Invalid("expected the ids of the records to forget, or an entity that has some; found none")
        told = wish.reason or f"asked by {wish.actor}"
        return self._ask(service, "forget", wish.actor, told, records=tuple(sorted(ids)))

    def _ids_of(self, service: str, entity: str) -> set[str]:
        """The Records of an entity, in the first data and in the Stream."""
        applied = self.histories.of(service).applied
        assert applied is not None  # noqa: S101  # Histories knows only applied Services
        specification = specification_at(applied.specification, self.places)
        name = specification.service.entity
        if name is None or name not in {field.name for field in specification.inputs}:
            raise Conflict(
                f"records of '{service}' do not say whose they are: expected a feature that the service names as its "
                f"entity, found {name!r}; give the ids of the records instead",
                code="no_entity",
            )
        return records_of(entity, name, specification.source, self.places, service)

    def _ask(self, service: str, deed: str, actor: str, reason: str, **given: Any) -> asked.Asked:
        self.histories.of(service)
        now, name = self.clock.now(), self.new_id()
        self.ledger.append(
            Requested(service=service, time=now, id=name, deed=deed, actor=actor, reason=reason, **given)
        )
        return asked.Asked(request=name)

    def answer(self, service: str, request: str) -> asked.Asked:
        """How a request ended, if it did."""
        told = self.ledger.last(Answered, service, subject=request)
        if told is not None:
            return asked.Asked(request=request, done=told.done, reason=told.reason, code=told.code)
        if self.ledger.last(Requested, service, subject=request) is None:
            raise NotFound(f"'{service}' has no request '{request}'")
        return asked.Asked(request=request)

    def approve(self, service: str, wish: asked.Approve) -> VersionStatus:
        """Record a person's yes or no."""
        if wish.version not in self.histories.of(service).versions:
            raise NotFound(f"'{service}' has no version {wish.version}; `keepfit versions {service}` lists them")
        if not wish.reason:
            raise Invalid("an approval needs a reason, which is recorded; give one with --reason")
        self.ledger.append(
            Approved(
                service=service,
                time=self.clock.now(),
                version=wish.version,
                actor=wish.actor,
                yes=wish.yes,
                reason=wish.reason,
            )
        )
        return next(version for version in self.versions(service) if version.number == wish.version)


def _shown(label: Field | None) -> str:
    return f"'{label.name}' {label.dtype}" if label else "none"


def _run(
    started: RunStarted, ended: RunFinished | RunFailed | None, now: datetime, *, granted: Conditions | None
) -> asked.RunStatus:
    common = asked.RunStatus(
        run=started.run,
        step=started.step,
        update=started.update,
        state="running",
        started=started.time.isoformat(),
        seconds=(now - started.time).total_seconds(),
    )
    if ended is None:
        return replace(common, granted=granted or "")
    common = replace(
        common,
        granted=ended.granted,
        yields=ended.yields,
        held=ended.held,
        interference=ended.interference,
    )
    match ended:
        case RunFinished():
            return replace(
                common,
                state="finished",
                seconds=ended.wall_seconds,
                cpu_seconds=ended.cpu_seconds,
                result=ended.result,
            )
        case RunFailed():
            seconds = ended.wall_seconds or (ended.time - started.time).total_seconds()
            return replace(common, state="failed", seconds=seconds, cpu_seconds=ended.cpu_seconds, reason=ended.reason)
