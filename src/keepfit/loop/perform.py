"""perform(intent): does what `plan` decided, and appends the fact that it was done.

The deed comes before its fact, and every deed may be repeated: a controller killed between the two finds, at its next
turn, the same intent again, and the deed is then a no-op (a runner that serves the Version already, a finished Run with
the same key).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from keepfit.core.errors import KeepfitError, NotFound, StorageFault, Unavailable
from keepfit.core.facts import (
    Answered,
    Approved,
    Decided,
    Fact,
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
    slot_called,
    slot_name,
)
from keepfit.core.nouns import Digest, Held, Outcome, Ruling, SlotName, Verdict
from keepfit.core.places import Places
from keepfit.core.protocols import Clock
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.loop import intents as planned
from keepfit.loop.asides import compacting, marking, watching
from keepfit.loop.doubts import left_out
from keepfit.loop.executors import Ended, Executor
from keepfit.loop.forgetting import forget
from keepfit.loop.pipeline import Work, work
from keepfit.loop.situation import Progress, Situation
from keepfit.loop.targets import Target
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger

F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What deeds are done with."""

    places: Places
    ledger: Ledger
    clock: Clock
    executor: Executor
    target: Target
    new_id: Callable[[], str]

    @property
    def blobs(self) -> Blobs:
        """The store's files."""
        return Blobs(self.places.blobs)

    @property
    def trees(self) -> Trees:
        """The store's directories."""
        return Trees(self.places.trees)


def perform(intent: planned.Intent, situation: Situation, specification: Specification, hands: Hands) -> bool:
    """Do one intent; True when it led to a new fact, so that it is worth planning again at once."""
    facts = _facts(intent, situation, specification, hands)
    if facts:
        hands.ledger.append(*facts)
    return bool(facts)


def _facts(
    intent: planned.Intent, situation: Situation, specification: Specification, hands: Hands
) -> tuple[Fact, ...]:
    service, now = specification.service.name, hands.clock.now()
    match intent:
        case planned.Nothing(reason):
            known = situation.decided
            if situation.update or (known and not known.fire and _gist(known.reason) == _gist(reason)):
                return ()
            return (Decided(service=service, time=now, fire=False, reason=reason),)
        case planned.Watch(monitors):
            return _start(watching(monitors, situation, specification), hands)
        case planned.Mark(on):
            return _start(marking(on, situation, specification), hands)
        case planned.Compact(records):
            return _start(compacting(records, situation, specification), hands)
        case planned.Decide(reason):
            return (Decided(service=service, time=now, fire=True, reason=reason),)
        case planned.Open():
            return _open(intent, situation, specification, hands)
        case planned.Run(step):
            return _run(step, situation, specification, hands)
        case planned.Register(digest):
            return _register(digest, situation, specification, hands)
        case planned.Record(version):
            return _record(version, situation, service, hands)
        case planned.Swap():
            return _swap(intent, situation, service, hands)
        case planned.Quarantine(version, reason, evaluation):
            return (Quarantined(service=service, time=now, version=version, reason=reason, evaluation=evaluation),)
        case planned.Approve(request):
            return (_approved(request, service, now),)
        case planned.Forget(request):
            return forget(request, situation, hands)
        case planned.Close():
            return _close(intent, situation, service, hands)
        case planned.Answer(request_id, done, reason):
            return (Answered(service=service, time=now, request=request_id, done=done, reason=reason),)


def _approved(request: Requested, service: str, now: datetime) -> Approved:
    reason = f"forced: {request.reason}"
    return Approved(service=service, time=now, version=request.version, actor=request.actor, yes=True, reason=reason)


def _gist(reason: str) -> str:
    """A reason without its numbers: a count that grows is not a new decision."""
    return "".join(character for character in reason if not character.isdigit())


def _open(intent: planned.Open, situation: Situation, specification: Specification, hands: Hands) -> tuple[Fact, ...]:
    service, now = specification.service.name, hands.clock.now()
    applied = situation.applied
    assert applied is not None  # noqa: S101  # only applied Services are planned for
    opened = UpdateOpened(
        service=service,
        time=now,
        update=hands.new_id(),
        reason=intent.reason,
        parent=intent.parent,
        as_of=now,
        specification=applied.specification,
        records=situation.records,
        labels=situation.labels,
        request=intent.request,
        dataset=intent.dataset,
        confirms=intent.confirms,
        bundle=intent.bundle,
        origin=intent.origin,
        left_out=() if intent.confirms else left_out(situation.doubts, specification.service.recipe.looks),
    )
    decided = Decided(service=service, time=now, fire=True, reason=intent.reason)
    return (decided, opened) if intent.decided else (opened,)


