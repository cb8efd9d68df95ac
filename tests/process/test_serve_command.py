"""`keepfit serve` with real processes: one deployment, any model, called again to swap the next one in."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import toys
from keepfit.core.places import Places
from keepfit.edge.scaffold import scaffold
from keepfit.edge.serving import Standalone
from keepfit.loop.targets import Local
from runners import PATIENCE, wait


class Kitchen:
    """A folder with models, its store, and the processes that serve them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = Local(places=Places(folder / ".keepfit"))
        self.served: list[subprocess.Popen[bytes]] = []

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run(_line(*words), cwd=self.folder, capture_output=True, text=True, check=False, timeout=600)

    def serve(self, *words: str, name: str = "toy") -> subprocess.Popen[bytes]:
        """A deployment in the foreground, as soon as its model answers."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(_line("serve", *words), cwd=self.folder, stdout=log, stderr=log)
        self.served.append(process)
        wait(lambda: process.poll() is not None or self.ready(name))
        assert process.poll() is None, self.log
        return process

    def ready(self, name: str) -> bool:
        """Whether it answers."""
        if not self.target.process(name):
            return False
        try:
            url = f"{self.target.address(name)}/v2/models/{name}/ready"
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def end(self) -> None:
        self.command("down")
        for process in self.served:
            process.wait(60)


def _line(*words: str) -> list[str]:
    return [sys.executable, "-m", "keepfit.edge.cli", *words]


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Kitchen]:
    """Four versions of a toy, and whatever is started is ended."""
    found = Kitchen(tmp_path)
    for number in (1, 2, 3, 4):
        toys.bundle(tmp_path / f"toy{number}", bias=number / 10)
    yield found
    found.end()


def versions(kitchen: Kitchen) -> dict[int, str]:
    """The deployment's versions by number, and where each came from."""
    return {number: one.origin for number, one in Standalone(kitchen.target, "toy").versions.items()}


def test_called_again_it_swaps_and_tells_how_long_it_took(kitchen: Kitchen) -> None:
    """v1 in the foreground, v2 live, v3 canary and promoted, v2 again; Ctrl-C ends it in good order."""
    process = kitchen.serve("toy1", "--deadline", "20")
    assert "toy: v1 is live (prepared in " in kitchen.log
    told = kitchen.command("serve", "toy2").stdout
    assert re.fullmatch(r"toy: v2 is live \(prepared in [0-9.]+ s, committed in [0-9.]+ ms\)\n", told)
    assert "v3 is canary" in kitchen.command("serve", "toy3", "--slot", "canary", "--percent", "25").stdout
    assert "v4 is shadow" in kitchen.command("serve", "toy4", "--shadow").stdout
    shown = kitchen.command("status").stdout
    assert "canary: v3 25% of the requests" in shown
    assert "shadow: v4" in shown
    assert "v3 is live" in kitchen.command("promote", "toy").stdout
    assert "v4 left the shadow slot" in kitchen.command("abort", "toy", "--slot", "shadow").stdout
    assert kitchen.command("rollback", "toy").stdout == "v2 is live again\n"
    assert "v1 is live" in kitchen.command("swap", "toy", "1").stdout
    assert versions(kitchen) == {1: "toy1", 2: "toy2", 3: "toy3", 4: "toy4"}
    again = kitchen.command("serve", "toy2", "--body", "100")
    assert "the settings changed" in again.stdout
    assert "v2 is live" in again.stdout, "the same bundle is the version it was"
    assert kitchen.target.serving("toy").body == 100
    assert kitchen.target.serving("toy").deadline == 20.0, "settings that are not named stay"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert kitchen.target.process("toy") == 0


def test_what_it_cannot_do_is_told(kitchen: Kitchen) -> None:
    """A wrong name, a key that is no input, a slot that is empty, a version that never was."""
    kitchen.serve("toy1")
    for words, told in (
        (("serve", "toy2", "--name", "other"), "made for 'toy', not 'other'"),
        (("serve", "toy2", "--slot", "canary", "--key", "y"), "--key y: is no input of the model"),
        (("serve", "toy2", "--mask", "y"), "--mask y: is no input or output"),
        (("promote", "toy"), "the canary slot of 'toy' is empty"),
        (("rollback", "toy"), "no previous version"),
        (("swap", "toy", "9"), "'toy' has no v9; there are: v1"),
        (("serve",), "expected the PATH of a model"),
        (("serve", "log"), "log"),
    ):
        refused = kitchen.command(*words)
        assert refused.returncode != 0, words
        assert told in refused.stderr, words
    assert versions(kitchen) == {1: "toy1"}


