"""Findings as the desk tells them: of monitors, and of the checks before updates, in the order of their facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keepfit.core.clock import ManualClock
from keepfit.core.facts import Applied, RunFinished, Watched
from keepfit.core.nouns import Finding, FindingKind, Severity
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.edge.desk import Desk
from keepfit.edge.status import Histories
from keepfit.loop.targets import Local
from keepfit.store.blobs import Blobs
from keepfit.store.ledger import Ledger
from situations import finished

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ODD = Finding("fare", FindingKind.ANOMALY, Severity.WARNING, 99.0, 50.0, "column 'fare' goes up to 99", "BIG", 1, (3,))
MOVED = Finding("fare", FindingKind.DRIFT, Severity.WARNING, 0.4, 0.1, "fare moved")


def checked(findings: str, found: int) -> RunFinished:
    """The end of a check step."""
    return replace(finished("check", result={"findings": found}, findings=findings), service="far", time=NOW)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    places = Places(tmp_path)
    ledger = Ledger(places.ledger)
    blobs = Blobs(places.blobs)
    looked = Watched(service="far", time=NOW, monitor="inputs", measurements=(), findings=(MOVED,), records=9, labels=9)
    ledger.append(Applied(service="far", time=NOW, specification="s" * 64, code="c" * 64, actor="me"))
    ledger.append(replace(finished("freeze", train="t"), service="far", time=NOW))
    ledger.append(checked(blobs.put(canonical((ODD,))), 1), looked, checked(blobs.put(canonical(())), 0))
    return Desk(
        places=places,
        ledger=ledger,
        clock=ManualClock(NOW),
        target=Local(places=places),
        new_id=lambda: "id",
        histories=Histories(ledger),
    )


def test_checks_and_monitors_in_order(desk: Desk) -> None:
    """A WARNING that did not stop an update is told as what a monitor found is, with the rows it lies in."""
    found = desk.findings("far", after=0, limit=100)
    assert [(one["monitor"], one["sentence"]) for one in found] == [
        ("check", "column 'fare' goes up to 99"),
        ("inputs", "fare moved"),
    ]
    assert (found[0]["anomaly"], found[0]["rows"], found[0]["severity"]) == ("BIG", [3], "warning")


def test_page_by_page(desk: Desk) -> None:
    """Whoever asks on from the last number misses none, however few facts a page holds."""
    told = desk.findings("far", after=0, limit=100)
    first = desk.findings("far", after=0, limit=2)
    rest = desk.findings("far", after=first[-1]["seq"], limit=2)
    assert first + rest == told
