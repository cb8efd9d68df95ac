"""apply: makes what a service file declares the specification in force.

The file is loaded in a process of its own; this one reads only the plain data that process stored.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from keepfit.core.clock import SystemClock
from keepfit.core.errors import Conflict, SpecInvalid
from keepfit.core.facts import Applied
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.protocols import Clock
from keepfit.core.registry import canonical, from_plain
from keepfit.core.service import Specification
from keepfit.edge.declare.changes import changes
from keepfit.edge.declare.declared import Answer, Declared
from keepfit.edge.declare.mistakes import Mistaken
from keepfit.edge.serving import is_standing
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger

_PATIENCE = 0.5  # seconds to wait for the lock: another command may hold it for a moment


@dataclass(frozen=True)
class Applying:
    """What applying one Service did: the changes since the specification before, if there was one."""

    service: str
    specification: Digest
    changes: tuple[str, ...] = ()
    first: bool = False
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything is different now."""
        return self.first or bool(self.changes)


def declared(path: Path, places: Places) -> tuple[Declared, ...]:
    """What the service file at `path` declares, loaded in a child process and stored; Mistaken with every mistake."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-P", "-m", "keepfit.edge.declare.declaration"]
        command += [str(path), str(places.root), str(answer)]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False)
        if not answer.exists():
            raise SpecInvalid(f"{path}: the process that loads it ended with {ended.returncode} and told nothing")
        said = from_plain(Answer, msgspec.json.decode(answer.read_bytes()))
    if said.mistakes:
        raise Mistaken(said.mistakes)
    return said.services


def specification_at(digest: Digest, places: Places) -> Specification:
    """The stored Specification of that digest."""
    return from_plain(Specification, msgspec.json.decode(Blobs(places.blobs).get(digest)))


def record(digest: Digest, places: Places, ledger: Ledger, *, actor: str, clock: Clock) -> Applying:
    """Compare a stored Specification with the one in force, and put it in force where they differ.

    A file that names no learner leaves the choice to the store: the winner of an experiment stays.
    """
    new = specification_at(digest, places)
    service = new.service.name
    before = ledger.last(Applied, service)
    if before is not None and not new.experiment and new.service.recipe.learner is None:
        kept = _with_winner(new, specification_at(before.specification, places))
        if kept is not new:
            new, digest = kept, Blobs(places.blobs).put(canonical(kept))
    if before is not None and before.specification == digest:
        return Applying(service, digest)
    if before is None and is_standing(places, service):
        raise Conflict(
            f"'{service}' is served from this store by keepfit serve, which counts its versions; use another name",
            code="standalone",
        )
    found: tuple[str, ...] = ()
    if before is not None:
        files = _files(before.code, new.code, places)
        found = changes(specification_at(before.specification, places), new, files) or ("its form in the store",)
    ledger.append(
        Applied(service=service, time=clock.now(), specification=digest, code=new.code, actor=actor, changes=found)
    )
    return Applying(service, digest, found, first=before is None)


def _with_winner(new: Specification, before: Specification) -> Specification:
    if not before.experiment:
        return new
    recipe = replace(new.service.recipe, learner=before.service.recipe.learner)
    return replace(new, service=replace(new.service, recipe=recipe), experiment=before.experiment)


def _files(before: Digest, after: Digest, places: Places) -> tuple[str, ...]:
    """The files which differ between two code snapshots."""
    if before == after:
        return ()
    trees = Trees(places.trees)
    old, new = _contents(trees.path(before)), _contents(trees.path(after))
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _contents(root: Path) -> dict[str, bytes]:
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*.py")}


@contextmanager
def locked(places: Places) -> Iterator[None]:
    """Be the one process which writes this store's ledger; Conflict names the process that is it already."""
    places.root.mkdir(parents=True, exist_ok=True)
    file = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(file, places)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


def _lock(file: int, places: Places) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
        time.sleep(0.02)
    holder = os.pread(file, 32, 0).decode().strip() or "unknown"
    raise Conflict(f"{places.root} is in use by process {holder}; ask it (keepfit status) or end it (keepfit down)")


def holder(places: Places) -> int:
    """The process that holds the store's lock, 0 for none."""
    try:
        file = os.open(places.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(file, 32, 0).decode().strip() or 0)
    else:
        return 0
    finally:
        os.close(file)


def apply(path: Path, places: Places, *, actor: str, clock: Clock | None = None) -> tuple[Applying, ...]:
    """Put what the file declares in force: through the control process when one runs, else directly."""
    from keepfit.edge.client import Client  # httpx takes a tenth of a second

    found = declared(path, places)
    client = Client.of(places)
    if client is not None:
        with client:
            done = [client.apply(service.specification, actor=actor) for service in found]
    else:
        with locked(places), closing(Ledger(places.ledger)) as ledger:
            done = [
                record(service.specification, places, ledger, actor=actor, clock=clock or SystemClock())
                for service in found
            ]
    return tuple(
        Applying(one.service, one.specification, one.changes, one.first, service.notes)
        for one, service in zip(done, found, strict=True)
    )