def test_a_contract_that_breaks_callers_needs_a_major_of_its_own(kitchen: Kitchen) -> None:
    """Refused with the list, then served beside the first one, then taken away."""
    toys.bundle(kitchen.folder / "columns", signature=toys.COLUMNS)
    kitchen.serve("toy1")
    refused = kitchen.command("serve", "columns")
    assert refused.returncode == 1
    assert "input 'x' was removed" in refused.stderr
    assert "v2 is live@2" in kitchen.command("serve", "columns", "--major", "2").stdout
    url = kitchen.target.address("toy")
    assert httpx.get(f"{url}/v2/models/toy@2/ready", trust_env=False).status_code == 200
    assert "v2 left the live@2 slot" in kitchen.command("abort", "toy", "--slot", "live", "--major", "2").stdout
    assert httpx.get(f"{url}/v2/models/toy@2/ready", trust_env=False).status_code == 404


def test_numbers_have_no_gap_and_no_second_meaning_after_a_kill(kitchen: Kitchen) -> None:
    """A swap that was committed and never counted keeps its number; a restart serves what was committed."""
    process = kitchen.serve("toy1")
    standing = Standalone(kitchen.target, "toy")
    counted = kitchen.folder / ".keepfit" / "deployments" / "toy" / "versions.json"
    before = counted.read_bytes()
    assert "v2 is live" in kitchen.command("serve", "toy2").stdout
    digest = standing.versions[2].digest
    counted.write_bytes(before)  # as if the command had been killed after its swap
    os.kill(kitchen.target.process("toy"), signal.SIGKILL)
    assert process.wait(PATIENCE) != 0
    kitchen.serve("--name", "toy")
    assert standing.placed().live is not None
    assert standing.placed().live.version == 2
    assert "v3 is live" in kitchen.command("serve", "toy3").stdout
    assert "v2 is live" in kitchen.command("serve", "toy2").stdout
    assert sorted(standing.versions) == [1, 2, 3]
    assert standing.versions[2].digest == digest


def test_one_name_is_counted_in_one_place(kitchen: Kitchen, tmp_path: Path) -> None:
    """A name that `keepfit serve` counts is not applied, and a service's name is not served beside its control."""
    kitchen.serve("toy1")
    service, _ = scaffold(tmp_path / "project")
    service.write_text(service.read_text().replace('name="tumours"', 'name="toy"'))
    refused = kitchen.command("apply", str(service), "--store", ".keepfit")
    assert refused.returncode == 1
    assert "served from this store by keepfit serve" in refused.stderr
    service.write_text(service.read_text().replace('name="toy"', 'name="tumours"'))
    assert kitchen.command("apply", str(service), "--store", ".keepfit").returncode == 0
    refused = kitchen.command("serve", "toy2", "--name", "tumours")
    assert refused.returncode == 1
    assert "keepfit onboard PATH --service tumours" in refused.stderr


class Caller(threading.Thread):
    """One kept-alive connection that asks on and on; `body` may change with the model's contract."""

    def __init__(self, address: str, path: str, body: bytes) -> None:
        super().__init__()
        self._host, self._path, self._body = address.removeprefix("http://"), path, body
        self.stop = threading.Event()
        self.wrong: list[str] = []
        self.versions: list[int] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE)
        while not self.stop.wait(0.01):
            try:
                connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200:
                    self.wrong.append(f"{answer.status} {said!r}")
                else:
                    self.versions.append(int(answer.headers["keepfit-version"]))
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                connection.close()
        connection.close()

    def has_seen(self, version: int) -> bool:
        return version in self.versions[-3:]


def test_every_kind_of_model_passes_through_one_deployment(tmp_path: Path) -> None:
    """scikit-learn, ONNX, XGBoost, LightGBM, torch and plain Python, one after the other, and no request fails."""
    import kinds

    made = kinds.make(tmp_path)
    kitchen = Kitchen(tmp_path)
    options = ["--name", "law", "--sample", "sample.csv", "--signature", "signature.json"]
    options += ["--task", "binary", "--classes", "0,1"]
    row: dict[str, Any] = dict.fromkeys(kinds.NAMES, 0.5)
    try:
        kitchen.serve(made[0], *options, name="law")
        caller = Caller(kitchen.target.address("law"), "/predict", json.dumps([row]).encode())
        runner = kitchen.target.process("law")
        caller.start()
        try:
            for number, path in enumerate(made[1:], 2):
                told = kitchen.command("serve", path, *options)
                assert told.returncode == 0, f"{path}: {told.stderr}"
                assert f"law: v{number} is live" in told.stdout, path
                wait(lambda number=number: caller.has_seen(number))
        finally:
            caller.stop.set()
            caller.join()
        assert caller.wrong == []
        assert sorted(set(caller.versions)) == list(range(1, len(made) + 1))
        assert caller.versions == sorted(caller.versions), "an older version never comes back"
        assert kitchen.target.process("law") == runner
    finally:
        kitchen.end()
