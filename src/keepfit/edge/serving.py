"""serving: a Deployment that no control process looks after, for models that come from elsewhere.

The Versions that ever answered are counted in `versions.json` of the deployment's folder. A Version is written there
after its Swap; one whose Swap was interrupted in between is found in what the runner has committed, so that numbers
have no gap and no second meaning, whatever was killed when.
"""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from keepfit.core.errors import Conflict, KeepfitError, NotFound, Unavailable
from keepfit.core.facts import slot_name
from keepfit.core.nouns import Bundle, Digest, Held, Placement, SlotName
from keepfit.core.places import Places
from keepfit.core.registry import from_plain, to_plain
from keepfit.core.service import Serving
from keepfit.edge.committed import plain, read_committed, write
from keepfit.edge.status import ServiceStatus, VersionStatus, slots_of
from keepfit.loop.targets import Local
from keepfit.serve.manifest import manifest
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger
from keepfit.store.streams import Stream

_START = 180.0  # seconds until a runner takes orders: it loads what was committed first


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """A Version of a standalone Deployment: its Bundle, where that came from, and when it first answered."""

    digest: Digest
    origin: str = ""
    time: datetime


@dataclass(frozen=True)
class Taken:
    """What a Swap did: the number of the Version, and the seconds its two phases took (0 where nothing changed)."""

    version: int
    slot: str
    prepare: float
    commit: float

    def __str__(self) -> str:
        pace = f"prepared in {self.prepare:.2f} s, committed in {self.commit * 1000:.1f} ms"
        return f"v{self.version} is {self.slot} ({pace})"


