"""Apart: work done in processes of their own, a few at a time, and told as it ends."""

from __future__ import annotations

import multiprocessing
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from keepfit.core.errors import KeepfitError, Refused

W = TypeVar("W")
R = TypeVar("R")


def apart(
    act: Callable[[W], R], works: Sequence[W], workers: int, *, preload: Sequence[str] = ()
) -> Iterator[tuple[W, R | KeepfitError]]:
    """Each work with what `act` made of it, or with the error it raised, as they end.

    Every work has a process of its own, forked from one that has imported the modules `preload`, so that what one holds
    of memory is its own and one that is killed takes no other with it. With 0 `workers` all happens here, in order.
    """
    if not workers:
        for work in works:
            yield work, _done(act, work)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with TemporaryDirectory(prefix="keepfit-apart-") as folder:
        shared = Path(folder) / "works.pickle"
        shared.write_bytes(pickle.dumps((act, works), protocol=5))  # once for all: what they share may be large
        waiting, running = deque(range(len(works))), dict[Connection, tuple[Any, int]]()
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    place = waiting.popleft()
                    here, there = context.Pipe(duplex=False)
                    process = context.Process(target=_do, args=(str(shared), place, there), daemon=True)
                    process.start()
                    there.close()
                    running[here] = (process, place)
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection)  # noqa: S101  # nothing else is waited for
                    process, place = running.pop(ready)
                    yield works[place], _received(ready, process)
        finally:
            for process, _ in running.values():
                process.kill()
                process.join()


def _do(shared: str, place: int, answer: Connection) -> None:
    """The process of one work."""
    act, works = pickle.loads(Path(shared).read_bytes())  # noqa: S301  # written by the process that started this one
    answer.send(_done(act, works[place]))
    answer.close()


def _done(act: Callable[[W], R], work: W) -> R | KeepfitError:
    try:
        return act(work)
    except KeepfitError as error:
        return error


def _received(answer: Connection, process: Any) -> Any:
    """What a process sent, or the error that it ended without a word."""
    try:
        return answer.recv()
    except EOFError:
        process.join()
        return Refused(f"its process ended with {process.exitcode} and told nothing", code="killed")
    finally:
        answer.close()
        process.join()
