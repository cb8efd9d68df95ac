"""Runs yield to serving: stopped within moments, resumed by themselves, nothing lost, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toys
from keepfit.core.nouns import Conditions, Gpu, Resources
from keepfit.core.places import Places
from keepfit.core.registry import canonical, to_plain
from keepfit.core.service import Serving
from keepfit.edge.guard import Guarded
from keepfit.loop.executors import Ended, ProcessExecutor, read_granted
from keepfit.serve.latency import Latency
from runners import Served, inference, served
from runners import wait as wait_for
from workers import Training, served_with, state_of

PATIENCE = 300.0  # seconds: on a busy machine a Run gets only what nobody else wants
INFER = "/v2/models/toy/infer"
X = np.random.default_rng(7).normal(size=(1, toys.WIDTH)).astype(np.float32)


def wait(until: Callable[[], Any]) -> None:
    """Return when it is so."""
    wait_for(until, PATIENCE)


@contextmanager
def guarded(places: Places) -> Iterator[Guarded]:
    """A guard over a store, gone afterwards with everything it started."""
    executor = Guarded(ProcessExecutor(places), places)
    try:
        yield executor
    finally:
        executor.close()


def ended(executor: Guarded | ProcessExecutor, run: str, process: int) -> Ended:
    """How a Run ended, when it has."""
    found: list[Ended] = []

    def polled() -> bool:
        one = executor.poll(run, process)
        found.extend([one] if one else [])
        return one is not None

    wait(polled)
    return found[0]


def working(training: Training) -> None:
    """Wait until it gets on."""
    before = training.count
    wait(lambda: training.count > before)


def test_a_run_stands_still_while_serving_is_over_its_budget_and_loses_nothing(tmp_path: Path) -> None:
    """It goes on by itself where it was when serving is well again, and its end tells how it yielded."""
    places = Places(tmp_path / "store")
    latency = served_with(places, 0.010)
    training = Training(places, tmp_path / "training")
    with guarded(places) as executor:
        process = executor.start("r1", training.work)
        working(training)
        assert executor.poll("r1", process) is None
        latency.tell(0, 0.050)
        wait(lambda: state_of(process) == "T")
        reached = training.count
        wait(lambda: (latency.tell(0, 0.002), state_of(process) != "T")[1])
        working(training)
        assert training.count > reached
        training.suffice()
        end = ended(executor, "r1", process)
    assert (end.code, end.yields) == ("", 1), end.reason
    assert end.held > 0.0
    assert [one.service for one in end.interference] == ["other"]
    assert end.interference[0].budget == 0.010
    assert end.interference[0].during is not None


def test_a_worker_has_a_group_of_its_own_in_our_session(tmp_path: Path) -> None:
    """What it starts is stopped with it by one signal; in another session its low priority would count for nothing."""
    places = Places(tmp_path / "store")
    training = Training(places, tmp_path / "training")
    with guarded(places) as executor:
        process = executor.start("r1", training.work)
        working(training)
        assert os.getpgid(process) == process
        assert os.getsid(process) == os.getsid(0)
        training.fail()
        ended(executor, "r1", process)


def test_a_killed_control_process_leaves_nobody_standing(tmp_path: Path) -> None:
    """A worker that stands still when its control process is killed goes on, and the next one learns how it ended."""
    places = Places(tmp_path / "store")
    latency = served_with(places, 0.010)
    training = Training(places, tmp_path / "training")
    request = tmp_path / "work.json"
    request.write_bytes(canonical(training.work))
    command = [sys.executable, str(Path(__file__).parent / "mortal_guard.py"), str(places.root), "r1", str(request)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as control:
        assert control.stdout is not None
        process = int(control.stdout.readline())
        working(training)
        wait(lambda: (latency.tell(0, 0.050), state_of(process) == "T")[1])
        control.kill()
    wait(lambda: state_of(process) != "T")
    working(training)
    latency.tell(0, None)
    with guarded(places) as executor:
        assert executor.poll("r1", process) is None
        training.fail()
        assert ended(executor, "r1", process).code == "refused"


def test_a_run_found_standing_still_is_woken(tmp_path: Path) -> None:
    """What an earlier control process left stopped goes on with the first look at it."""
    places = Places(tmp_path / "store")
    training = Training(places, tmp_path / "training")
    first = ProcessExecutor(places)
    process = first.start("r1", training.work)
    try:
        working(training)
        os.killpg(process, signal.SIGSTOP)
        wait(lambda: state_of(process) == "T")
        with guarded(places) as executor:
            assert executor.poll("r1", process) is None
            wait(lambda: state_of(process) != "T")
            working(training)
    finally:
        first.close()


def test_a_run_that_stands_still_can_be_ended(tmp_path: Path) -> None:
    """Stopping a Run or the whole executor does not wait for serving to be well."""
    places = Places(tmp_path / "store")
    latency = served_with(places, 0.010)
    training = Training(places, tmp_path / "training")
    with guarded(places) as executor:
        process = executor.start("r1", training.work)
        working(training)
        wait(lambda: (latency.tell(0, 0.050), state_of(process) == "T")[1])
        executor.stop("r1", process)
        assert state_of(process) == "X"


def test_a_share_of_a_gpus_time_is_kept_to(tmp_path: Path) -> None:
    """With half of the time a worker is stopped and goes on again and again; that counts as no yielding to serving."""
    places = Places(tmp_path / "store")
    training = Training(places, tmp_path / "training", resources=Resources(gpu=Gpu(time=0.5)))
    with guarded(places) as executor:
        process = executor.start("r1", training.work)
        working(training)
        for _ in range(2):
            wait(lambda: state_of(process) == "T")
            wait(lambda: state_of(process) in "RS")
        training.fail()
        end = ended(executor, "r1", process)
    assert (end.yields, end.held) == (0, 0.0)
    assert isinstance(end.granted, Conditions)
    assert end.granted.gpu or any("GPU 0" in one for one in end.granted.missing)


class Asking(threading.Thread):
    """Asks a runner on and on; what was not answered as it should is in `wrong`."""

    def __init__(self, runner: Served) -> None:
        super().__init__()
        self._runner, self._halt = runner, threading.Event()
        self._body = json.dumps(inference(X)).encode()
        self._expected = float(toys.probability(toys.TENSOR, {"x": X}, 0.0)[0])
        self.answered = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self._halt.is_set():
            reply = self._runner.call("POST", INFER, self._body)
            found = {one["name"]: one["data"][0] for one in reply.json["outputs"]} if reply.status == 200 else {}
            if abs(found.get("probability", np.nan) - self._expected) < 1e-6:
                self.answered += 1
            else:
                self.wrong.append(f"{reply.status} {reply.body!r}")

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._halt.set()
        self.join()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Served]:
    """A real runner with a budget that no answer keeps to."""
    tight = json.dumps(to_plain(Serving(p99=1e-6)))
    with served(tmp_path / "store", "--serving", tight) as found:
        found.put(1)
        found.swap(1)
        yield found


def test_a_runner_tells_and_a_run_yields(runner: Served, tmp_path: Path) -> None:
    """The runner's own p99 stops the Run; a wider budget, taken over while it serves, lets it go on."""
    training = Training(runner.places, tmp_path / "training")
    with guarded(runner.places) as executor, Asking(runner) as asking:
        process = executor.start("r1", training.work)
        wait(lambda: state_of(process) == "T")
        told = Latency(runner.deployment / "latency").slowest()
        assert told is not None
        assert 0.0 < told < 60.0
        runner.ask(do="serving", serving=to_plain(Serving(p99=60.0)))
        wait(lambda: state_of(process) != "T")
        training.fail()
        end = ended(executor, "r1", process)
    assert asking.answered > 0
    assert asking.wrong == []
    assert end.yields >= 1
    assert [one.service for one in end.interference] == ["toy"]


def test_a_worker_that_dies_changes_no_answer(runner: Served, tmp_path: Path) -> None:
    """One is killed, one runs out of its memory: both are told as they were, and serving noticed nothing."""
    runner.ask(do="serving", serving=to_plain(Serving()))
    places = runner.places
    killed = Training(places, tmp_path / "killed")
    greedy = Training(places, tmp_path / "greedy", resources=Resources(memory=2**30), greed=2**31)
    with guarded(places) as executor, Asking(runner) as asking:
        first = executor.start("r1", killed.work)
        working(killed)
        granted = read_granted(places.run("r1"))
        os.kill(first, signal.SIGKILL)
        lost = ended(executor, "r1", first)
        out = ended(executor, "r2", executor.start("r2", greedy.work))
        before = asking.answered
        wait(lambda: asking.answered > before)
    assert granted is not None
    assert granted.cores
    assert lost.code == "lost"
    assert lost.granted == granted
    assert lost.cpu_seconds > 0.0
    assert out.code in ("memory", "refused"), out.reason
    assert "1,073,741,824" in str(out.granted)
    assert asking.wrong == []
