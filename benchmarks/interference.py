"""How much slower is inference while an update trains on the same two cores?

200 one-row requests a second to a runner with capture on; latency counts from when a request was due. The update is the
loop's own `train` step (histogram boosting) in its worker process. The peer is the naive co-run: the same training in
an ordinary process with the library's default threads.
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from benchmarks import place
from benchmarks.harness import Line, Sample, either, interleave
from benchmarks.load import Client, request
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.loop.executors import ProcessExecutor
from keepfit.loop.pipeline import Work
from keepfit.store.blobs import Blobs, Trees

ROUNDS, RATE, SECONDS = either(5, 1), 200.0, either(12.0, 2.0)
CORES = [0, 1]
DECLARATION = """
from sklearn.ensemble import HistGradientBoostingClassifier
from keepfit import Service
estimator = HistGradientBoostingClassifier(max_iter=100_000, max_leaf_nodes=63, early_stopping=False)
service = Service(name="bench", label="y", estimator=estimator)
"""
NAIVE = """
import numpy
from sklearn.datasets import make_classification
X, y = make_classification({rows}, {width}, random_state=0)
print("fitting", flush=True)
exec({declaration!r})
estimator.fit(X.astype(numpy.float32), y)
"""


def _work(places: Places) -> Work:
    """The train step of an update that lasts longer than the measurement."""
    blobs, code = Blobs(places.blobs), places.root / "code"
    code.mkdir()
    (code / "service.py").write_text(DECLARATION)
    tree = Trees(places.trees).put(code)
    specification = replace(place.specification(), code=tree, module="service.py")
    table = place.dataset(*place.data())

    def kept(rows: slice) -> Digest:
        sink = io.BytesIO()
        pq.write_table(table.slice(rows.start, rows.stop - rows.start), sink)
        return blobs.put(sink.getvalue())

    return Work(
        step="train",
        service=place.SERVICE,
        update="bench",
        specification=blobs.put(canonical(specification)),
        inputs={"code": tree, "train": kept(slice(0, 4000)), "holdout": kept(slice(4000, 5000))},
    )


@contextmanager
def _updating(places: Places, work: Work, granted: list[str]) -> Iterator[int]:
    """The worker of an update, past its imports and fitting."""
    executor, run = ProcessExecutor(places), f"run-{time.monotonic_ns()}"
    process = executor.start(run, work)
    try:
        _await_fitting(process)
        granted.append((places.run(run) / "log").read_text().splitlines()[0])
        yield process
        ended = executor.poll(run, process)
        if ended is not None:
            raise RuntimeError(f"the update ended before the measurement: {ended}")
    finally:
        executor.close()


@contextmanager
def _naively() -> Iterator[int]:
    """The same training beside serving, without any care taken."""
    script = NAIVE.format(rows=place.ROWS, width=place.WIDTH, declaration=DECLARATION)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    try:
        _await_fitting(process.pid)
        yield process.pid
    finally:
        place.end(process)


def _await_fitting(process: int) -> None:
    """Wait until it has used more processor time than its imports take."""
    deadline = time.monotonic() + 120
    while _spent(process) < 5.0:
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {process} did not get to its training within two minutes")
        time.sleep(0.1)


def _spent(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def run() -> list[Line]:
    """Alone, beside an update, beside the naive training, in turn."""
    requests = [request(f"/v2/models/{place.SERVICE}/infer", body) for body in place.bodies()]
    granted: list[str] = []
    shares: dict[str, list[float]] = {"update": [], "naive": []}
    with place.scratch() as name, place.on_cores(CORES):
        places = Places(Path(name) / "store")
        digest = place.bundle(places)
        work = _work(places)
        with place.runner(places) as served:
            served.swap(1, digest)

            def p99() -> float:
                found = Client(served.port, requests).steady(RATE, SECONDS)
                if found.failed or found.broken:
                    raise RuntimeError(f"{found.failed} answers were no 2xx, {found.broken} connections broke")
                return found.p99 * 1e3

            def beside(kind: str, process: int) -> float:
                began, before = time.monotonic(), _spent(process)
                found = p99()
                shares[kind].append((_spent(process) - before) / (time.monotonic() - began))
                return found

            def with_update() -> float:
                with _updating(places, work, granted) as process:
                    return beside("update", process)

            def with_naive() -> float:
                with _naively() as process:
                    return beside("naive", process)

            measured: dict[str, Callable[[], float]] = {"alone": p99, "update": with_update, "naive": with_naive}
            p99()
            found = interleave(ROUNDS, measured)
    print(f"  granted to the update: {granted[-1]}")
    return _lines(found, shares)


def _lines(found: dict[str, Sample], shares: dict[str, list[float]]) -> list[Line]:
    alone = found["alone"].median
    ratio, naive = found["update"].median / alone, found["naive"].median / alone
    return [
        Line(
            what="p99 at 200 requests/s beside an update / alone",
            ours=Sample(tuple(value / alone for value in found["update"].values)),
            peer=Sample(tuple(value / alone for value in found["naive"].values)),
            peer_is="beside the naive co-run",
            ratio=naive / ratio,
            reach="at most 1.2",
            reached=ratio <= 1.2,
        ),
        Line(what="p99 alone", ours=found["alone"], unit="ms"),
        Line(
            what="p99 beside",
            ours=found["update"],
            peer=found["naive"],
            peer_is="ms, beside the naive co-run",
            unit="ms",
        ),
        Line(
            what="cores the training got",
            ours=Sample(tuple(shares["update"])),
            peer=Sample(tuple(shares["naive"])),
            peer_is="naive co-run",
        ),
    ]
