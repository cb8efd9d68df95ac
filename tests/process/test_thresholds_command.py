"""`keepfit thresholds` with a real control process and a ledger full of looks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from keepfit.core.facts import Watched
from keepfit.core.nouns import Measurement
from keepfit.core.places import Places
from keepfit.edge.client import Client
from keepfit.edge.scaffold import scaffold
from keepfit.store.ledger import Ledger


def keepfit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "keepfit", *words], cwd=folder, capture_output=True, text=True)


def look(number: int, effect: float) -> Watched:
    """One calm look of the scaffolded monitor, and one of a subject that alarmed."""
    calm = Measurement("inputs", "mean radius", 0.1, 0.4, effect, 0.01, 400, 1000, False)
    loud = Measurement("inputs", "mean texture", 0.1, 0.0, 0.5, 0.01, 400, 1000, True)
    at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    return Watched(
        service="tumours", time=at, monitor="inputs", records=number, labels=0, measurements=(calm, loud), findings=()
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A service with 1,200 looks behind it, more than one page of facts."""
    folder = tmp_path / "project"
    scaffold(folder)
    applied = keepfit(folder, "apply", "service.py")
    assert applied.returncode == 0, applied.stderr
    ledger = Ledger(Places(folder / ".keepfit").ledger)
    for number, effect in enumerate(np.linspace(0.0, 0.2, 1200).tolist()):
        ledger.append(look(number, effect))
    ledger.close()
    with (folder / "up.log").open("wb") as log:
        control = subprocess.Popen([sys.executable, "-m", "keepfit", "up"], cwd=folder, stdout=log, stderr=log)
    try:
        with Client.wait_for(Places(folder / ".keepfit")):
            yield folder
    finally:
        control.send_signal(signal.SIGINT)
        control.wait(timeout=600)
        keepfit(folder, "down")


def test_thresholds(project: Path) -> None:
    """Limits come from every look, beside the present ones; alarms count only where they are said to be false."""
    told = keepfit(project, "thresholds", "tumours")
    assert told.returncode == 0, told.stderr
    first, second = told.stdout.splitlines()
    assert first.startswith("inputs: minimum_effect 0.19")
    assert first.endswith("would do for all (now 0.1)")
    assert second.startswith("  mean radius: 0.19")
    assert "1200 looks" in second
    plain = json.loads(keepfit(project, "thresholds", "tumours", "--fired", "--json").stdout)
    assert {one["subject"]: one["now"] for one in plain} == {"mean radius": 0.1, "mean texture": 0.1}
    assert next(one for one in plain if one["subject"] == "mean texture")["proposed"] == 0.5