def _run(step: str, situation: Situation, specification: Specification, hands: Hands) -> tuple[Fact, ...]:
    update = situation.update
    assert update is not None  # noqa: S101  # plan proposes a step only for an open update
    todo = work(step, update.opened, specification, done=update.done, versions=situation.versions)
    if step == "freeze" and situation.forgotten:
        todo = replace(todo, parameters={**todo.parameters, "without": sorted(situation.forgotten)})
    found = hands.ledger.last(RunFinished, todo.service, subject=todo.key)
    if found is not None and _intact(found, hands):
        return (_reused(found, todo, hands),)
    return _start(todo, hands)


def _reused(found: RunFinished, todo: Work, hands: Hands) -> RunFinished:
    return RunFinished(
        service=todo.service,
        time=hands.clock.now(),
        key=found.key,
        run=found.run,
        step=todo.step,
        update=todo.update,
        outputs=found.outputs,
        result=found.result,
        cpu_seconds=0.0,
        wall_seconds=0.0,
        granted=f"nothing was run: the result of run {found.run} is used",
    )


def _intact(found: RunFinished, hands: Hands) -> bool:
    """Whether the outputs still match their digests; altered ones are made again."""
    blobs, trees = hands.blobs, hands.trees
    try:
        for digest in found.outputs.values():
            _ = trees.path(digest) if trees.has(digest) else blobs.path(digest)
    except (StorageFault, NotFound):
        return False
    return True


def _start(todo: Work, hands: Hands) -> tuple[Fact, ...]:
    run = hands.new_id()
    process = hands.executor.start(run, todo)
    now = hands.clock.now()
    return (
        RunStarted(
            service=todo.service,
            time=now,
            key=todo.key,
            run=run,
            step=todo.step,
            update=todo.update,
            process=process,
            inputs=todo.inputs,
        ),
    )


def settle(started: RunStarted, ended: Ended, hands: Hands) -> tuple[Fact, ...]:
    """The facts of an ended Run: finished or failed, and what a look of Monitors saw."""
    now = hands.clock.now()
    common: dict[str, Any] = {name: getattr(started, name) for name in ("service", "key", "run", "step", "update")}
    spent = ("cpu_seconds", "wall_seconds", "granted", "yields", "held", "interference")
    common |= {name: getattr(ended, name) for name in spent}
    if ended.code:
        return (RunFailed(**common, time=now, code=ended.code, reason=ended.reason),)
    finished = RunFinished(**common, time=now, outputs=ended.outputs, result=ended.result)
    looks, marks = ended.result.get("looks", ()), ended.result.get("marks", ())
    seen = (_seen(Watched, look, started.service, now) for look in looks)
    marked = (_seen(Marked, mark, started.service, now) for mark in marks)
    return (finished, *seen, *marked)


def _seen(kind: type[F], look: dict[str, Any], service: str, now: datetime) -> F:
    return from_plain(kind, {**look, "service": service, "time": now.isoformat()})


def _learnt(update: Progress, specification: Specification) -> tuple[Digest, ...]:
    """The Datasets of an update that its Version learns from: with `refit` the one held out as well."""
    if update.opened.bundle or "freeze" not in update.done:
        return ()
    made = update.done["freeze"].outputs
    names = ("train", "holdout") if specification.service.recipe.refit else ("train",)
    return tuple(made[name] for name in names)


def _register(digest: Digest, situation: Situation, specification: Specification, hands: Hands) -> tuple[Fact, ...]:
    update = situation.update
    assert update is not None  # noqa: S101
    known = next((version for version in situation.versions.values() if version.digest == digest), None)
    trained = update.done.get("train")
    return (
        VersionRegistered(
            service=specification.service.name,
            time=hands.clock.now(),
            number=known.number if known else max(situation.versions, default=0) + 1,
            digest=digest,
            parent=known.parent if known else 0 if update.opened.bundle else update.opened.parent,
            update=update.opened.update,
            origin=update.opened.origin,
            memory=trained.outputs.get("memory", "") if trained else "",
            datasets=_learnt(update, specification),
        ),
    )


