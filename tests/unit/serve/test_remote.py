"""A model in a process of its own answers what it would answer here, together what waits together, and only once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop

import models
from keepfit.core.errors import KeepfitError, ModelFault, Unavailable
from keepfit.core.service import Serving
from keepfit.serve.loading import load
from keepfit.serve.manifest import manifest
from keepfit.serve.remote import Remote
from runners import wait

PATIENCE = 180.0  # seconds, on a machine that is busy with others
Arrays = dict[str, Any]


@contextmanager
def _remote(root: Path, *, serving: Serving = Serving(), **model: Any) -> Iterator[Remote]:
    directory = models.coded(root / "bundle", **model)
    remote = Remote(directory, manifest(directory), serving=serving)
    remote.start()
    try:
        yield remote
    finally:
        remote.close()


async def _behind(root: Path, remote: Remote, *requests: Arrays) -> list[Arrays | BaseException]:
    """The answers of requests that all came while the model was busy with another one."""
    first = remote.ask(models.x(1000))
    await asyncio.to_thread(wait, (root / "place" / "busy").exists)
    asked = [remote.ask(request) for request in requests]
    await asyncio.sleep(0)
    await _open(root)
    assert (await first)["says"].tolist() == ["waited"]
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), PATIENCE)


async def _open(root: Path) -> None:
    await asyncio.to_thread((root / "place" / "gate").write_text, "open")


def _rows(answers: list[Any]) -> list[int]:
    """How many rows each request was answered together with."""
    return [int(answer["rows"][0]) for answer in answers]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_what_waits_goes_together(tmp_path: Path, run: Callable[[Awaitable[Any]], Any]) -> None:
    """While the model works, requests wait; then they go as one batch, and everyone gets their own rows."""
    with _remote(tmp_path) as remote:
        answers = run(_behind(tmp_path, remote, *(models.x(*range(n, 2 * n)) for n in range(1, 8))))
    assert _rows(answers) == [28] * 7
    for n, answer in enumerate(answers, 1):
        np.testing.assert_array_equal(answer["y"], 2.0 * np.arange(n, 2 * n))
        assert answer["says"].tolist() == ["fine"] * n


def test_a_batch_is_as_large_as_the_service_says(tmp_path: Path) -> None:
    """Up to `batch_rows` rows, in the order they came."""
    with _remote(tmp_path, serving=Serving(batch_rows=3)) as remote:
        answers = asyncio.run(_behind(tmp_path, remote, *(models.x(*[0.0] * n) for n in (1, 2, 2, 5))))
    assert _rows(answers) == [3, 3, 2, 5]


def test_one_record_at_a_time_where_the_signature_says_so(tmp_path: Path) -> None:
    """A model of fixed shape is never given two records."""
    with _remote(tmp_path, signature=models.WHOLE) as remote:
        answers = asyncio.run(_behind(tmp_path, remote, models.x(1), models.x(2)))
    assert _rows(answers) == [1, 1]


def test_only_requests_of_one_shape_go_together(tmp_path: Path) -> None:
    """Where dimensions are free, every request keeps its own."""
    shapes = [{"x": np.full((1, width), float(width))} for width in (2, 2, 3)]

    async def scene(remote: Remote) -> list[Any]:
        first = remote.ask({"x": np.full((1, 1), 1000.0)})
        await asyncio.to_thread(wait, (tmp_path / "place" / "busy").exists)
        asked = [remote.ask(shape) for shape in shapes]
        await _open(tmp_path)
        return (await asyncio.gather(first, *asked))[1:]

    with _remote(tmp_path, signature=models.FREE) as remote:
        answers = asyncio.run(scene(remote))
    assert _rows(answers) == [2, 2, 1]
    assert [answer["y"].tolist() for answer in answers] == [[4.0], [4.0], [6.0]]


def test_a_bad_row_fails_only_its_own_request(tmp_path: Path) -> None:
    """What failed together is asked again one by one."""
    with _remote(tmp_path) as remote:
        before = remote.process
        answers = asyncio.run(_behind(tmp_path, remote, models.x(1), models.x(2, 1001), models.x(3, 4)))
        assert remote.process == before
    assert isinstance(answers[1], ModelFault)
    assert "RuntimeError: on purpose" in str(answers[1])
    assert [answers[0]["y"].tolist(), answers[2]["y"].tolist()] == [[2.0], [6.0, 8.0]]


def test_a_queue_has_an_end(tmp_path: Path) -> None:
    """One request too many is told so at once; one whose caller went away makes room."""

    async def scene(remote: Remote) -> None:
        first = remote.ask(models.x(1000))
        await asyncio.to_thread(wait, (tmp_path / "place" / "busy").exists)
        waiting = [remote.ask(models.x(1)), remote.ask(models.x(2))]
        with pytest.raises(Unavailable) as caught:
            remote.ask(models.x(3))
        assert caught.value.code == "queue_full"
        waiting[0].cancel()
        waiting.append(remote.ask(models.x(3)))
        await _open(tmp_path)
        answers = await asyncio.gather(first, *waiting[1:])
        assert [answer["y"].tolist() for answer in answers[1:]] == [[4.0], [6.0]]
        assert _rows(list(answers)) == [1, 2, 2]

    with _remote(tmp_path, serving=Serving(queue=2)) as remote:
        asyncio.run(scene(remote))


def test_a_model_that_hangs_is_ended_and_those_who_wait_are_answered_by_the_next(tmp_path: Path) -> None:
    """A deadline is kept for those who wait as for those who are being answered; each is told which it was."""

    async def scene(remote: Remote) -> None:
        before = remote.process
        hung = remote.ask(models.x(1004))
        await asyncio.sleep(0.05)
        late = remote.ask(models.x(1))
        with pytest.raises(ModelFault, match="did not answer within 3 s and was ended"):
            await hung
        after = remote.ask(models.x(2))
        with pytest.raises(Unavailable) as caught:
            await late
        assert caught.value.code == "deadline"
        with pytest.raises(ProcessLookupError):
            os.kill(before, 0)
        try:
            answer = await after
        except Unavailable:  # a new process may take longer than that on a busy machine
            await asyncio.to_thread(wait, lambda: remote.process)
            answer = await remote.ask(models.x(2))
        assert answer["y"].tolist() == [4.0]
        assert remote.process not in (0, before)

    with _remote(tmp_path, serving=Serving(deadline=3.0)) as remote:
        asyncio.run(scene(remote))


@pytest.mark.parametrize("command", [1002, 1003, 1012], ids=["exits", "segfaults", "breaks the protocol"])
def test_a_death_costs_one_batch(tmp_path: Path, command: int) -> None:
    """Those in it are told; those who waited are answered by a new process; the event loop is never held up."""

    async def scene(remote: Remote) -> None:
        before = remote.process
        dying = remote.ask(models.x(command))
        await asyncio.sleep(0)
        waiting = [remote.ask(models.x(n)) for n in (1, 2)]
        ticking = asyncio.create_task(_longest_pause())
        with pytest.raises(ModelFault, match=r"died|broke the protocol"):
            await dying
        answers = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
        assert [answer["y"].tolist() for answer in answers] == [[2.0], [4.0]]
        assert remote.process not in (0, before)
        ticking.cancel()
        assert await ticking < 0.5

    with _remote(tmp_path) as remote:
        asyncio.run(scene(remote))


async def _longest_pause() -> float:
    """The longest time, until cancelled, for which the event loop did not come round though it had a processor."""
    longest, before = 0.0, _awake()
    try:
        while True:
            await asyncio.sleep(0.01)
            now = _awake()
            longest, before = max(longest, now - before), now
    except asyncio.CancelledError:
        return longest


def _awake() -> float:
    """Seconds of a clock that stands still while this thread waits for a processor, where the system tells."""
    told = Path("/proc/thread-self/schedstat")
    waited = int(told.read_text().split()[1]) / 1e9 if told.exists() else 0.0
    return time.monotonic() - waited


def test_an_idle_process_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """Nobody needs to ask for that."""

    async def scene(remote: Remote) -> None:
        await remote.ask(models.x(1))
        before = remote.process
        os.kill(before, signal.SIGKILL)
        await asyncio.to_thread(wait, lambda: remote.process not in (0, before))
        assert (await remote.ask(models.x(1)))["y"].tolist() == [2.0]

    with _remote(tmp_path) as remote:
        asyncio.run(scene(remote))


def test_waiting_for_others_is_short_and_asked_for(tmp_path: Path) -> None:
    """With `batch_delay`, the first waits for others; a full batch goes at once."""

    async def scene(remote: Remote) -> None:
        first = remote.ask(models.x(1))
        await asyncio.sleep(0.05)
        second = remote.ask(models.x(2))
        assert _rows(list(await asyncio.gather(first, second))) == [2, 2]
        remote._serving = Serving(batch_delay=10.0, batch_rows=4)
        full = await asyncio.wait_for(asyncio.gather(*(remote.ask(models.x(n)) for n in range(4))), 8.0)
        assert _rows(list(full)) == [4] * 4

    with _remote(tmp_path, serving=Serving(batch_delay=1.0, batch_rows=4)) as remote:
        asyncio.run(scene(remote))


def test_a_thread_may_ask_too(tmp_path: Path) -> None:
    """Before there is an event loop, beside it, and after it."""

    async def scene(remote: Remote) -> list[Arrays]:
        return list(await asyncio.gather(asyncio.to_thread(remote.predict, models.x(1)), remote.ask(models.x(2))))

    with _remote(tmp_path) as remote:
        assert remote.predict(models.x(1))["y"].tolist() == [2.0]
        for _ in range(2):
            assert [answer["y"].tolist() for answer in asyncio.run(scene(remote))] == [[2.0], [4.0]]
        assert remote.predict(models.x(3))["y"].tolist() == [6.0]


@pytest.mark.parametrize(
    ("command", "words"),
    [(1001, "on purpose"), (1002, "died"), (1009, "SystemExit"), (1012, "protocol"), (1004, "did not answer")],
)
def test_without_a_loop_faults_are_the_same(tmp_path: Path, command: int, words: str) -> None:
    """`predict` from a worker tells the same faults, and finds a new process afterwards."""
    with _remote(tmp_path, serving=Serving(deadline=2.0)) as remote:
        with pytest.raises(ModelFault, match=words):
            remote.predict(models.x(command))
        remote._serving = Serving()  # a new process may need longer for its first answer
        assert remote.predict(models.x(1))["y"].tolist() == [2.0]


@pytest.mark.parametrize("where", ["loop", "thread", "neither"])
def test_closing_tells_all_who_wait_and_ends_the_process(tmp_path: Path, where: str) -> None:
    """Memory is given back when `close` returns, whichever thread calls it and whatever is going on."""
    with _remote(tmp_path) as remote:
        process = remote.process

        async def scene() -> None:
            asked = [remote.ask(models.x(1004)), remote.ask(models.x(1))]
            await asyncio.sleep(0.1)
            remote.close() if where == "loop" else await asyncio.to_thread(remote.close)
            for answer in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(answer, ModelFault)
                assert "unloaded" in str(answer)
            with pytest.raises(ModelFault, match="unloaded"):
                remote.ask(models.x(1))

        remote.close() if where == "neither" else asyncio.run(scene())
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
        with pytest.raises(ModelFault, match="unloaded"):
            remote.predict(models.x(1))


DYING = """
import os, time
from pathlib import Path

