"""The story: what the loop does while the year goes by, read from its facts through the control API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core.errors import Unavailable
from keepfit.core.facts import (
    KINDS,
    Answered,
    Decided,
    Fact,
    Failed,
    Judged,
    Quarantined,
    Requested,
    RunFailed,
    Swapped,
    UpdateClosed,
    UpdateOpened,
    VersionRegistered,
    Watched,
)
from keepfit.core.nouns import Outcome
from keepfit.core.registry import from_plain
from keepfit.edge.demo.connection import Connection
from keepfit.edge.telling import sentence
from keepfit.loop.situation import Situation, fold

_WIDEST = 220  # characters of an event
POLL = 0.2  # seconds between two questions to the control process


@dataclass(frozen=True)
class Event:
    """One line of the story: when in the year, of what kind, what happened."""

    time: datetime
    kind: str
    text: str


@dataclass
class Story:
    """All facts of the Service so far, and what they add up to."""

    situation: Situation
    facts: list[Fact] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    seen: int = 0

    @property
    def is_busy(self) -> bool:
        """Whether a Run is under way or an update is open."""
        return self.situation.update is not None or self.situation.aside is not None

    def add(self, seq: int, fact: Fact) -> None:
        """Take in the next fact."""
        self.seen = seq
        self.facts.append(fact)
        self.situation = fold(self.situation, fact)
        kind = _kind(fact)
        if kind and not (isinstance(fact, UpdateClosed) and fact.update in self.confirming):
            self.events.append(Event(fact.time, kind, _short(self._told(fact))))

    @property
    def confirming(self) -> set[str]:
        """The updates that are none: the re-judgings of live Versions."""
        return {opened.update for opened in self.of(UpdateOpened) if opened.confirms}

    def _told(self, fact: Fact) -> str:
        """A fact as one line, with the numbers it rests on."""
        match fact:
            case Swapped(after=number, cause="promote"):
                return f"v{number} is live: {self._ruled(number, passed=True) or 'nothing is there to compare it with'}"
            case UpdateOpened(reason=reason):
                return f"an update begins: {reason}"
            case UpdateClosed(version=number, outcome=outcome, reason=reason) if number:
                return f"v{number} is {outcome}: {self._ruled(number, passed=False) or reason}"
            case Watched(monitor=monitor, findings=findings):
                largest = max(findings, key=lambda finding: finding.measured)
                others = [finding.subject for finding in findings if finding is not largest]
                return f"{monitor}: {largest.sentence}" + (f"; also {', '.join(others)}" if others else "")
            case _:
                return sentence(fact).removeprefix(f"{fact.service}: ")

    def _ruled(self, number: int, *, passed: bool) -> str:
        """What the gates said of a Version; of one that did not pass, only those that stood in its way."""
        verdict = self.situation.verdicts.get(number)
        rulings = verdict.rulings if verdict else ()
        told = [ruling.reason for ruling in rulings if (ruling.outcome is Outcome.PASS) == passed]
        return told[0] if told else ""

    def of(self, kind: type[Any]) -> list[Any]:
        """The facts of one kind, in order."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def closed(self, outcome: str) -> list[UpdateClosed]:
        """The updates that ended so; confirmations are not updates."""
        confirming = self.confirming
        return [fact for fact in self.of(UpdateClosed) if fact.outcome == outcome and fact.update not in confirming]

    def version_of(self, request: str) -> int:
        """The Version that was made for a request, 0 until it is there."""
        updates = {opened.update for opened in self.of(UpdateOpened) if opened.request == request}
        return next((made.number for made in self.of(VersionRegistered) if made.update in updates), 0)

    def request(self, reason: str) -> Requested | None:
        """The request with a reason, None until it is recorded."""
        return next((asked for asked in self.of(Requested) if asked.reason == reason), None)

    def answer(self, request: str) -> Answered | None:
        """How a request ended, None until it did."""
        return next((told for told in self.of(Answered) if told.request == request), None)


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _kind(fact: Fact) -> str:
    """The kind of an event; empty for facts that the story leaves out."""
    match fact:
        case Swapped(cause="rollback"):
            return "rollback"
        case Swapped():
            return "swap"
        case UpdateOpened(confirms=0):
            return "update"
        case UpdateClosed(outcome="refused") | UpdateClosed(outcome="held"):
            return "refused"
        case Quarantined():
            return "quarantine"
        case Watched() if fact.findings:
            return "finding"
        case Requested():
            return "request"
        case RunFailed() | Failed() | UpdateClosed(outcome="failed"):
            return "failed"
        case Judged() | Decided() | _:
            return ""


async def follow(story: Story, address: str, token: str, service: str, tell: Callable[[], None]) -> None:
    """Keep the story up to date until cancelled; `tell` is called after each look that brought something."""
    line = Connection(address, token)
    try:
        while True:
            if await _look(story, line, service):
                tell()
            await asyncio.sleep(POLL)
    finally:
        line.close()


async def _look(story: Story, line: Connection, service: str) -> bool:
    try:
        reply = await line.ask("GET", f"/v1/services/{service}/facts?after={story.seen}")
    except ConnectionError as error:
        raise Unavailable(f"the control process is gone: {error}; its log is in the demo's folder") from error
    found: list[dict[str, Any]] = msgspec.json.decode(reply.body) if reply.status == 200 else []
    for plain in found:
        seq, kind = plain.pop("seq"), plain.pop("kind")
        story.add(seq, from_plain(KINDS[kind], plain))
    return bool(found)


def control(path: Path) -> tuple[str, str] | None:
    """Address and token of a control process that is up, None while it is not."""
    try:
        said = msgspec.json.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return said["address"], said["token"]
