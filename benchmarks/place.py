"""What the serving benchmarks share: Bundles of a 100-tree model on 20 features, a runner with it, pinned processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.harness import ROOT
from keepfit.core.nouns import LABEL, RECORD_ID, RECORD_TIME, Digest, Held, Task
from keepfit.core.places import Places
from keepfit.core.registry import to_plain
from keepfit.core.service import Recipe, Service, Serving, Specification
from keepfit.core.signature import DType, Field
from keepfit.learn.update import Folders, update
from keepfit.loop.targets import Local
from keepfit.store.blobs import Trees

SERVICE = "bench"
ROWS, WIDTH = 5_000, 20
MODEL = "GradientBoostingClassifier(n_estimators=100, random_state=0)"


def data(seed: int = 0, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 20 FP32 features, or another number, and a binary label that depends on them."""
    from sklearn.datasets import make_classification

    X, y = make_classification(ROWS, width, random_state=seed)
    return X.astype(np.float32), y.astype(np.int64)


def specification(width: int = WIDTH) -> Specification:
    """A Service whose only input is one tensor of 20 FP32 per record, or of another number."""
    return Specification(
        service=Service(name=SERVICE, label="y", recipe=Recipe()),
        code="",
        module="",
        source="",
        source_rows=ROWS,
        task=Task.BINARY,
        classes=(0, 1),
        inputs=(Field("x", DType.FP32, (width,)),),
        outputs=(Field("prediction", DType.INT64), Field("probability", DType.FP32)),
        label=Field("y", DType.INT64),
    )


def dataset(X: np.ndarray, y: np.ndarray) -> pa.Table:
    """The rows in the form of a Dataset."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            RECORD_ID: [str(i) for i in range(len(y))],
            RECORD_TIME: pa.array([start + timedelta(seconds=i) for i in range(len(y))], pa.timestamp("us", "UTC")),
            "x": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1]),
            LABEL: y,
        }
    )


def estimator() -> Any:
    """The model that is asked: gradient boosting of 100 trees."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=100, random_state=0)


def bundle(places: Places, seed: int = 0, *, model: Any = None, width: int = WIDTH) -> Digest:
    """Train a model as an update does and keep its Bundle; another seed is another model of the same Signature."""
    table = dataset(*data(seed, width))
    cut = ROWS * 4 // 5
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "bundle"
        into.mkdir()
        made = update(
            specification(width),
            model or estimator(),
            train=table.slice(0, cut),
            holdout=table.slice(cut),
            folders=Folders(into=into, left=Path(folder) / "memory"),
        )
        if made.runtime != "onnx":
            raise RuntimeError(f"the benchmark's model was not converted: {made.note}")
        return Trees(places.trees).put(into)


def bodies(count: int = 64) -> list[bytes]:
    """Open Inference Protocol requests of one row each, all different."""
    X, _ = data()
    rows = (
        [{"name": "x", "shape": [1, WIDTH], "datatype": "FP32", "data": [round(float(v), 4) for v in row]}]
        for row in X[:count]
    )
    return [json.dumps({"inputs": inputs}, separators=(",", ":")).encode() for inputs in rows]


@contextmanager
def on_cores(cores: Sequence[int] | None) -> Iterator[None]:
    """Start processes on these cores only: children inherit the affinity of who starts them."""
    before = os.sched_getaffinity(0)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Served:
    """A runner that is up: its ports (`grpc_port` 0 for none), its process, and the orders it takes."""

    port: int
    grpc_port: int
    process: subprocess.Popen[bytes]
    target: Local

    @property
    def path(self) -> str:
        """Where inference is asked for."""
        return f"/v2/models/{SERVICE}/infer"

    def swap(self, version: int, digest: Digest, *, slot: str = "live") -> dict[str, Any]:
        """Put a Version into a Slot (a canary gets no requests); what the runner says of it."""
        return self.target.swap(SERVICE, Held(version, digest), slot=slot)

    @property
    def fronts(self) -> list[int]:
        """The process ids of the front workers."""
        return [int(worker["pid"]) for worker in self.target.status(SERVICE)["workers"]]


@contextmanager
def runner(
    places: Places,
    *,
    cores: Sequence[int] | None = None,
    capture: bool = True,
    workers: int = 1,
    serving: Serving = Serving(),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """A runner of its own on free ports; stopped in good order afterwards."""
    deployment = places.deployment(SERVICE)
    deployment.mkdir(parents=True, exist_ok=True)
    (deployment / "runner.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "keepfit.edge.runner", "--store", str(places.root), "--service", SERVICE]
    command += ["--workers", str(workers), *([] if capture else ["--no-capture"])]
    command += ["--serving", json.dumps(to_plain(serving))]
    with on_cores(cores), (deployment / "runner.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(environment or {})}
        )
    try:
        await_for(lambda: (deployment / "runner.json").exists(), process)
        said = json.loads((deployment / "runner.json").read_text())
        yield Served(int(said["port"]), int(said["grpc_port"] or 0), process, Local(places=places))
    except BaseException:
        print((deployment / "runner.log").read_text(encoding="utf-8")[-4000:], file=sys.stderr)
        raise
    finally:
        end(process)


@contextmanager
def server(command: Sequence[str | Path], *, port: int, path: str, cores: Sequence[int], folder: Path) -> Iterator[int]:
    """Any other server, waited for until `path` answers 200; the port."""
    with on_cores(cores), (folder / "log").open("ab") as log:
        process = subprocess.Popen([str(word) for word in command], cwd=folder, stdout=log, stderr=log)
    try:
        await_for(lambda: _ok(f"http://127.0.0.1:{port}{path}"), process)
        yield port
    finally:
        end(process)


def await_for(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 60.0, *, pause: float = 0.05
) -> None:
    """Wait until it is ready; RuntimeError when the process ends first or takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} was not ready after {seconds:.0f} s")
        time.sleep(pause)


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as knock:
        knock.settimeout(1.0)
        return knock.connect_ex(("127.0.0.1", port)) == 0


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process of our own and wait for it."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for a store, beside the repository's other build outputs where disks are real."""
    (ROOT / ".peers").mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=ROOT / ".peers", prefix="store-")
