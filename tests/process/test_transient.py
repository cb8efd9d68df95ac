"""Real workers look and freeze: a bad batch is found before an update begins, and is not in what it learns from."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.clock import ManualClock
from keepfit.core.errors import Unavailable
from keepfit.core.facts import RunFinished, UpdateOpened, Watched
from keepfit.core.places import Places
from keepfit.core.registry import to_plain
from keepfit.edge.apply import apply
from keepfit.loop.executors import Executor, Inline, ProcessExecutor
from keepfit.loop.perform import Hands
from keepfit.loop.pipeline import Made, Work
from keepfit.loop.replay import InProcess
from keepfit.loop.steps import perform_step
from keepfit.loop.turn import Loop
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger
from keepfit.store.streams import LabelWriter, SegmentWriter

NOW = datetime(2013, 5, 1, tzinfo=UTC)
SERVICES = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from keepfit import Monitor, Recipe, Rollout, Service, Subject, Window, detectors, gates, triggers


def first():
    x = np.random.default_rng(3).normal(size=400)
    return pd.DataFrame({"a": x, "y": (x > 0).astype(int)})


services = [
    Service(
        name=name, label="y", estimator=LogisticRegression(), data=first, recipe=Recipe(window=Window(rows=400)),
        monitors=(Monitor(name="inputs", on=Subject.INPUTS, detector=detectors.KS(), window=Window(rows=100)),),
        triggers=(trigger,), gates=(gates.Contract(),), rollout=Rollout(confirm_labels=0),
    )
    for name, trigger in (("counted", triggers.Labels(200)), ("called", triggers.Cron("0 6 * * *")))
]
"""


class Silent(InProcess):
    """Tells nobody what it serves: there are two Services here and one place."""

    def status(self, service: str) -> dict[str, Any]:
        raise Unavailable("silent")


class Fit:
    """A store with two live Services, its ledger and its clock."""

    def __init__(self, folder: Path) -> None:
        (folder / "services.py").write_text(SERVICES)
        self.places = Places(folder / "store")
        self.clock, self.ids = ManualClock(NOW), itertools.count(1)
        apply(folder / "services.py", self.places, actor="me", clock=self.clock)
        self.ledger = Ledger(self.places.ledger)

    def loop(self, executor: Executor) -> Loop:
        target = Silent(Trees(self.places.trees))
        hands = Hands(
            places=self.places,
            ledger=self.ledger,
            clock=self.clock,
            executor=executor,
            target=target,
            new_id=lambda: f"id{next(self.ids)}",
        )
        return Loop(hands)

    def come(self, service: str, high: float) -> None:
        """A hundred Records in the hundred seconds before now, too high by so much, with their labels."""
        x = np.random.default_rng(5).normal(size=100)
        ids = [f"{self.clock.now():%d%H}-{n}" for n in range(100)]
        times = [self.clock.now() - timedelta(seconds=100 - n) for n in range(100)]
        columns = {
            "_id": ids,
            "_time": pa.array(times, pa.timestamp("us", tz="UTC")),
            "_version": np.ones(100, np.int32),
        }
        said = {"_out_prediction": (x > 0).astype(int), "_out_probability": (x > 0).astype(np.float32)}
        writer, labels = SegmentWriter(self.places.stream(service), "w"), LabelWriter(self.places.stream(service), "w")
        writer.append(pa.record_batch({**columns, "a": x + high, **said}))
        labels.append(ids, (x > 0).astype(int).tolist(), self.clock.now())
        writer.close()
        labels.close()

    def frozen(self) -> dict[str, RunFinished]:
        """The last freezing of each Service in a process of its own."""
        found = [row.fact for row in self.ledger.facts(kind=RunFinished)]
        return {one.service: one for one in found if one.step == "freeze" and one.granted}


def inline(places: Places) -> Inline:
    def perform(work: Work) -> Made:
        with TemporaryDirectory() as scratch:
            return perform_step(work, places, Path(scratch))

    return Inline(perform, time.process_time)


def test_updates_begun_by_labels_and_by_a_calendar_leave_a_bad_batch_out(tmp_path: Path) -> None:
    """Both fire when the batch has just come: a worker looks at it first, and another one freezes without it."""
    fit = Fit(tmp_path)
    loop = fit.loop(inline(fit.places))
    while loop.turn():
        pass
    for hours, high in ((1, 0.0), (7, 20.0)):
        fit.clock.set(NOW + timedelta(hours=hours))
        for service in ("counted", "called"):
            fit.come(service, high)
        if not high:
            while loop.turn():
                pass
    loop, deadline = fit.loop(ProcessExecutor(fit.places)), time.monotonic() + 120
    while len(fit.frozen()) < 2 and time.monotonic() < deadline:
        loop.turn()
        time.sleep(0.02)
    loop.close()
    for service, run in fit.frozen().items():
        alarm = fit.ledger.last(Watched, service)
        opened = fit.ledger.last(UpdateOpened, service)
        assert alarm is not None
        assert opened is not None
        assert [one.subject for one in alarm.findings] == ["a"]
        assert opened.left_out == (alarm.window,)
        assert run.result["left_out"] == [{**to_plain(alarm.window), "rows": 100}]
        learnt = [pq.read_table(Blobs(fit.places.blobs).path(run.outputs[name])) for name in ("train", "holdout")]
        rows = pa.concat_tables(learnt)
        assert rows.num_rows == 400
        assert max(rows["a"].to_pylist()) < 10
        assert sum(id.startswith("0101-") for id in rows["_id"].to_pylist()) == 100, "the batch before is learnt"
    fit.ledger.close()
