"""Lives of a store's clients which a test ends early: run as `mortal_store.py WHAT ROOT ...`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from keepfit.core.errors import Unavailable
from keepfit.core.facts import Decided
from keepfit.store.ledger import Ledger
from keepfit.store.streams import LabelWriter, SegmentWriter, Stream

START = datetime(2026, 1, 1, tzinfo=UTC)
GONE = ("r1", "r5", "r9", "r13")
"""A Record of the small part and of each sealed segment, and one of an open segment whose writer died."""
_CUT = 9  # the exit code of a life that was cut short


def batch(first: int, rows: int) -> pa.RecordBatch:
    """Records of growing numbers and times."""
    numbers = range(first, first + rows)
    times = pa.array([START + timedelta(seconds=n) for n in numbers], pa.timestamp("us", tz="UTC"))
    return pa.record_batch({"_id": [f"r{n}" for n in numbers], "_time": times, "x": [float(n) for n in numbers]})


def say(line: str) -> None:
    """One line, out at once and whole."""
    os.write(1, f"{line}\n".encode())


def append(root: Path, first: int) -> None:
    """Append for ever, saying after each append which numbers are now safe."""
    records, labels = SegmentWriter(root, "w", rotate_rows=60), LabelWriter(root, "w", rotate_rows=20)
    for n in count(first, 3):
        records.append(batch(n, 3))
        say(f"records {n} {n + 3}")
        labels.append([f"r{n}"], [n], START)
        say(f"label {n}")


def compact(root: Path) -> None:
    """Compact for ever."""
    say("ready")
    while True:
        Stream(root).compact()


def erase(root: Path) -> None:
    """Erase for ever what is of every tenth number, and compact meanwhile."""
    say("ready")
    while True:
        with suppress(Unavailable):
            Stream(root).erase([f"r{n}" for n in range(0, 100_000, 10)])


def facts(place: Path, writers: int, seconds: float) -> None:
    """So many processes open one ledger at the same moment, also its first, and append as fast as they can."""
    children = [_fork(lambda n=n: _append_facts(place, f"s{n}", seconds)) for n in range(writers)]
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


def _append_facts(place: Path, service: str, seconds: float) -> None:
    ledger, longest, done, end = Ledger(place), 0.0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        ledger.append(Decided(service=service, time=START, fire=False, reason=str(done)))
        longest, done = max(longest, time.monotonic() - began), done + 1
    say(f"{service} {done} {longest:.3f}")


def crashes(what: str, source: Path, target: Path) -> None:
    """Do one deed on copies of a Stream, each time dying, as by a power switch, one step later than before.

    A step is a call that changes names or asks for the disk. The copies are left under the number of that step, the
    last one with the deed done.
    """
    pa.array([""])  # pyarrow looks for pandas at its first array: once here rather than in every life
    for at in count():
        shutil.copytree(source, target / str(at))
        child = _fork(lambda at=at: _crash(what, target / str(at), at))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        say(f"{at} {code}")
        if code != _CUT:
            sys.exit(code)


def _crash(what: str, root: Path, at: int) -> None:
    deeds: dict[str, Callable[[], object]] = {
        "compact": lambda: Stream(root).compact(),
        "erase": lambda: Stream(root).erase(GONE),
        "recover": lambda: SegmentWriter(root, "w"),
        "append": lambda: LabelWriter(root, "v", rotate_rows=1).append(["r1"], [7], START),
    }
    steps = count()
    for name in ("replace", "unlink", "fsync", "fdatasync", "rename", "pwrite", "ftruncate"):
        durable = name.endswith("sync")  # what is on the disk does not differ in these lives, only what was done
        setattr(os, name, _counted(_nothing if durable else getattr(os, name), steps, at))
    deeds[what]()


def _nothing(_descriptor: int) -> None:
    pass


def _counted(call: Callable[..., Any], steps: Any, at: int) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        if next(steps) == at:
            os._exit(_CUT)
        return call(*arguments, **named)

    return counted


def _fork(live: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        live()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001  # a forked child must never return into its parent's code
        say(f"failed {error!r}")
        os._exit(1)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["append", root, first]:
            append(Path(root), int(first))
        case ["compact", root]:
            compact(Path(root))
        case ["erase", root]:
            erase(Path(root))
        case ["facts", place, writers, seconds]:
            facts(Path(place), int(writers), float(seconds))
        case ["crashes", what, source, target]:
            crashes(what, Path(source), Path(target))
