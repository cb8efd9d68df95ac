"""How much memory does an idle runner take, and how soon does it answer its first request?

One front worker with one small ONNX model (GradientBoosting, 100 trees), capture on. Started with a committed Version,
as a machine that boots starts it; the clock runs from the start of the process to the first 2xx answer to a prediction.
Memory is of all its processes together two seconds later: PSS, where pages that they share count once, and RSS, where
they count for each. The peer is MLServer with the same model, in process and as it comes.
"""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks import mlserver, place
from benchmarks.harness import Line, Sample, either
from benchmarks.weight import pss
from keepfit.core.places import Places
from keepfit.core.service import Serving
from keepfit.loop.targets import Local

ROUNDS, SETTLED = either(5, 1), 2.0
PORT = 18350
Found = list[tuple[float, float, float]]


def _first(command: Sequence[str | Path], port: int, folder: Path, log: Path) -> tuple[float, float, float]:
    """Seconds to the first answer, then MB of PSS and of RSS, of a server that is started and ended."""
    began = time.monotonic()
    with log.open("ab") as file:
        process = subprocess.Popen([str(word) for word in command], cwd=folder, stdout=file, stderr=file)
    try:
        place.await_for(lambda: _answers(port), process, pause=0.005)
        seconds = time.monotonic() - began
        time.sleep(SETTLED)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        return seconds, sum(pss(one.pid) for one in family) / 1e6, sum(one.memory_info().rss for one in family) / 1e6
    finally:
        place.end(process)


def _answers(port: int) -> bool:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{mlserver.INFER}", place.bodies(1)[0], {"Content-Type": "application/json"}
    )
    with suppress(OSError), urllib.request.urlopen(asked, timeout=5.0) as answer:
        return bool(answer.status == 200)
    return False


def run() -> list[Line]:
    """Each started and ended in turn."""
    found: dict[str, Found] = {"keepfit": [], "best": [], "default": []}
    with place.scratch() as name:
        folder = Path(name)
        places = Places(folder / "store")
        with place.runner(places) as served:
            served.swap(1, place.bundle(places))
        mlserver.train(folder)
        peers = {
            "best": mlserver.configure(folder / "best", mlserver.BEST, {}),
            "default": mlserver.configure(folder / "default", {}, {}),
        }
        ours = Local(places=places, port=PORT).command(place.SERVICE, Serving())
        theirs: list[str | Path] = [mlserver.python(), mlserver.python().parent / "mlserver", "start", "."]
        for _ in range(ROUNDS):
            found["keepfit"].append(_first(ours, PORT, folder, folder / "log"))
            for kind, configured in peers.items():
                found[kind].append(_first(theirs, mlserver.PORT, configured, folder / "log"))
    return _lines(found)


def _lines(found: dict[str, Found]) -> list[Line]:
    asked = (
        ("start to first answer", "s", 2.0),
        ("memory of an idle runner, PSS", "MB", 130.0),
        ("memory of an idle runner, RSS of each process added", "MB", None),
    )
    peers = (("best", f"{mlserver.IS}, in process"), ("default", f"{mlserver.IS}, default"))
    lines = []
    for at, (what, unit, most) in enumerate(asked):
        for kind, said in peers:
            mine, theirs = (Sample(tuple(values[at] for values in found[of])) for of in ("keepfit", kind))
            lines.append(
                Line(
                    what=what,
                    ours=mine,
                    peer=theirs,
                    peer_is=f"{unit}, {said}",
                    ratio=theirs.median / mine.median,
                    unit=unit,
                    reach=f"at most {most:g} {unit}" if most else "",
                    reached=mine.median <= most if most else None,
                )
            )
    return lines
