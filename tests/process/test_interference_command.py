"""keepfit interference: the four ways, measured on real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.edge.apply import apply
from keepfit.edge.scaffold import scaffold
from keepfit.loop.targets import Local


def test_the_four_ways_are_measured(tmp_path: Path) -> None:
    """All of them answer and those which train are counted; a service without a version is told so."""
    service_file, _ = scaffold(tmp_path / "project")
    places = Places(tmp_path / "project" / ".keepfit")
    apply(service_file, places, actor="me")
    refused = _asked(places)
    assert refused.returncode == 1
    assert "no live version" in refused.stderr
    _live(places)
    done = _asked(places, "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    ways = {one["way"]: one for one in json.loads(done.stdout)["ways"]}
    assert list(ways) == ["no update", "same process", "second process", "keepfit"]
    assert all(one["p99"] > 0.0 and one["rate"] > 0.0 for one in ways.values())
    assert ways["no update"]["trainings"] is None
    assert "core(s)" in ways["keepfit"]["granted"]
    assert ways["second process"]["trainings"] >= 0.0


def _asked(places: Places, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepfit", "interference", "tumours", "--store", str(places.root), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


def _live(places: Places) -> Digest:
    """Let a control process make the first version, and stop it."""
    with subprocess.Popen(
        [sys.executable, "-m", "keepfit", "up", "--store", str(places.root)], stdout=subprocess.PIPE, text=True
    ) as control:
        assert control.stdout is not None
        line = next((line for line in control.stdout if "v1 is live" in line), "")
        control.terminate()
        control.stdout.read()
    assert not Local(places=places).process("tumours")
    return line
