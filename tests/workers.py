"""Real workers: the train step of an update whose estimator says in a file how far it came, and ends when told to."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

import lessons
from keepfit.core.nouns import Resources
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.loop.pipeline import Work
from keepfit.serve.latency import Latency
from keepfit.store.blobs import Blobs, Trees

CODE = '''
from pathlib import Path
from sklearn.linear_model import LogisticRegression
from keepfit import Service


class Counting(LogisticRegression):
    """Adds a byte to `count` for every small piece of work until `enough` is there; takes `greed` bytes first."""

    def __init__(self, folder={folder!r}, greed={greed}):
        super().__init__()
        self.folder, self.greed = folder, greed

    def fit(self, X, y):
        self.hoard_ = bytes(bytearray(self.greed))
        with (Path(self.folder) / "count").open("ab", buffering=0) as count:
            while not (Path(self.folder) / "enough").exists():
                sum(range(100_000))
                count.write(b".")
        if (Path(self.folder) / "bad").exists():
            raise ValueError("nothing comes of it")
        return super().fit(X[["wind", "hour"]], y)

    def predict(self, X):
        return super().predict(X[["wind", "hour"]])

    def predict_proba(self, X):
        return super().predict_proba(X[["wind", "hour"]])


service = Service(name="toy", label="late", estimator=Counting())
'''


class Training:
    """One training: its Work, how far it came, and how it is told to end."""

    def __init__(self, places: Places, folder: Path, *, resources: Resources = Resources(), greed: int = 0) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        code = folder / "code"
        code.mkdir()
        (code / "toy_service.py").write_text(CODE.format(folder=str(folder), greed=greed))
        blobs, tree = Blobs(places.blobs), Trees(places.trees).put(code)
        plain = lessons.specification()
        service = replace(plain.service, name="toy")
        specification = replace(plain, code=tree, module="toy_service.py", service=service)
        self.work = Work(
            step="train",
            service="toy",
            update="u1",
            specification=blobs.put(canonical(specification)),
            inputs={"code": tree, "train": _kept(blobs, 200, 1), "holdout": _kept(blobs, 50, 2)},
            resources=resources,
        )

    @property
    def count(self) -> int:
        """Pieces of work done."""
        path = self.folder / "count"
        return path.stat().st_size if path.exists() else 0

    def suffice(self) -> None:
        """Let it end; making a Bundle of it takes a while."""
        (self.folder / "enough").touch()

    def fail(self) -> None:
        """Let it end at once, in vain."""
        (self.folder / "bad").touch()
        self.suffice()


def _kept(blobs: Blobs, rows: int, seed: int) -> str:
    inputs = lessons.rows(rows, seed)
    plain = lessons.specification()
    sink = io.BytesIO()
    pq.write_table(lessons.table(inputs, lessons.labels(plain.task, inputs, seed, plain.classes)), sink)
    return blobs.put(sink.getvalue())


def served_with(places: Places, budget: float | None, service: str = "other") -> Latency:
    """What a runner writes down of a Deployment with this budget; tell it how slow it is."""
    deployment = places.deployment(service)
    deployment.mkdir(parents=True, exist_ok=True)
    (deployment / "runner.json").write_text(json.dumps({"pid": 0, "serving": {"p99": budget}}))
    return Latency(deployment / "latency")


def state_of(process: int) -> str:
    """The state of a process by its letter in /proc (`T` stands still, `X` is gone)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
