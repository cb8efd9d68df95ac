"""kill -9 of the control loop before and after every fact of swaps of every Slot: what was asked is done, and once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

import toys
from keepfit.core.facts import Answered, Applied, Approved, Fact, Requested, Swapped
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.edge.committed import read_committed
from keepfit.loop.targets import Local
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger
from situations import NOW, specification, version

ROW = {"amount": 1.5, "count": 3, "city": "Rome", "new": True}
ASKED: tuple[dict[str, Any], ...] = (
    {"deed": "swap", "version": 1},
    {"deed": "swap", "version": 2, "slot": "shadow"},
    {"deed": "swap", "version": 2, "slot": "canary", "share": 0.25, "key": "city", "forced": True},
    {"deed": "swap", "version": 0, "slot": "canary"},
    {"deed": "swap", "version": 2, "slot": "canary", "share": 0.5},
    {"deed": "swap", "version": 2},
    {"deed": "rollback"},
    {"deed": "swap", "version": 2, "slot": "canary", "share": 0.1},
)
FACTS = 17  # a Swap and an answer for each, and an approval for the one that is forced


def store(places: Places, made: Path) -> Ledger:
    """A ledger with a Service and two Versions, of which only the first is approved, and all that is asked."""
    ledger, declared = Ledger(places.ledger), specification(name="toy", triggers=(), monitors=())
    said = replace(declared, inputs=toys.COLUMNS.inputs, outputs=toys.COLUMNS.outputs)
    digest = Blobs(places.blobs).put(canonical(said))
    facts: list[Fact] = [Applied(service="toy", time=NOW, specification=digest, code="c" * 64, actor="me")]
    for number in (1, 2):
        tree = Trees(places.trees).put(toys.bundle(made / str(number), bias=number / 10, signature=toys.COLUMNS))
        facts.append(replace(version(number), service="toy", digest=tree))
    facts.append(Approved(service="toy", time=NOW, version=1, actor="me", yes=True, reason="the first"))
    for place, asked in enumerate(ASKED):
        when = NOW + timedelta(seconds=place)
        facts.append(Requested(service="toy", time=when, id=f"q{place}", actor="ann", reason="because", **asked))
    ledger.append(*facts)
    return ledger


def test_killed_at_every_fact_every_slot_gets_what_was_asked_once(tmp_path: Path) -> None:
    """Shadow, canary, abort, promote, rollback: one Swap and one answer each, and the runner holds what is told."""
    places = Places(tmp_path / "s")
    ledger, target = store(places, tmp_path / "made"), Local(places=places)
    try:
        lives = [sys.executable, str(Path(__file__).parent / "mortal_loop.py"), str(places.root)]
        ended = subprocess.run([*lives, *("before", "after") * FACTS], capture_output=True, check=False, timeout=600)
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        facts = [row.fact for row in ledger.facts("toy")]
        swaps = [(one.slot, one.before, one.after, one.share) for one in facts if isinstance(one, Swapped)]
        assert swaps == [
            ("live", 0, 1, 0.0),
            ("shadow", 0, 2, 0.0),
            ("canary", 0, 2, 0.25),
            ("canary", 2, 0, 0.0),
            ("canary", 0, 2, 0.5),
            ("live", 1, 2, 0.0),
            ("canary", 2, 0, 0.0),
            ("shadow", 2, 0, 0.0),
            ("live", 2, 1, 0.0),
            ("canary", 0, 2, 0.1),
        ]
        answers = [(one.request, one.done) for one in facts if isinstance(one, Answered)]
        assert answers == [(f"q{place}", True) for place in range(len(ASKED))]
        assert [one.actor for one in facts if isinstance(one, Approved)] == ["me", "ann"]
        placed = read_committed(places.deployment("toy"))[1]
        assert placed.live is not None
        assert placed.canary is not None
        assert (placed.live.version, placed.canary.version, placed.share, placed.key) == (1, 2, 0.1, "")
        assert placed.shadow is None
        reply = httpx.post(f"{target.address('toy')}/predict", content=json.dumps(ROW), trust_env=False)
        assert reply.headers["keepfit-version"] in ("1", "2")
    finally:
        ledger.close()
        target.stop("toy")
