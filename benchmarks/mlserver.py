"""MLServer, the peer: the same model in its own environment, as it comes and in its best setting."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import place
from benchmarks.harness import peer

PORT = 18310
GRPC_PORT = PORT + 1
IS = "MLServer 1.7.1"
BEST: dict[str, Any] = {"parallel_workers": 0, "debug": False}
INFER = "/v2/models/bench/infer"
TRAIN = f"""
import sys, joblib, numpy
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
X, y = make_classification({place.ROWS}, int(sys.argv[2]), random_state=0)
rows = slice({place.ROWS * 4 // 5})
joblib.dump(eval(sys.argv[3]).fit(X.astype(numpy.float32)[rows], y[rows]), sys.argv[1])
"""


def python() -> Path:
    """Its interpreter."""
    return peer("mlserver", "mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22")


def train(folder: Path, *, model: str = place.MODEL, width: int = place.WIDTH, interpreter: Path | None = None) -> None:
    """The same model, fitted in its environment or another peer's, as `model.joblib`."""
    subprocess.run([interpreter or python(), "-c", TRAIN, folder / "model.joblib", str(width), model], check=True)


def batching(rows: int) -> dict[str, Any]:
    """Adaptive batching over what so many connections can send; none for one."""
    return {"max_batch_size": rows, "max_batch_time": 0.001} if rows > 1 else {}


def configure(folder: Path, settings: dict[str, Any], batching: dict[str, Any]) -> Path:
    """A folder it can be started in, beside `model.joblib`."""
    (folder / "bench").mkdir(parents=True)
    ports = {"http_port": PORT, "grpc_port": GRPC_PORT, "metrics_port": PORT + 2}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports, **settings}))
    model = {"name": "bench", "implementation": "mlserver_sklearn.SKLearnModel", **batching}
    model["parameters"] = {"uri": "../../model.joblib"}
    (folder / "bench" / "model-settings.json").write_text(json.dumps(model))
    return folder


@contextmanager
def started(folder: Path, cores: Sequence[int]) -> Iterator[int]:
    """Started in such a folder and ready; its port."""
    command: list[str | Path] = [python(), python().parent / "mlserver", "start", "."]
    with place.server(command, port=PORT, path="/v2/models/bench/ready", cores=cores, folder=folder) as port:
        yield port