class Model:
    def __init__(self):
        starts = Path(PLACE) / "forks"
        (starts / str(time.monotonic())).touch()
        if len(list(starts.iterdir())) > 1:
            os._exit(5)

    def predict(self, inputs):
        os._exit(6)
"""


def test_a_process_that_dies_at_every_start_is_started_once_a_second(tmp_path: Path) -> None:
    """Those who wait are told why; the next who asks has it tried again, and not sooner."""

    async def scene(remote: Remote) -> None:
        faults: list[KeepfitError] = []
        while len(list(starts.iterdir())) < 4:
            try:
                await remote.ask(models.x(1))
            except KeepfitError as fault:
                faults.append(fault)
        assert "status 5" in str(faults[-1])
        assert len(faults) < 8

    starts = tmp_path / "place" / "forks"
    with _remote(tmp_path, source=DYING) as remote:
        asyncio.run(scene(remote))
    times = sorted(float(path.name) for path in starts.iterdir())
    assert times[-1] - times[0] > len(times) - 2  # a second between two, however long Python takes to begin


def test_two_versions_of_one_class_live_side_by_side(tmp_path: Path) -> None:
    """Modules and classes of one name, each in its own process; the memory of one goes with it."""
    ours = {2.0: tmp_path / "a", 3.0: tmp_path / "b"}
    loaded = {factor: load(models.coded(path, factor=factor))[1] for factor, path in ours.items()}
    try:
        for factor, predictor in loaded.items():
            assert predictor.predict(models.x(1))["y"].tolist() == [factor]
        assert len({predictor.process for predictor in loaded.values()}) == 2  # type: ignore[attr-defined]
        gone = loaded[2.0].process  # type: ignore[attr-defined]
        loaded[2.0].close()
        assert not Path(f"/proc/{gone}").exists()
        assert loaded[3.0].predict(models.x(1))["y"].tolist() == [3.0]
    finally:
        for predictor in loaded.values():
            predictor.close()


def test_many_threads_may_rehearse_at_once(tmp_path: Path) -> None:
    """Without a loop, answers are never mixed up."""
    with _remote(tmp_path) as remote:
        found: dict[int, list[float]] = {}

        def ask(n: int) -> None:
            found[n] = [remote.predict(models.x(n))["y"][0] for _ in range(20)]

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {n: [2.0 * n] * 20 for n in range(4)}
