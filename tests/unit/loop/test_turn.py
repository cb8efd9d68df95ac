"""Several Services on one machine: the loop looks before it lets one of them train, and all come to their turn."""

from __future__ import annotations

import itertools
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from keepfit.core.clock import ManualClock
from keepfit.core.facts import Answered, Requested, RunFinished, RunStarted, Swapped
from keepfit.core.nouns import Held
from keepfit.core.places import Places
from keepfit.core.service import Serving
from keepfit.edge.apply import apply
from keepfit.loop import turn
from keepfit.loop.executors import Inline
from keepfit.loop.perform import Hands
from keepfit.loop.pipeline import Made, Work
from keepfit.loop.replay import InProcess
from keepfit.loop.steps import perform_step
from keepfit.loop.turn import Loop
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger

SERVICES = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from keepfit import Service


def rows(shift):
    random = np.random.default_rng(3)
    x = random.normal(size=(600, 2))
    y = (x[:, 0] + shift * x[:, 1] + random.normal(size=600) > 0).astype(int)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y})


def first():
    return rows(0.0)


def second():
    return rows(1.0)


services = [
    Service(name=name, label="y", estimator=LogisticRegression(C=C), data=data)
    for name, C, data in (("first", 1.0, first), ("second", 1e-3, second))
]
"""


class Each:
    """A Target with a place of its own for every Service."""

    def __init__(self, trees: Trees) -> None:
        self.places = {name: InProcess(trees) for name in ("first", "second")}

    def ensure(self, service: str, serving: Serving) -> None:
        """There is nothing to start."""

    def status(self, service: str) -> dict[str, Any]:
        return self.places[service].status(service)

    def swap(self, service: str, held: Held, **where: Any) -> dict[str, Any]:
        return self.places[service].swap(service, held, **where)

    def clear(self, service: str, slot: str) -> dict[str, Any]:
        return self.places[service].clear(service, slot)

    def close(self) -> None:
        for place in self.places.values():
            place.close()


def test_two_updates_share_one_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Version both train in turn; later, both are looked at before either trains, and both end."""
    monkeypatch.setattr(turn, "threads_for", lambda resources: 1)
    file = tmp_path / "services.py"
    file.write_text(SERVICES)
    places = Places(tmp_path / ".keepfit")
    apply(file, places, actor="me")
    ids = itertools.count(1)

    def step(work: Work) -> Made:
        with TemporaryDirectory() as scratch:
            return perform_step(work, places, Path(scratch))

    clock = ManualClock(datetime.now(UTC) + timedelta(seconds=1))
    with closing(Ledger(places.ledger)) as ledger, closing(Each(Trees(places.trees))) as target:
        hands = Hands(
            places=places,
            ledger=ledger,
            clock=clock,
            executor=Inline(step, time.process_time),
            target=target,
            new_id=lambda: f"id-{next(ids)}",
        )
        loop = Loop(hands)

        def rest() -> None:
            assert any(not loop.turn() for _ in range(200))

        rest()
        assert {row.fact.service for row in ledger.facts(kind=Swapped)} == {"first", "second"}
        assert not [row for row in ledger.facts(kind=RunStarted) if row.fact.step == "outlook"]
        for name in ("first", "second"):
            ledger.append(Requested(service=name, time=clock.now(), id=name, deed="update", actor="me", reason="r"))
        rest()
        steps = [row.fact for row in ledger.facts(kind=RunFinished) if row.fact.step in ("outlook", "train")][2:]
        assert [one.step for one in steps[:2]] == ["outlook", "outlook"]
        assert {one.service for one in steps[:2]} == {"first", "second"}
        assert all(one.result["cpu_seconds"] >= 0.0 and len(one.result["trials"]) == 3 for one in steps[:2])
        assert {row.fact.service for row in ledger.facts(kind=Answered)} == {"first", "second"}
