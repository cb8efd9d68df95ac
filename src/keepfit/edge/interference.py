"""interference: what an update does to serving on this machine, and serving to it, in four ways of putting them.

The experiment of ModelCI-e (Huang et al. 2021, arXiv:2106.03122): no update, training as a thread of the serving
process, in a second process without any care, and as keepfit does it. The Service's own live Bundle answers its golden
examples, and its own Recipe is trained on its first data over and over.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from keepfit.core.errors import Conflict, KeepfitError, Unavailable
from keepfit.core.nouns import Digest, Held, Resources
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.core.service import Serving
from keepfit.edge.load import Asker
from keepfit.edge.trainer import Told
from keepfit.loop.executors import environment
from keepfit.loop.targets import Local
from keepfit.store.blobs import Trees

_START = 180.0  # seconds until a process answers, or has trained once
_ENOUGH = 0.3  # seconds that one training should take at most, so that many are counted
_FEWEST = 100  # rows
_CUSTOM = """
import sys
if "keepfit.edge.front" in sys.orig_argv:
    import json, threading
    from keepfit.core.registry import from_plain
    from keepfit.edge.trainer import Told, go_on, prepared
    told = from_plain(Told, json.loads({told!r}))
    train = prepared(told)
    train()
    threading.Thread(target=go_on, args=(told, train), daemon=True).start()
"""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is measured: a Service's live Bundle and Specification, how many requests a second, for how long each."""

    service: str
    bundle: Digest
    specification: Digest
    resources: Resources
    rate: float = 200.0
    seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One way of putting them together.

    `p99` is that of an open loop in seconds; `rate` the answers a second that eight connections get as fast as they
    can; `trainings` a second during the open loop, and `speed` that as a share of training alone with its threads.
    """

    way: str
    p99: float
    rate: float
    trainings: float | None = None
    speed: float | None = None
    granted: str = ""


def measure(experiment: Experiment, places: Places, tell: Callable[[str], None]) -> tuple[Beside, ...]:
    """Measure all four ways, one after the other; Conflict where the Service's data is too little to be trained on."""
    with TemporaryDirectory(prefix="keepfit-interference-") as name:
        bench = _Bench(experiment, places, Path(name))
        tell("training alone")
        alone = bench.alone()
        tell("no update")
        with bench.served() as asker:
            found = [bench.measured("no update", asker)]
        tell("in the same process")
        told = bench.told("same")
        with bench.served(told) as asker:
            found.append(bench.measured("same process", asker, told))
        for way, aside in (("second process", False), ("keepfit", True)):
            tell(way)
            with bench.served() as asker, bench.training(way, aside=aside) as (told, granted):
                found.append(replace(bench.measured(way, asker, told), granted=granted()))
    return tuple(replace(one, speed=one.trainings / alone if one.trainings is not None else None) for one in found)


class _Bench:
    """A store of its own with the live Bundle, and the processes that are set beside each other."""

    def __init__(self, experiment: Experiment, places: Places, folder: Path) -> None:
        self._of, self._places, self._folder = experiment, places, folder
        self._own = Places(folder / "store")
        directory = Trees(places.trees).path(experiment.bundle)
        self._digest = Trees(self._own.trees).put(directory)
        rows = pq.read_table(directory / "golden.parquet")
        names = [name for name in rows.column_names if not name.startswith("_")]
        self._bodies = [json.dumps(row, default=str).encode() for row in rows.select(names).to_pylist()]
        self._rows = sys.maxsize

    def told(self, way: str, *, aside: bool = False) -> Told:
        """What a trainer is told; it counts in a file of its own."""
        runners = (self._target.process(self._of.service),) if aside else ()
        return Told(
            store=str(self._places.root),
            specification=self._of.specification,
            rows=self._rows,
            count=str(self._folder / f"{way.replace(' ', '-')}.count"),
            aside=aside,
            runners=tuple(one for one in runners if one),
        )

    @property
    def _target(self) -> Local:
        return Local(places=self._own)

    def alone(self) -> float:
        """Trainings a second with nothing beside, on so many rows that one takes a moment only."""
        self._rows = _FEWEST * 2**10
        while True:
            with self.training("alone", aside=True) as (told, _):
                began, before = time.monotonic(), _count(told)
                time.sleep(self._of.seconds)
                each = (time.monotonic() - began) / max(1, _count(told) - before)
            if each <= _ENOUGH or self._rows <= _FEWEST:
                return 1.0 / each
            Path(told.count).unlink()
            self._rows = max(_FEWEST, self._rows // 4)

    @contextmanager
    def training(self, way: str, *, aside: bool) -> Iterator[tuple[Told, Callable[[], str]]]:
        """A trainer past its first training; what it was granted can be asked for."""
        told = self.told(way, aside=aside)
        own = environment(self._of.resources) if aside else {}
        log = self._folder / "trainer.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "keepfit.edge.trainer", canonical(told).decode()],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **own},
                process_group=0,
            )
        try:
            _await(lambda: _count(told) > 0, process, log)
            yield told, lambda: log.read_text(errors="replace").partition("\n")[0] if aside else ""
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @contextmanager
    def served(self, trains: Told | None = None) -> Iterator[Asker]:
        """A runner that answers, whose front worker trains as well where it is told to."""
        own = {}
        if trains is not None:
            (self._folder / "sitecustomize.py").write_text(_CUSTOM.format(told=canonical(trains).decode()))
            own = {"PYTHONPATH": os.pathsep.join(filter(None, (str(self._folder), os.environ.get("PYTHONPATH"))))}
        service, target = self._of.service, self._target
        deployment = self._own.deployment(service)
        deployment.mkdir(parents=True, exist_ok=True)
        (deployment / "runner.json").unlink(missing_ok=True)
        log = deployment / "runner.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                target.command(service, Serving()), stdout=output, stderr=output, env={**os.environ, **own}
            )
        try:
            _await(lambda: self._swapped(target), process, log)
            yield Asker(int(target.address(service).rpartition(":")[2]), self._bodies)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # the thread that trains leaves it no time to end
                process.kill()
                process.wait()

    def _swapped(self, target: Local) -> bool:
        try:
            target.swap(self._of.service, Held(1, self._digest))
        except Unavailable:
            return False
        return True

    def measured(self, way: str, asker: Asker, told: Told | None = None) -> Beside:
        """An open loop, with the trainings meanwhile, and a closed one."""
        asker.closed(8, 1.0)
        began, before = time.monotonic(), _count(told)
        p99 = asker.steady(self._of.rate, self._of.seconds)
        trainings = (_count(told) - before) / (time.monotonic() - began) if told else None
        return Beside(way=way, p99=p99, rate=asker.closed(8, self._of.seconds), trainings=trainings)


def _count(told: Told | None) -> int:
    path = Path(told.count) if told else None
    return path.stat().st_size if path and path.exists() else 0


def _await(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START
    while not ready():
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise Conflict(f"the experiment cannot be made: {''.join(last) or 'a process of it ended'}")
        if time.monotonic() > deadline:
            raise KeepfitError(f"{process.args!r} was not ready within {_START:.0f} s")
        time.sleep(0.05)