def _record(version: int, situation: Situation, service: str, hands: Hands) -> tuple[Fact, ...]:
    update = situation.update
    assert update is not None  # noqa: S101
    made = update.done["judge"].outputs["verdict"]
    verdict = from_plain(Verdict, msgspec.json.decode(hands.blobs.get(made)))
    return (
        Judged(
            service=service,
            time=hands.clock.now(),
            version=version,
            against=update.opened.parent,
            outcome=verdict.outcome,
            rulings=verdict.rulings,
            evaluation=update.done["evaluate"].outputs["evidence"],
            update=update.opened.update,
        ),
    )


def _swap(intent: planned.Swap, situation: Situation, service: str, hands: Hands) -> tuple[Fact, ...]:
    try:
        if intent.version:
            held = Held(intent.version, situation.bundles[intent.version])
            hands.target.swap(service, held, slot=intent.slot, share=intent.share, key=intent.key)
        else:
            hands.target.clear(service, intent.slot)
    except Unavailable:
        return ()  # the runner is being started; the next turn asks again
    except KeepfitError as error:
        return _swap_refused(intent, error, situation, service, hands)
    if intent.cause == "restore":
        return ()
    swapped = Swapped(
        service=service,
        time=hands.clock.now(),
        slot=intent.slot,
        before=situation.held(intent.slot),
        after=intent.version,
        cause=intent.cause,
        reason=intent.reason,
        records=situation.records,
        labels=situation.labels,
        share=intent.share,
        key=intent.key,
        request=intent.request,
    )
    return (swapped, *_left(swapped, situation))


def _left(swapped: Swapped, situation: Situation) -> tuple[Swapped, ...]:
    """What a promotion leaves: a Version that goes live is canary and shadow no more."""
    slot, major = slot_called(swapped.slot)
    if slot is not SlotName.LIVE:
        return ()
    others = [slot_name(other, major) for other in (SlotName.CANARY, SlotName.SHADOW)]
    return tuple(
        replace(swapped, slot=other, before=swapped.after, after=0)
        for other in others
        if situation.held(other) == swapped.after
    )


def _swap_refused(
    intent: planned.Swap, error: KeepfitError, situation: Situation, service: str, hands: Hands
) -> tuple[Fact, ...]:
    """A runner that refuses a Bundle has the last word: the old Version goes on answering."""
    if intent.request:
        told = {"request": intent.request, "reason": str(error), "code": error.code}
        return (Answered(service=service, time=hands.clock.now(), done=False, **told),)
    if situation.update:
        refused = planned.Close("refused", f"the runner refused v{intent.version}: {error}")
        return _close(refused, situation, service, hands)
    return ()


def _close(intent: planned.Close, situation: Situation, service: str, hands: Hands) -> tuple[Fact, ...]:
    update = situation.update
    assert update is not None  # noqa: S101
    if update.running:
        hands.executor.stop(update.running.run, update.running.process)
    opened, now, outcome, reason = update.opened, hands.clock.now(), intent.outcome, intent.reason
    closed = UpdateClosed(
        service=service, time=now, update=opened.update, outcome=outcome, reason=reason, version=update.version
    )
    verdict = (_unevaluated(intent, update, service, now),) if intent.unjudged and update.version else ()
    if not opened.request:
        return (*verdict, closed)
    told = f"v{update.version} {outcome}: {reason}" if update.version else f"{outcome}: {reason}"
    done = outcome in ("passed", "held", "refused")
    return (*verdict, closed, Answered(service=service, time=now, request=opened.request, done=done, reason=told))


def _unevaluated(intent: planned.Close, update: Progress, service: str, now: datetime) -> Judged:
    """The Verdict on a Bundle from outside that could not be evaluated: refused where it is at fault, else held."""
    outcome = Outcome.REFUSE if intent.outcome == "refused" else Outcome.HOLD
    return Judged(
        service=service,
        time=now,
        version=update.version,
        against=update.opened.parent,
        outcome=outcome,
        rulings=(Ruling("Evaluated", outcome, intent.reason),),
        evaluation="",
        update=update.opened.update,
    )
