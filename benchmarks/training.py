"""A torch update that lasts as long as it is measured, and counts its mini-batches in a file."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from benchmarks import place
from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.loop.pipeline import Work
from keepfit.store.blobs import Blobs, Trees

DECLARATION = """
import numpy as np
from keepfit import Service


class Net:
    # two hidden layers of 200, trained by Adam on mini-batches of 64 until somebody ends the process
    def fit(self, X, y):
        import torch

        torch.manual_seed(0)
        rows, wide = np.asarray(X, np.float32), np.asarray(X).shape[1]
        rows, truth = torch.from_numpy(rows), torch.from_numpy(np.asarray(y, np.int64))
        layers = [torch.nn.Linear(wide, 200), torch.nn.ReLU(), torch.nn.Linear(200, 200), torch.nn.ReLU()]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(200, 2))
        optimizer = torch.optim.Adam(net.parameters())
        with open({count!r}, "ab", buffering=0) as count:
            while True:
                some = torch.randint(len(rows), (64,))
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(rows[some]), truth[some]).backward()
                optimizer.step()
                count.write(b".")

    def predict(self, X):
        return np.zeros(len(X), np.int64)

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


estimator = Net()
service = Service(name="bench", label="y", estimator=estimator)
"""
NAIVE = """
import numpy
from sklearn.datasets import make_classification
X, y = make_classification({rows}, {width}, random_state=0)
exec({declaration!r})
estimator.fit(X.astype(numpy.float32), y)
"""


def declaration(count: Path) -> str:
    """The service file; mini-batches are bytes of `count`."""
    return DECLARATION.format(count=str(count))


def naive(count: Path) -> str:
    """The same training as an ordinary script with the library's default threads."""
    return NAIVE.format(rows=place.ROWS, width=place.WIDTH, declaration=declaration(count))


def work(places: Places, count: Path) -> Work:
    """The train step of an update of it."""
    blobs, code = Blobs(places.blobs), places.root / "code"
    code.mkdir(parents=True)
    (code / "service.py").write_text(declaration(count))
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


def trains(process: int, counted: Callable[[], int]) -> None:
    """Wait until a process is past its imports and trains."""
    before, deadline = counted(), time.monotonic() + 120.0
    while counted() <= before + 100:
        if not psutil.pid_exists(process) or time.monotonic() > deadline:
            raise RuntimeError(f"process {process} did not get to its training")
        time.sleep(0.05)


def counter(count: Path) -> Callable[[], int]:
    """How many mini-batches there were."""
    return lambda: count.stat().st_size if count.exists() else 0
