"""guard: Runs stand still while serving takes longer than its budget, and go on by themselves.

Every runner tells its p99 once a second in a few bytes (`serve.latency`) which this maps and looks at a hundred times
a second while a Run is under way. Runs are stopped by signal, so that code which never cooperates yields as well and
loses nothing. All Runs of the machine share it, so all of them yield to whichever Service is over its budget.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock, Thread, get_native_id

from keepfit.core.nouns import Interference
from keepfit.core.places import Places
from keepfit.loop.executors import Ended, ProcessExecutor, signalled
from keepfit.loop.pipeline import Work
from keepfit.serve.latency import Latency

_LOOK = 0.01  # seconds between two looks while a Run is under way
_SECOND = 1.0
_BEFORE = 60  # seconds without a Run that are remembered
_CALM = 0.8  # share of the budget under which serving is taken for well again
_REST, _LONGEST_REST = 2.0, 32.0  # seconds it must have been well for
_HELD_AT_MOST = 60.0
_STINT = 2.0  # seconds of work after that, however serving fares
_PERIOD = 0.5  # seconds of which a Run with a share of a GPU's time works that share


@dataclass(frozen=True)
class Stance:
    """Whether Runs stand still, since when, since when serving has been well, and how long it has to be so."""

    still: bool = False
    since: float = 0.0
    calm: float | None = None
    rest: float = _REST
    unasked: float = 0.0


def stance(now: float, before: Stance, strain: float | None) -> Stance:
    """What Runs do now, given the `strain`: the worst p99 as a share of its budget, None where nothing is asked.

    They stop when it passes 1 and go on when it has stayed under 0.8 for two seconds; where they are in the way again
    within ten seconds of that, it has to stay so for twice as long the next time. Nobody stands still for more than a
    minute at a time: what is slow without them is not their doing, and an update has to end some day.

    >>> stance(5.0, Stance(), 1.5).still, stance(5.0, Stance(), 0.9).still
    (True, False)
    """
    if not before.still:
        if strain is None or strain <= 1.0 or now < before.unasked:
            return before
        again = before.since > 0.0 and now - before.since < 10.0
        return Stance(True, now, None, min(_LONGEST_REST, 2 * before.rest) if again else _REST)
    calm = (now if before.calm is None else before.calm) if strain is None or strain <= _CALM else None
    if calm is not None and now - calm >= before.rest:
        return Stance(False, now, None, before.rest)
    if now - before.since >= _HELD_AT_MOST:
        return Stance(False, now, None, before.rest, unasked=now + _STINT)
    return replace(before, calm=calm)


@dataclass
class _Watched:
    """A Run under way: how often and how long it stood still, and what was measured of every Service meanwhile."""

    process: int
    time: float = 1.0
    still: bool = False
    since: float | None = None
    yields: int = 0
    held: float = 0.0
    before: Mapping[str, float] = field(default_factory=dict)
    during: dict[str, list[float]] = field(default_factory=dict)


class Guarded:
    """A ProcessExecutor whose Runs yield to serving; `close` ends them and the watching."""

    def __init__(self, inner: ProcessExecutor, places: Places) -> None:
        self._inner = inner
        self._deployments = places.deployment("any").parent
        self._runs: dict[str, _Watched] = {}
        self._lock = Lock()
        self._served: dict[str, _Served] = {}
        self._stance = Stance()
        self._told = -_SECOND
        self._failed: Exception | None = None
        self._some, self._closing = Event(), Event()
        self._thread = Thread(target=self._watch, name="guard", daemon=True)
        self._thread.start()

    def start(self, run: str, work: Work) -> int:
        """Start it; where serving is over its budget just now it waits."""
        process = self._inner.start(run, work)
        gpu = work.resources.gpu
        self._add(run, process, gpu.time if gpu else 1.0)
        return process

    def poll(self, run: str, process: int) -> Ended | None:
        """How it ended, with how it yielded; a Run that an earlier control process began is watched from now on.

        What went wrong while nobody asked is raised here, once.
        """
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        with self._lock:
            ended = self._inner.poll(run, process)
            if ended is not None:
                watched = self._runs.pop(run, None)
                return self._accounted(ended, watched) if watched else ended
        if run not in self._runs:
            signalled(process, signal.SIGCONT)
            self._add(run, process, 1.0)
        return None

    def stop(self, run: str, process: int) -> None:
        """End a Run that leads nowhere any more."""
        with self._lock:
            self._runs.pop(run, None)
        self._inner.stop(run, process)

    def close(self) -> None:
        """End what is under way."""
        self._closing.set()
        self._some.set()
        self._thread.join()
        with self._lock:
            self._runs.clear()
            self._inner.close()

    def _add(self, run: str, process: int, time: float) -> None:
        with self._lock:
            before = {name: one.before for name, one in self._served.items() if one.before is not None}
            self._runs[run] = _Watched(process, time, before=before)
        self._some.set()

    def _watch(self) -> None:
        with suppress(OSError, AttributeError):  # for root on Linux; it takes microseconds, so nobody waits for it
            os.setpriority(os.PRIO_PROCESS, get_native_id(), -10)
        while not self._closing.is_set():
            try:
                self._look(time.monotonic())
            except Exception as error:  # noqa: BLE001  # it is raised where it is recorded, and the watch goes on
                self._failed = error
            self._some.clear()
            if self._runs:
                self._closing.wait(_LOOK)
            else:
                self._some.wait(_SECOND)

    def _look(self, now: float) -> None:
        with self._lock:
            tells = now - self._told >= _SECOND
            if tells:
                self._told = now
                self._find()
            self._stance = stance(now, self._stance, self._strain())
            for run, watched in self._runs.items():
                self._settle(run, watched, now)
            if tells:
                self._note()

    def _find(self) -> None:
        """The Deployments there are, with their budgets."""
        found = {path.parent.name: path for path in self._deployments.glob("*/runner.json")}
        for name in self._served.keys() - found:
            self._served.pop(name).close()
        for name, path in found.items():
            if name not in self._served:
                with suppress(OSError, ValueError):
                    self._served[name] = _Served(path)
            if name in self._served:
                self._served[name].read()

    def _strain(self) -> float | None:
        strains = [one.strain for one in self._served.values()]
        return max((strain for strain in strains if strain is not None), default=None)

    def _settle(self, run: str, watched: _Watched, now: float) -> None:
        """Have a Run stand still, or go on, where it does not yet."""
        out_of_turn = watched.time < 1.0 and now % _PERIOD >= watched.time * _PERIOD
        still = self._stance.still or out_of_turn
        if still == watched.still or not self._inner.is_alive(run, watched.process):
            return
        signalled(watched.process, signal.SIGSTOP if still else signal.SIGCONT)
        watched.still = still
        if still and self._stance.still:
            watched.since, watched.yields = now, watched.yields + 1
        elif watched.since is not None:
            watched.held, watched.since = watched.held + now - watched.since, None

    def _note(self) -> None:
        """Once a second: what serving takes, before Runs and beside those that work."""
        for one in self._served.values():
            if not self._runs:
                one.note()
        for watched in self._runs.values():
            if watched.still:
                continue
            for name, one in self._served.items():
                if (slowest := one.slowest) is not None:
                    watched.during.setdefault(name, []).append(slowest)

    def _accounted(self, ended: Ended, watched: _Watched) -> Ended:
        if watched.since is not None:
            watched.held += time.monotonic() - watched.since
        names = sorted({*watched.before, *watched.during})
        interference = tuple(
            Interference(
                service=name,
                budget=self._served[name].budget if name in self._served else None,
                before=watched.before.get(name),
                during=statistics.median(watched.during[name]) if name in watched.during else None,
            )
            for name in names
        )
        return replace(ended, yields=watched.yields, held=watched.held, interference=interference)


class _Served:
    """One Deployment: its budget as its runner tells it, and what its answers take."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = 0
        self._latency = Latency(path.parent / "latency")
        self._recent: deque[float] = deque(maxlen=_BEFORE)
        self.budget: float | None = None

    def read(self) -> None:
        """Read the budget again where the runner wrote it anew."""
        with suppress(OSError, ValueError):  # it is gone, or not whole; it stays what it was
            changed = self._path.stat().st_mtime_ns
            if changed != self._changed:
                self.budget = json.loads(self._path.read_bytes()).get("serving", {}).get("p99")
                self._changed = changed

    @property
    def slowest(self) -> float | None:
        """The p99 of its slowest front worker in seconds, None where nothing is asked."""
        return self._latency.slowest()

    @property
    def strain(self) -> float | None:
        """That as a share of the budget; None without either."""
        slowest = self.slowest
        return slowest / self.budget if slowest is not None and self.budget else None

    def note(self) -> None:
        """Remember what answers take while no Run is under way."""
        slowest = self.slowest
        if slowest is not None:
            self._recent.append(slowest)

    @property
    def before(self) -> float | None:
        """The median of what is remembered."""
        return statistics.median(self._recent) if self._recent else None

    def close(self) -> None:
        """Let go of its file."""
        self._latency.close()
