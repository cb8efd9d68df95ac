"""kill -9 of the control loop at every deed of an update, before and after its fact: it comes back right."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx

from keepfit.core.facts import RunFinished, RunStarted, Swapped, UpdateClosed, UpdateOpened, VersionRegistered
from keepfit.core.places import Places
from keepfit.edge.apply import apply
from keepfit.edge.scaffold import scaffold
from keepfit.loop.targets import Local
from keepfit.store.ledger import Ledger


def live_as_once(places: Places, when: str) -> None:
    """One life of a control loop, which must end by SIGKILL at a fact, never by an error of its own."""
    life = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "mortal_loop.py"), str(places.root), when],
        capture_output=True,
        check=False,
        timeout=900,
    )
    assert life.returncode == -signal.SIGKILL, life.stderr.decode()


def test_killed_at_every_deed_the_first_version_still_goes_live(tmp_path: Path) -> None:
    """Each deed is interrupted once before and once after its fact; one update, one version, one swap come of it."""
    service_file, _ = scaffold(tmp_path / "project")
    places = Places(tmp_path / "project" / ".keepfit")
    apply(service_file, places, actor="me")
    target = Local(places=places)
    try:
        for _ in range(60):
            live_as_once(places, "before")
            live_as_once(places, "after")
            closed = Ledger(places.ledger, readonly=True).last(UpdateClosed, "tumours")
            if closed:
                break
        assert closed is not None
        assert closed.outcome == "passed"
        facts = [row.fact for row in Ledger(places.ledger, readonly=True).facts("tumours")]
        kinds = Counter(type(fact) for fact in facts)
        assert (kinds[UpdateOpened], kinds[VersionRegistered], kinds[Swapped]) == (1, 1, 1)
        finished: set[str] = set()
        for fact in facts:
            assert not (isinstance(fact, RunStarted) and fact.key in finished), "a finished step was run again"
            if isinstance(fact, RunFinished):
                finished.add(fact.key)
        assert len(finished) == 5
        row = dict.fromkeys(_inputs(places), 1.0)
        answer = httpx.post(f"{target.address('tumours')}/predict", json=row)
        assert answer.status_code == 200, answer.text
        assert answer.headers["keepfit-version"] == "1"
    finally:
        target.stop("tumours")


def _inputs(places: Places) -> list[str]:
    import csv

    with (places.root.parent / "tumours.csv").open() as file:
        return next(csv.reader(file))[1:-1]
