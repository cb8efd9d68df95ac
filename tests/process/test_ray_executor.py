"""Runs on a Ray cluster are the Runs of this machine: the same keys, the same outputs, to the last byte."""

from __future__ import annotations

import importlib.util
import itertools
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from keepfit.core.clock import ManualClock
from keepfit.core.errors import Conflict
from keepfit.core.facts import RunFinished, UpdateClosed
from keepfit.core.places import Places
from keepfit.edge.apply import apply
from keepfit.loop.executors import Executor, ProcessExecutor
from keepfit.loop.executors_ray import RayExecutor
from keepfit.loop.perform import Hands
from keepfit.loop.replay import InProcess
from keepfit.loop.turn import Loop
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger

FILE = """
from keepfit import Service, gates
from sklearn.linear_model import LogisticRegression

far = Service(name="far", estimator=LogisticRegression(), data="rows.csv", label="y", gates=(gates.Golden(),))
"""


def finished(folder: Path, *, on_ray: bool) -> dict[str, tuple[str, dict[str, str]]]:
    """The first update of a Service: for each step its key, and the digests of what it made."""
    folder.mkdir()
    random = np.random.default_rng(0)
    x = random.normal(size=400)
    pyarrow.csv.write_csv(pa.table({"x": x, "y": (x > 0).astype(int)}), folder / "rows.csv")
    (folder / "far_service.py").write_text(FILE)
    places = Places(folder / "store")
    apply(folder / "far_service.py", places, actor="me")
    numbers = itertools.count(1)
    executor: Executor = RayExecutor(places) if on_ray else ProcessExecutor(places)
    with closing(Ledger(places.ledger)) as ledger, closing(InProcess(Trees(places.trees))) as target:
        hands = Hands(
            places=places,
            ledger=ledger,
            clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)),
            executor=executor,
            target=target,
            new_id=lambda: f"run{next(numbers):03d}",
        )
        with closing(Loop(hands)) as loop:
            deadline = time.monotonic() + 180
            while ledger.last(UpdateClosed, "far") is None:
                assert time.monotonic() < deadline, "the update does not end"
                if not loop.turn():
                    time.sleep(0.02)
        closed = ledger.last(UpdateClosed, "far")
        assert closed is not None
        assert closed.outcome == "passed", closed.reason
        facts = [row.fact for row in ledger.facts("far", RunFinished)]
    return {fact.step: (fact.key, fact.outputs) for fact in facts}


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (pip install keepfit[ray])")
def test_the_same_bytes(tmp_path: Path) -> None:
    """Freeze, check, train, evaluate, judge: by a process here and on a local cluster, one store each."""
    here = finished(tmp_path / "here", on_ray=False)
    assert set(here) == {"freeze", "check", "train", "evaluate", "judge"}
    assert finished(tmp_path / "there", on_ray=True) == here


def test_a_cluster_without_a_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent there, and before Ray is even imported."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(Conflict, match="without a token"):
        RayExecutor(Places(tmp_path), "192.0.2.1:6379")
