"""Does memory grow over 200 swaps of a 205 MB model, and how much does it take at the worst moment?

Two ONNX graphs of 205 MB of weights take turns under three names each, so that none is ever resident when it comes;
one connection asks throughout. What is measured is the front worker's proportional set size (PSS: what is mapped by
several processes counts for each by its part; the weights themselves are private), every 20 ms. `one` is with a single
model loaded, growth is from after 10 swaps to after the last, both with the live model and the one before it resident.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from benchmarks import bundles, mlserver, place
from benchmarks.harness import Line, Sample, either
from benchmarks.load import Client, request
from keepfit.core.places import Places

SWAPS, FIRST, LAYERS = either(200, 6), either(10, 2), either(bundles.LAYERS, 5)
EVERY, SETTLED = 0.02, 1.0  # seconds


def pss(process: int) -> int:
    """The proportional set size of a process in bytes."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{process}/smaps_rollup says nothing of Pss")


class _Highest:
    """The highest PSS of a process until it is asked for."""

    def __init__(self, process: int) -> None:
        self._process, self._over, self._found = process, threading.Event(), 0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self._found = max(self._found, pss(self._process))

    def end(self) -> int:
        """Stop looking; the highest, in bytes."""
        self._over.set()
        self._thread.join()
        return self._found


def run() -> list[Line]:
    """One long run of one front worker."""
    with place.scratch() as name:
        places = Places(Path(name) / "store")
        digests = [bundles.weighty(places, seed, LAYERS) for seed in (0, 1)]
        with place.runner(places) as served:
            (front,) = served.fronts
            empty = pss(front)
            served.swap(1, digests[0])
            over = threading.Event()
            client = Client(served.port, [request(mlserver.INFER, body) for body in place.bodies()])
            asking = threading.Thread(target=client.closed, args=(1, 0.0, over.is_set))
            asking.start()
            try:
                time.sleep(SETTLED)
                one = pss(front)
                highest, settled = _Highest(front), [0]
                for turn in range(SWAPS):
                    served.swap(turn + 2, digests[turn // 2 % 2] if turn % 2 else digests[1 - turn // 2 % 2])
                    if turn + 1 in (FIRST, SWAPS):
                        time.sleep(SETTLED)
                        settled.append(pss(front))
                peak = highest.end()
            finally:
                over.set()
                asking.join()
    if client.failed or client.broken:
        raise RuntimeError(f"{client.failed} answers were no 2xx, {client.broken} connections broke")
    return _lines(empty, one, peak, settled[1], settled[2])


def _lines(empty: int, one: int, peak: int, first: int, last: int) -> list[Line]:
    def line(what: str, value: float, most: float | None = None, unit: str = "") -> Line:
        reach = f"at most {most:g}" if most else ""
        return Line(what=what, ours=Sample((value,)), unit=unit, reach=reach, reached=value <= most if most else None)

    return [
        line(f"PSS after {SWAPS} swaps / after {FIRST}", last / first, 1.05),
        line("peak / one model loaded", peak / one, 2.1),
        line("with no model", empty / 1e6, unit="MB"),
        line("with one model", one / 1e6, unit="MB"),
        line("peak", peak / 1e6, unit="MB"),
    ]
