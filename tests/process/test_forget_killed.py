"""Forgetting is killed before and after every fact: in the end nothing has the Record, and everything else is there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.facts import Answered, Applied, Forgotten, Requested, UpdateClosed
from keepfit.core.places import Places
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.store.blobs import Blobs
from keepfit.store.ledger import Ledger
from keepfit.store.streams import SegmentWriter, Stream
from process.test_transient import NOW, Fit, inline

LIFE = """
import itertools, os, signal, sys, time
from datetime import datetime
from pathlib import Path
from keepfit.core.clock import ManualClock
from keepfit.core.facts import RunStarted
from keepfit.core.places import Places
from keepfit.loop.perform import Hands
from keepfit.loop.turn import Loop
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger
from process.test_transient import Silent, inline

places, when, now, ids = Places(Path(sys.argv[1])), sys.argv[2], datetime.fromisoformat(sys.argv[3]), itertools.count()


class Mortal(Ledger):
    def append(self, *facts):
        if when == "after":
            super().append(*facts)
            if isinstance(facts[0], RunStarted):  # which ran in this very process: no later life could end it
                return
        os.kill(os.getpid(), signal.SIGKILL)


loop = Loop(Hands(places=places, ledger=Mortal(places.ledger), clock=ManualClock(now), executor=inline(places),
                  target=Silent(Trees(places.trees)), new_id=lambda: f"{os.getpid()}-{next(ids)}"))
for _ in range(200):
    loop.turn()
    time.sleep(0.05)
"""


def found_in(places: Places, ids: set[str]) -> set[str]:
    """Whatever of a store's tables has one of these ids, by file."""
    found = set()
    for path in (*places.blobs.rglob("*"), *places.root.glob("streams/*/*/*")):
        if not path.is_file():
            continue
        head = path.read_bytes()[:4]
        if head == b"PAR1":
            table = pq.read_table(path)
            if "_id" in table.column_names and not ids.isdisjoint(table["_id"].cast(pa.string()).to_pylist()):
                found.add(path.name)
        elif any(id.encode() in path.read_bytes() for id in ids if len(id) > 4):
            found.add(path.name)
    return found


def test_killed_at_every_fact_a_record_is_gone_in_the_end(tmp_path: Path) -> None:
    """From Stream, Datasets and first data; Versions and examples are named; the rest is as it was, and is learnt."""
    fit = Fit(tmp_path)
    loop = fit.loop(inline(fit.places))
    while loop.turn():
        pass
    for hours in (1, 2):
        fit.clock.set(NOW + timedelta(hours=hours))
        fit.come("counted", 0.0)
    while loop.turn():
        pass
    fit.ledger.close()
    places, stream = fit.places, Stream(fit.places.stream("counted"))
    ledger = Ledger(places.ledger)
    applied = ledger.last(Applied, "counted")
    assert applied is not None
    blobs = Blobs(places.blobs)
    source = from_plain(Specification, json.loads(blobs.get(applied.specification))).source
    ids = {"0101-17", "0102-99", pq.read_table(blobs.path(source))["_id"][3].as_py()}
    others = {row["_id"]: row["_label"] for row in stream.read().to_pylist() if row["_id"] not in ids}
    assert len(found_in(places, ids)) >= 4
    theirs = tuple(sorted(ids))
    asked = Requested(
        service="counted", time=fit.clock.now(), id="q1", deed="forget", actor="ann", reason="r", records=theirs
    )
    ledger.append(asked)
    lives, answered = 0, None
    while answered is None and lives < 6:
        lives += 1
        now = (fit.clock.now() + timedelta(minutes=2 * lives)).isoformat()
        for when in ("before", "after"):
            command = [sys.executable, "-c", LIFE, str(places.root), when, now]
            life = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[1])
            assert life.returncode == -signal.SIGKILL, life.stderr.decode()
            there = {row["_id"]: row["_label"] for row in Stream(places.stream("counted")).read().to_pylist()}
            assert {id: label for id, label in there.items() if id not in ids} == others
        answered = ledger.last(Answered, "counted", subject="q1")
    assert answered is not None
    assert found_in(places, ids) == set()
    told = [row.fact for row in ledger.facts("counted", Forgotten)]
    assert len(told) == 1
    assert told[0].versions == (1, 2)
    assert "2 records were erased from the stream" in answered.reason
    assert "golden example" in answered.reason or "drift reference in the bundle of v1" in answered.reason
    SegmentWriter(places.stream("counted"), "w").close()
    ledger.append(Requested(service="counted", time=fit.clock.now(), id="q2", deed="update", actor="ann", reason="r"))
    fit.ledger = ledger
    loop = fit.loop(inline(places))
    fit.clock.set(NOW + timedelta(hours=4))
    while loop.turn():
        pass
    closed = ledger.last(UpdateClosed, "counted")
    assert closed is not None
    assert closed.outcome in ("passed", "held"), closed.reason
    assert found_in(places, ids) == set()
    ledger.close()
