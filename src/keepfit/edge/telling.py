"""Telling: facts as one line each, for people who watch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keepfit.core.facts import (
    Answered,
    Applied,
    Approved,
    Decided,
    Fact,
    Failed,
    Forgotten,
    Judged,
    Quarantined,
    Requested,
    RunFailed,
    RunFinished,
    Swapped,
    UpdateClosed,
    UpdateOpened,
    VersionRegistered,
    Watched,
)

if TYPE_CHECKING:
    from keepfit.edge.asked import RunStatus


def sentence(fact: Fact) -> str:
    """What happened, in one line without the time; empty for what is only book-keeping.

    >>> from datetime import UTC, datetime
    >>> sentence(Failed(service="flights", time=datetime(2013, 1, 1, tzinfo=UTC), where="loop", reason="disk full"))
    'flights: loop failed: disk full'
    """
    line = told(fact)
    return f"{fact.service}: {line}" if line and fact.service else line


def told(fact: Fact) -> str:
    """The same without the Service's name."""
    match fact:
        case Applied():
            return f"applied by {fact.actor}" + "".join(f"; {change}" for change in fact.changes)
        case Requested():
            return f"{fact.actor} asks for {'a forced ' if fact.forced else ''}{_wished(fact)}: {fact.reason}"
        case Answered():
            return f"request {fact.request} done" if fact.done else f"request {fact.request} refused: {fact.reason}"
        case Decided():
            return fact.reason if fact.fire else f"waiting: {fact.reason}"
        case UpdateOpened(confirms=0):
            return f"update {fact.update} begins: {fact.reason}"
        case UpdateOpened():
            return f"v{fact.confirms} is judged again: {fact.reason}"
        case _:
            return _told_of_versions(fact)


def _wished(fact: Requested) -> str:
    into = f" into {fact.slot}" if fact.slot != "live" else ""
    if fact.deed == "swap" and not fact.version:
        return f"an empty {fact.slot} slot"
    return f"{fact.deed} of v{fact.version}{into}" if fact.version else f"{fact.deed}{into}"


def _told_of_versions(fact: Fact) -> str:
    match fact:
        case VersionRegistered():
            if fact.origin:
                return f"v{fact.number} came from outside: {fact.origin}"
            return f"v{fact.number} was made" + (f" from v{fact.parent}" if fact.parent else "")
        case Judged():
            reasons = "; ".join(f"{ruling.gate}: {ruling.reason}" for ruling in fact.rulings)
            return f"the verdict on v{fact.version} is {fact.outcome}: {reasons}"
        case Approved():
            return f"{fact.actor} {'approves' if fact.yes else 'disapproves'} v{fact.version}: {fact.reason}"
        case Swapped():
            before = f", after v{fact.before}" if fact.before and fact.before != fact.after else ""
            why = "" if fact.cause == "promote" else f": {fact.reason}"  # its Verdict was told already
            if not fact.after:
                return f"v{fact.before} left the {fact.slot} slot ({fact.cause}){why}"
            share = f" for {fact.share:.4g} of the requests" if fact.share else ""
            return f"v{fact.after} is {fact.slot}{share} ({fact.cause}{before}){why}"
        case Quarantined():
            return f"v{fact.version} is in quarantine: {fact.reason}"
        case UpdateClosed():
            return f"update {fact.update} {fact.outcome}" + ("" if fact.version else f": {fact.reason}")
        case RunFinished(step="freeze", result={"left_out": [_, *_] as spans}):
            rows = sum(int(span["rows"]) for span in spans)
            told = ", ".join(f"{span['start']} to {span['end']}" for span in spans)
            return f"{rows} rows are left out, which were found out of line: {told}"
        case RunFinished(step="check", result={"warnings": [_, *_] as warnings}):
            return f"the data is out of line, and learnt from: {'; '.join(warnings)}"
        case RunFailed():
            return f"{fact.step} failed (run {fact.run}): {fact.reason}"
        case Forgotten():
            named = ", ".join(f"v{number}" for number in fact.versions) or "no version"
            taken = f"{len(fact.datasets)} datasets and {fact.rows} remembered rows"
            return f"records are forgotten: {taken} were replaced; {named} learnt from them"
        case Watched():
            said = [finding.sentence for finding in fact.findings]
            said += _not_compared(fact)
            return "; ".join(f"{fact.monitor}: {sentence}" for sentence in said)
        case Failed():
            return f"{fact.where} failed: {fact.reason}"
        case _:
            return ""


def beside(run: RunFinished | RunStatus, seconds: float) -> Iterator[str]:
    """How a Run of so many `seconds` got on beside serving, and serving beside it."""
    if seconds > run.held and run.cpu_seconds > 0.0:
        yield f"speed {run.cpu_seconds / (seconds - run.held):.2f} core(s)"
    if run.yields:
        yield f"stood still {run.yields} time(s), {run.held:.1f} s"
    for one in run.interference:
        before, during = (f"{value * 1000:.2f}" if value is not None else "-" for value in (one.before, one.during))
        budget = f" (budget {one.budget * 1000:g} ms)" if one.budget else ""
        yield f"p99 of {one.service} {before} ms before, {during} ms beside it{budget}"


def _not_compared(fact: Watched) -> list[str]:
    """Why some subjects were not compared, each reason once, with how many they are."""
    notes = Counter(one.note for one in fact.measurements if one.note)
    first = {one.note: one.subject for one in reversed(fact.measurements)}
    return [
        f"{first[note]}{f' and {count - 1} more' if count > 1 else ''} not compared: {note}"
        for note, count in notes.items()
    ]
