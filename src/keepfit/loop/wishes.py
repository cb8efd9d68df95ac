"""Wishes: the deeds that people asked for and that need no update, as intents: swaps, rollbacks, aborts, forgetting."""

from __future__ import annotations

from collections.abc import Iterator

from keepfit.core.facts import Requested, slot_called
from keepfit.core.nouns import Outcome, SlotName
from keepfit.loop.intents import Answer, Approve, Forget, Intent, Swap
from keepfit.loop.situation import Situation


def wishes_of(situation: Situation) -> Iterator[Intent]:
    """The deeds that people asked for and that can be done at once, in order of asking."""
    for request in situation.requests:
        match request.deed:
            case "swap":
                yield from _wished_swap(situation, request)
                return
            case "rollback":
                yield from _wished_rollback(situation, request)
                return
            case "update" | "register":
                continue
            case "forget":
                if situation.forgetting and situation.erased is None:
                    continue  # a Run beside all this erases them from the Stream
                if situation.update is None:  # what is being trained may be about to remember them
                    yield Forget(request)
                    return
            case deed:
                known = "swap, rollback, update, register, forget"
                yield Answer(request.id, False, f"unknown deed {deed!r}; there are: {known}")
                return


def _wished_swap(situation: Situation, request: Requested) -> Iterator[Intent]:
    number, slot = request.version, request.slot
    if _is_done(situation, request):
        yield Answer(request.id, True, _held(slot, number, request.share))
        return
    if not number:
        yield Swap(0, "abort", request.reason, request.id, slot=slot)
        return
    if refusal := _why_not(situation, request):
        yield Answer(request.id, False, refusal)
        return
    if request.forced and not _is_approved(situation, request):
        yield Approve(request)
    cause = "force" if request.forced else "promote"
    yield Swap(number, cause, request.reason, request.id, slot=slot, share=request.share, key=request.key)


def _is_approved(situation: Situation, request: Requested) -> bool:
    """Whether this very wish was recorded as an approval by a control process that was killed right after."""
    known = situation.approvals.get(request.version)
    return bool(known and known.yes and known.actor == request.actor and known.time >= request.time)


def _is_done(situation: Situation, request: Requested) -> bool:
    """Whether the Slot went where it was wished; the live one may have been there before, and any may be empty."""
    if request.slot == SlotName.LIVE:
        return situation.live == request.version and situation.deployed in (request.version, None)
    last = situation.slots.get(request.slot)
    if not request.version:
        return last is None or not last.after
    return last is not None and last.request == request.id


def _held(slot: str, number: int, share: float) -> str:
    if not number:
        return f"the {slot} slot is empty"
    if slot_called(slot)[0] is SlotName.CANARY:
        return f"v{number} is {slot} for {share:.4g} of the requests"
    return f"v{number} is {slot}"


def _why_not(situation: Situation, request: Requested) -> str:
    """Why a Version may not answer: only a Verdict, or a person's recorded approval, lets it; a shadow is not heard."""
    number = request.version
    if number not in situation.versions:
        there = ", ".join(f"v{n}" for n in sorted(situation.versions)) or "none"
        return f"there is no v{number}; there are: {there}"
    if slot_called(request.slot)[0] is SlotName.SHADOW:
        return ""
    if request.forced:
        return "" if request.reason else "a forced swap needs a reason; give one with --reason"
    approval = situation.approvals.get(number)
    if approval:
        return "" if approval.yes else f"v{number} was disapproved by {approval.actor}: {approval.reason}"
    if number in situation.quarantined:
        return f"v{number} is in quarantine; approve it or force the swap with a reason"
    verdict = situation.verdicts.get(number)
    if verdict is None:
        return f"v{number} has no verdict; approve it or force the swap with a reason"
    if verdict.outcome is not Outcome.PASS:
        return f"the verdict on v{number} is {verdict.outcome}; approve it or force the swap with a reason"
    return ""


def _wished_rollback(situation: Situation, request: Requested) -> Iterator[Intent]:
    swap = situation.slots.get(request.slot)
    if swap is not None and swap.time >= request.time and swap.cause == "rollback":
        yield Answer(request.id, True, f"v{swap.after} is {request.slot} again")
    elif swap is None or swap.before == 0:
        yield Answer(request.id, False, "there is no earlier version to go back to")
    else:
        yield Swap(swap.before, "rollback", request.reason, request.id, slot=request.slot)