class Standalone:
    """One such Deployment: what is done with it goes straight to its runner."""

    def __init__(self, target: Local, name: str) -> None:
        self.name = name
        self.target = target
        self._places = target.places
        self._folder = target.places.deployment(name)

    def require_unclaimed(self) -> None:
        """Conflict where a control process looks after it: its Versions are counted in the ledger."""
        if not self._places.ledger.exists():
            return
        with closing(Ledger(self._places.ledger, readonly=True)) as ledger:
            if self.name in ledger.services():
                raise Conflict(
                    f"'{self.name}' is a service of the store's control process; bring a model to it with: "
                    f"keepfit onboard PATH --service {self.name}",
                    code="controlled",
                )

    @property
    def running(self) -> bool:
        """Whether its runner lives."""
        return bool(self.target.process(self.name))

    @property
    def versions(self) -> dict[int, Numbered]:
        """Every Version by number."""
        try:
            told = json.loads((self._folder / "versions.json").read_bytes())
        except FileNotFoundError:
            told = {}
        found = {int(number): from_plain(Numbered, one) for number, one in told.items()}
        for held in self._committed():
            found.setdefault(held.version, Numbered(digest=held.digest, time=datetime.now(UTC)))
        return dict(sorted(found.items()))

    def _committed(self) -> Iterator[Held]:
        for placed in read_committed(self._folder).values():
            yield from (held for held in (placed.live, placed.previous, placed.canary, placed.shadow) if held)

    def placed(self, major: int = 1) -> Placement:
        """What the Slots of a major hold."""
        return read_committed(self._folder).get(major, Placement())

    def bundle(self, major: int = 1) -> Bundle | None:
        """The manifest of the Version that is live, None where none is."""
        live = self.placed(major).live
        return manifest(Trees(self._places.trees).path(live.digest)) if live else None

    def take(self, digest: Digest, origin: str, *, slot: str, share: float = 0.0, key: str = "") -> Taken:
        """Put a Bundle of the store into a Slot, as the Version it was before or as the next one."""
        with self._alone():
            known = self.versions
            next_one = max(known, default=0) + 1
            number = next((n for n, one in known.items() if one.digest == digest), next_one)
            said = self.target.swap(self.name, Held(number, digest), slot=slot, share=share, key=key)
            known.setdefault(number, Numbered(digest=digest, origin=origin, time=datetime.now(UTC)))
            self._count(known)
        return Taken(number, slot, float(said["prepare_seconds"]), float(said["commit_seconds"]))

    def swap(self, version: int, *, slot: str, share: float = 0.0, key: str = "") -> Taken:
        """Put a Version that was there before into a Slot."""
        known = self.versions.get(version)
        if known is None:
            there = ", ".join(f"v{number}" for number in self.versions) or "none"
            raise NotFound(f"'{self.name}' has no v{version}; there are: {there}")
        return self.take(known.digest, known.origin, slot=slot, share=share, key=key)

    def promote(self, slot: SlotName, major: int) -> Taken:
        """Have the canary or the shadow go live."""
        return self.swap(self._held(slot, major).version, slot=slot_name(SlotName.LIVE, major))

    def abort(self, slot: SlotName, major: int) -> str:
        """Empty a Slot; what left it."""
        held = self._held(slot, major)
        with self._alone():
            self._count(self.versions)  # what leaves is not to be forgotten
            self.target.clear(self.name, slot_name(slot, major))
        return f"v{held.version} left the {slot_name(slot, major)} slot"

    def rollback(self, major: int) -> str:
        """Have the Version before go live again; which."""
        with self._alone():
            self.target.back(self.name, major)
        held = self._held(SlotName.LIVE, major)
        return f"v{held.version} is {slot_name(SlotName.LIVE, major)} again"

    def _held(self, slot: SlotName, major: int) -> Held:
        held: Held | None = getattr(self.placed(major), slot.value)
        if held is None:
            raise Conflict(f"the {slot_name(slot, major)} slot of '{self.name}' is empty", code="empty")
        return held

    def _count(self, known: dict[int, Numbered]) -> None:
        write(self._folder / "versions.json", {str(number): to_plain(one) for number, one in known.items()})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once must not count the same number."""
        self.require_unclaimed()
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "versions.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def serving(self) -> Serving:
        """How it serves, or served last."""
        return self.target.serving(self.name)

    def run(self, serving: Serving, ready: Callable[[], None], *, capture: bool = True) -> int:
        """Run the runner in the foreground until it ends; `ready` is called when it takes orders.

        Ctrl-C reaches the runner too, which answers what it has begun. What `ready` raises ends it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        command = self.target.command(self.name, serving)
        process = subprocess.Popen(command if capture else [*command, "--no-capture"])
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            self._wait(process)
            ready()
        except BaseException:
            process.terminate()
            raise
        finally:
            code = process.wait()
            for number, action in before.items():
                signal.signal(number, action)
        return code

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if self.target.status(self.name)["pid"] == process.pid:
                    return
            except Unavailable:
                time.sleep(0.02)
        raise Unavailable(f"the runner of '{self.name}' does not take orders; the lines above say why")

    def status(self) -> ServiceStatus:
        """Where it stands."""
        placed = self.placed()
        live = placed.live.version if placed.live else 0
        versions = [
            VersionStatus(
                number=number, digest=one.digest, parent=0, update="", time=one.time, origin=one.origin,
                live=number == live,
            )
            for number, one in self.versions.items()
        ]  # fmt: skip
        try:
            runner = {**self.target.status(self.name), "url": self.target.address(self.name)}
        except KeepfitError:
            runner = {}
        counts = Stream(self._places.stream(self.name)).counts()
        return ServiceStatus(
            service=self.name,
            time=max((one.time for one in versions), default=datetime.now(UTC)),
            specification="",
            live=live,
            previous=placed.previous.version if placed.previous else 0,
            doing="nobody looks after it (keepfit serve)",
            slots=slots_of(self.name, runner, plain(read_committed(self._folder))),
            versions=tuple(versions),
            records=counts.records,
            labels=counts.labels,
            runner=runner,
        )


def standing(places: Places) -> tuple[str, ...]:
    """The standalone Deployments of a store, by name."""
    return tuple(sorted(path.parent.name for path in (places.root / "deployments").glob("*/versions.json")))


def is_standing(places: Places, name: str) -> bool:
    """Whether a standalone Deployment of that name was ever served from this store."""
    return (places.deployment(name) / "versions.json").exists()
