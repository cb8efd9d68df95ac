"""The loop itself: read the facts, plan, perform; over and over."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from keepfit.core.errors import KeepfitError, Unavailable
from keepfit.core.facts import Fact, Failed, RunStarted
from keepfit.core.nouns import Digest, Resources
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.loop.executors import threads_for
from keepfit.loop.intents import Run
from keepfit.loop.perform import Hands, perform, settle
from keepfit.loop.plan import plan
from keepfit.loop.share import Waiting, share
from keepfit.loop.situation import Situation, at, fold
from keepfit.store.streams import Stream

_ASK_AGAIN = 1.0  # seconds between two questions to a runner about what it serves


@dataclass
class _Held:
    """What the loop keeps of one Service between turns; all of it can be read again from the store.

    `wants` is the Specification by which it wants to train now.
    """

    situation: Situation
    stream: Stream
    deployed: int | None = None
    asked: float = -_ASK_AGAIN
    wants: Specification | None = None
    specifications: dict[Digest, Specification] = field(default_factory=dict)


class Loop:
    """Keeps every applied Service fit, one turn after the other, from one thread."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._seen = 0
        self._held: dict[str, _Held] = {}

    def turn(self) -> bool:
        """One turn over all Services; True when something happened, so that another turn is worth while now."""
        self._read()
        moved = False
        for service, held in list(self._held.items()):
            if held.situation.applied is not None:
                moved |= self._turn(service, held)
        return self._share() or moved

    def situation(self, service: str) -> Situation:
        """The situation of a Service as the last turn saw it."""
        return self._held[service].situation

    def _read(self) -> None:
        for row in self._hands.ledger.facts(after=self._seen):
            self._seen = row.seq
            self._keep(row.fact)

    def _keep(self, fact: Fact) -> None:
        held = self._held.get(fact.service)
        if held is None:
            stream = Stream(self._hands.places.stream(fact.service))
            held = self._held[fact.service] = _Held(Situation(now=fact.time), stream)
        held.situation = fold(held.situation, fact)

    def _turn(self, service: str, held: _Held) -> bool:
        hands = self._hands
        held.wants = None
        if self._settle(held):
            return True
        self._ensure(service, held)
        counts = held.stream.counts()
        held.situation = at(
            held.situation,
            now=hands.clock.now(),
            records=counts.records,
            labels=counts.labels,
            deployed=self._deployed(service, held),
        )
        specification = self._specification(held)
        moved = False
        for intent in plan(held.situation, specification):
            if isinstance(intent, Run) and intent.step == "train":
                held.wants = specification
                continue
            moved |= perform(intent, held.situation, specification, hands)
        if moved:
            held.asked = -_ASK_AGAIN
        return moved

    def _share(self) -> bool:
        """Begin the trainings whose turn it is, or the outlooks by which that is told."""
        wishes = [_waiting(service, held) for service, held in self._held.items() if held.wants]
        taken = sum(threads_for(_resources(held)) for held in self._held.values() if _trains(held))
        cores = threads_for(Resources(threads=sys.maxsize)) + 1
        deeds = share(wishes, taken=taken, cores=cores, now=self._hands.clock.now())
        moved = False
        for step, services in (("outlook", deeds.outlook), ("train", deeds.train)):
            for service in services:
                held = self._held[service]
                assert held.wants is not None  # noqa: S101  # only who wants to train is chosen
                moved |= perform(Run(step), held.situation, held.wants, self._hands)
                held.asked = -_ASK_AGAIN
        return moved

    def _settle(self, held: _Held) -> bool:
        """Turn Runs that ended into facts."""
        update = held.situation.update
        facts: list[Fact] = []
        for started in (update.running if update else None, held.situation.aside):
            ended = self._hands.executor.poll(started.run, started.process) if started else None
            if started and ended:
                facts += settle(started, ended, self._hands)
        if facts:
            self._hands.ledger.append(*facts)
        return bool(facts)

    def _deployed(self, service: str, held: _Held) -> int | None:
        if time.monotonic() - held.asked >= _ASK_AGAIN:
            held.asked = time.monotonic()
            held.deployed = self._live(service)
        return held.deployed

    def _live(self, service: str) -> int | None:
        try:
            live: dict[str, Any] | None = self._hands.target.status(service)["live"]
        except Unavailable:
            return None
        return int(live["version"]) if live else 0

    def _ensure(self, service: str, held: _Held) -> None:
        """Have the runner there, serving as the specification in force says; where it refuses to, that is told."""
        assert held.situation.applied is not None  # noqa: S101  # the caller looked
        serving = self._read_specification(held, held.situation.applied.specification).service.serving
        try:
            self._hands.target.ensure(service, serving)
        except KeepfitError as error:
            now = self._hands.clock.now()
            self._hands.ledger.append(Failed(service=service, time=now, where="serving", reason=str(error)))

    def _specification(self, held: _Held) -> Specification:
        """The specification an open update began with, else the one in force."""
        situation = held.situation
        assert situation.applied is not None  # noqa: S101  # the caller looked
        digest = situation.update.opened.specification if situation.update else situation.applied.specification
        return self._read_specification(held, digest)

    def _read_specification(self, held: _Held, digest: Digest) -> Specification:
        if digest not in held.specifications:
            plain = msgspec.json.decode(self._hands.blobs.get(digest))
            held.specifications[digest] = from_plain(Specification, plain)
        return held.specifications[digest]

    def running(self) -> list[RunStarted]:
        """The Runs under way."""
        found = []
        for held in self._held.values():
            update = held.situation.update
            found += [run for run in (update.running if update else None, held.situation.aside) if run]
        return found

    def close(self) -> None:
        """End what is under way; a later loop starts it again."""
        self._hands.executor.close()


def _waiting(service: str, held: _Held) -> Waiting:
    update, wanted = held.situation.update, held.wants
    assert update is not None  # noqa: S101  # only an open update trains
    assert wanted is not None  # noqa: S101  # the caller looked
    looked = update.done.get("outlook")
    known = looked.result if looked else {}
    return Waiting(
        service=service,
        threads=threads_for(wanted.service.recipe.resources),
        since=update.opened.time,
        gain=known.get("gain"),
        cpu_seconds=known.get("cpu_seconds"),
        lacks=not held.situation.live,
    )


def _trains(held: _Held) -> bool:
    update = held.situation.update
    return bool(update and update.running and update.running.step in ("outlook", "train"))


def _resources(held: _Held) -> Resources:
    update = held.situation.update
    known = held.specifications.get(update.opened.specification) if update else None
    return known.service.recipe.resources if known else Resources()
