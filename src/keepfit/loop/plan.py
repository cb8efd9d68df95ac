"""plan(situation, specification) → intents: decides, and touches nothing.

Every intent is safe to repeat: the next turn derives it again from the facts until the fact it leads to is there. So a
controller that was killed at any moment simply starts again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from keepfit.core.facts import Requested, RunFailed, UpdateOpened
from keepfit.core.nouns import Decision, Digest, Outcome, Reference, Subject
from keepfit.core.service import Monitor, Specification
from keepfit.loop.intents import (
    Close,
    Compact,
    Decide,
    Intent,
    Mark,
    Nothing,
    Open,
    Quarantine,
    Record,
    Register,
    Run,
    Swap,
    Watch,
)
from keepfit.loop.pipeline import steps_of
from keepfit.loop.pulse import pulse_of
from keepfit.loop.situation import Progress, Situation, quiet_until
from keepfit.loop.wishes import wishes_of
from keepfit.watch.triggers.series import strides

ATTEMPTS = 3
"""How often a step whose worker vanished is started before the update is given up."""

COMPACT_AFTER = 100_000
"""Records after which sealed segments are moved into Parquet."""


def plan(situation: Situation, specification: Specification) -> tuple[Intent, ...]:
    """What to do now: wishes of people first, then the open update, then what Monitors and Triggers say."""
    wishes = tuple(wishes_of(situation))
    if wishes:
        return wishes
    looks = _aside(situation, specification)
    if situation.update:
        remembered = _remembered(situation, specification)
        return (*looks, *remembered, _advance(situation, situation.update, specification))
    if situation.live and situation.deployed is not None and situation.deployed != situation.live:
        number = situation.live
        return (Swap(number, "restore", f"the runner serves v{situation.deployed}, the ledger says v{number}"),)
    return (*looks, *_next_update(situation, specification))


def _advance(situation: Situation, update: Progress, specification: Specification) -> Intent:
    """The one next act of an open update."""
    opened = update.opened
    if overtaken := _overtaken(situation, update):
        return Close("held", overtaken)
    if update.running:
        return Nothing(f"{_title(opened)}: {update.running.step} is running")
    made = update.done.get("train")
    if opened.bundle and not update.version:
        return Register(opened.bundle)
    if update.failed and (update.failed.code != "lost" or update.lost >= ATTEMPTS):
        return _given_up(opened, update.failed)
    refusal = _stopped_by_data(update)
    if refusal:
        return Close(*refusal, unjudged=bool(opened.bundle))
    if made and not update.version:
        digest = made.outputs["bundle"]
        if digest == situation.bundles.get(situation.live):
            return Close("held", f"the same rows made the same bundle: v{situation.live}, which is live")
        return Register(digest)
    for step in steps_of(opened):
        if step not in update.done:
            return Run(step)
    number = opened.confirms or update.version
    if update.judged is None:
        return Record(number)
    return _after_verdict(situation, update, specification, number)


def _given_up(opened: UpdateOpened, failed: RunFailed) -> Close:
    """A step that fails: what cannot be trained, or a Bundle from outside that cannot be judged, is refused."""
    at_fault = failed.code != "lost" and (failed.step == "train" or bool(opened.bundle))
    reason = f"{failed.step}: {failed.reason}"
    return Close("refused" if at_fault else "failed", reason, unjudged=bool(opened.bundle))


def _overtaken(situation: Situation, update: Progress) -> str:
    """Why an update leads nowhere any more: another Version went live than the one its candidate is judged against."""
    opened, live = update.opened, situation.live
    if opened.confirms:
        return "" if live in (opened.confirms, opened.parent) else f"v{opened.confirms} left, v{live} is live now"
    if live in (opened.parent, update.version or opened.parent):
        return ""
    return f"it was to be judged against v{opened.parent}, but v{live} is live now"


def _stopped_by_data(update: Progress) -> tuple[str, str] | None:
    frozen = update.done.get("freeze")
    if frozen and frozen.result.get("short"):
        return "held", str(frozen.result["short"])
    checked = update.done.get("check")
    errors = checked.result.get("errors", []) if checked else []
    if errors:
        return "refused", "the data has errors and is never trained on: " + "; ".join(errors)
    return None


def _after_verdict(situation: Situation, update: Progress, specification: Specification, number: int) -> Intent:
    judged = update.judged
    assert judged is not None  # noqa: S101  # the caller records the Verdict first
    reasons = "; ".join(f"{ruling.gate}: {ruling.reason}" for ruling in judged.rulings)
    opened = update.opened
    if opened.confirms:
        return _after_confirmation(situation, opened, judged.outcome, reasons=reasons, evaluation=judged.evaluation)
    if judged.outcome is Outcome.REFUSE:
        return Close("refused", reasons)
    if judged.outcome is Outcome.HOLD:
        return Close("held", reasons)
    if situation.live == number:
        return Close("passed", reasons)
    if opened.bundle:  # it may have learnt from the very rows that it was judged on
        return Close("passed", f"{reasons}; it waits for: keepfit swap {opened.service} {number}")
    if not specification.service.rollout.automatic:
        return Close("held", f"v{number} passed and waits for: keepfit swap {opened.service} {number}")
    return Swap(number, "promote", reasons)


def _after_confirmation(
    situation: Situation, opened: UpdateOpened, outcome: Outcome, *, reasons: str, evaluation: Digest
) -> Intent:
    if outcome is not Outcome.REFUSE:
        return Close("confirmed" if outcome is Outcome.PASS else "held", reasons)
    if opened.confirms not in situation.quarantined:
        return Quarantine(opened.confirms, reasons, evaluation)
    if situation.live == opened.confirms:
        return Swap(opened.parent, "rollback", reasons)
    return Close("refused", reasons)


def _next_update(situation: Situation, specification: Specification) -> Iterator[Intent]:
    """The update that is due; what came last is looked at first, because what is out of line is not learnt."""
    for request in situation.requests:
        if request.deed in ("update", "register"):
            if not _looks_first(situation, specification, request.time):
                yield _asked_for(request, situation.live)
            return
    rest = _resting(situation)
    if rest:
        yield Nothing(rest)
    elif not situation.live and not situation.versions:
        yield Open("there is no version yet", parent=0)
    elif confirmation := _confirmation(situation, specification):
        yield confirmation
    elif situation.remembered:
        if not _looks_first(situation, specification, situation.remembered.time):
            yield Open(situation.remembered.reason, situation.live)
    else:
        decision = _decide(situation, specification)
        if not decision.fire:
            yield Nothing(decision.reason)
        elif _looks_first(situation, specification, situation.now):
            yield Decide(decision.reason)
        else:
            yield Open(decision.reason, situation.live, decided=True)


def _asked_for(request: Requested, live: int) -> Open:
    dataset, bundle = request.dataset, request.bundle
    return Open(request.reason, live, request=request.id, dataset=dataset, bundle=bundle, origin=request.origin)


def _looks_first(situation: Situation, specification: Specification, since: datetime) -> bool:
    """Whether Monitors of how Records are distributed are to look once more before an update wanted since then begins.

    One look that began since is enough: where Records come quickly, the next one is due at once.
    """
    if not situation.live or (situation.looked is not None and situation.looked >= since):
        return False
    if situation.aside and situation.aside.step == "watch":
        return True
    monitors = (one for one in specification.service.monitors if one.on in (Subject.INPUTS, Subject.OUTPUT))
    return not _has_failed(situation) and any(_is_due(situation, monitor) for monitor in monitors)


def _resting(situation: Situation) -> str:
    """Why nothing is begun just now: after a failure the next try waits, longer each time."""
    closed = situation.closed
    if closed is None or not situation.failures:
        return ""
    until = closed.time + quiet_until(closed, situation.failures)
    return f"the last update made nothing; the next try is at {until.isoformat()}" if situation.now < until else ""


def _confirmation(situation: Situation, specification: Specification) -> Open | None:
    """Judge the live Version again at 1, 4, 16, … times `confirm_labels` labels after its Swap."""
    swap = situation.swap
    if swap is None or swap.cause not in ("promote", "force") or swap.before == 0:
        return None
    wanted = specification.service.rollout.confirm_labels * 4 ** len(situation.confirmations)
    arrived = situation.labels - swap.labels
    if wanted <= 0 or arrived < wanted:
        return None
    reason = f"{arrived} labels arrived since v{swap.after} went live"
    return Open(reason, parent=swap.before, confirms=swap.after)


def _remembered(situation: Situation, specification: Specification) -> tuple[Decide, ...]:
    """What triggers say while an update is open: a swap lets findings go, so the decision is kept for afterwards."""
    update = situation.update
    is_training = update is not None and not (update.opened.confirms or update.opened.bundle)
    if situation.remembered or not situation.live or not is_training:
        return ()
    decision = _decide(situation, specification)
    return (Decide(decision.reason),) if decision.fire else ()


def _decide(situation: Situation, specification: Specification) -> Decision:
    pulse = pulse_of(situation, specification)
    decisions = [trigger.decide(pulse) for trigger in specification.service.triggers]
    fired = [decision.reason for decision in decisions if decision.fire]
    if fired:
        return Decision(True, "; ".join(fired))
    return Decision(False, "; ".join(d.reason for d in decisions) or "no trigger is declared")


def _aside(situation: Situation, specification: Specification) -> tuple[Watch | Mark | Compact, ...]:
    """The Monitors which are due, else a Mark, else a compaction that is due, unless such a Run is under way."""
    if situation.aside or _has_failed(situation):
        return ()
    if _is_to_erase(situation):
        return (Compact(situation.records),)
    if not situation.live:
        return ()
    looks = _looks(situation, specification) or _marks(situation, specification)
    if not looks and situation.records - situation.compacted >= COMPACT_AFTER:
        return (Compact(situation.records),)
    return looks


def _is_to_erase(situation: Situation) -> bool:
    """Whether the Stream may still have Records that are forgotten: it is asked at once, then every minute."""
    if not situation.forgetting or (situation.erased is not None and not situation.erased[1]):
        return False
    last = situation.compaction
    return situation.erased is None or last is None or situation.now >= last + timedelta(minutes=1)


def _has_failed(situation: Situation) -> bool:
    """Whether the last Run beside any update failed just now, so that none is begun."""
    failed = situation.aside_failed
    return failed is not None and situation.now < failed.time + timedelta(minutes=1)


def _marks(situation: Situation, specification: Specification) -> tuple[Mark, ...]:
    """The Mark of the live Version that is due: on labels, on records, as triggers ask for with their strides."""
    asked = strides(specification.service.triggers)
    swap = situation.swap
    base = (swap.labels, swap.records) if swap else (0, 0)
    held = {"labels": (situation.labels, asked.labels, base[0]), "records": (situation.records, asked.records, base[1])}
    due = []
    for kind, (now, stride, before) in held.items():
        last = situation.marked.get(kind)
        seen = max(before, getattr(last, kind)) if last else before
        if stride and now - seen >= stride:
            due.append(kind)
    return (Mark(tuple(due)),) if due else ()


def _looks(situation: Situation, specification: Specification) -> tuple[Watch, ...]:
    due = tuple(monitor.name for monitor in specification.service.monitors if _is_due(situation, monitor))
    return (Watch(due),) if due else ()


def _is_due(situation: Situation, monitor: Monitor) -> bool:
    fired = situation.fired.get(monitor.name)
    if fired and situation.now < fired + monitor.cooldown:
        return False
    window = monitor.window.rows or monitor.minimum
    first = 2 * window if monitor.reference is Reference.EARLIER else window
    if monitor.on is Subject.INPUTS:  # which do not depend on what is live: a swap leaves no Record unseen
        known = situation.seen.get(monitor.name)
        return situation.records - (known or 0) >= (first if known is None else monitor.stride or window)
    swap, last = situation.swap, situation.watched.get(monitor.name)
    loss = monitor.on is Subject.LOSS
    held = situation.labels if loss else situation.records
    base = (swap.labels if loss else swap.records) if swap else 0
    seen = max(base, (last.labels if loss else last.records) if last else base)
    first, stride = (monitor.minimum, monitor.minimum) if loss else (first, window)
    return held - seen >= ((monitor.stride or stride) if last else first)


def _title(opened: UpdateOpened) -> str:
    if opened.bundle:
        return f"judging the bundle {opened.origin}"
    return f"confirming v{opened.confirms}" if opened.confirms else f"update {opened.update}"
