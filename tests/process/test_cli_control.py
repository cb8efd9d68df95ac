"""`keepfit up` with real processes: the first model goes live, commands reach it, and it survives what is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

import toys
from keepfit.core.errors import Conflict, Unavailable
from keepfit.core.facts import Applied, Swapped
from keepfit.core.nouns import Outcome
from keepfit.core.places import Places
from keepfit.core.registry import canonical
from keepfit.core.signature import DType, Field
from keepfit.edge.asked import Register, Swap
from keepfit.edge.client import Client
from keepfit.edge.scaffold import scaffold
from keepfit.loop.targets import Local
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger

_PATIENCE = 600.0  # seconds: the machine may be busy with other things


class Project:
    """A folder with the scaffolded service, and the processes started for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = Places(folder / ".keepfit")
        self.target = Local(places=self.places)
        self._controls: list[subprocess.Popen[bytes]] = []

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command of the CLI in the project's folder."""
        return subprocess.run(self._line(*words), cwd=self.folder, capture_output=True, text=True, check=False)

    def _line(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "keepfit.edge.cli", *words]

    def up(self, *words: str) -> subprocess.Popen[bytes]:
        """A control process, as soon as its API answers."""
        with (self.folder / "up.log").open("ab") as log:
            process = subprocess.Popen(self._line("up", *words), cwd=self.folder, stdout=log, stderr=log)
        self._controls.append(process)
        with Client.wait_for(self.places):
            return process

    def wait(self, what: Callable[[], Any]) -> Any:
        """What `what` gives as soon as it is true."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            found = what()
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError((self.folder / "up.log").read_text())

    def answers(self) -> bool:
        """Whether the live model answers over HTTP."""
        try:
            ready = httpx.get(f"{self.target.address('tumours')}/v2/health/ready", trust_env=False)
        except (httpx.TransportError, Unavailable):
            return False
        return ready.status_code == 200

    def end(self) -> None:
        """Stop everything, however the test left it."""
        self.command("down")
        for process in self._controls:
            process.wait(timeout=600)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first version was trained, judged and swapped in by `keepfit up`, and which was then stopped."""
    project = Project(tmp_path_factory.mktemp("once") / "my project")
    scaffold(project.folder)
    control = project.up("service.py")
    try:
        with Client.wait_for(project.places) as client:
            project.wait(lambda: client.status("tumours").live == 1)
            project.wait(project.answers)
    finally:
        control.send_signal(signal.SIGINT)
        control.wait(timeout=600)
    assert control.returncode == 0
    return project.folder


@contextmanager
def up_again(trained: Path, folder: Path) -> Iterator[Project]:
    """A copy of that project, up again."""
    shutil.copytree(trained, folder)
    found = Project(folder)
    (found.places.deployment("tumours") / "runner.json").unlink()  # else all copies want the port of the first
    try:
        found.up()
        found.wait(lambda: found.target.process("tumours") and found.answers())
        yield found
    finally:
        found.end()


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[Project]:
    """One for a test that kills, or changes versions."""
    with up_again(trained, tmp_path / "copy") as found:
        yield found


@pytest.fixture(scope="module")
def shared(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One for tests that ask, or change what none of the others looks at."""
    with up_again(trained, tmp_path_factory.mktemp("shared") / "copy") as found:
        yield found


def test_stopping_leaves_no_process_and_no_address(trained: Path) -> None:
    """Ctrl-C ends the runner too, and nobody is sent to a control process that is gone."""
    project = Project(trained)
    assert project.target.process("tumours") == 0
    assert not project.places.control.exists()
    assert "v1" in project.command("status").stdout


def test_the_model_answers_and_every_command_reaches_its_control_process(shared: Project) -> None:
    """Status, versions, runs and logs tell the same story; a refused wish exits with 1."""
    assert "live: v1" in shared.command("status").stdout
    assert "Floor(auc)" in shared.command("versions", "tumours").stdout
    runs = shared.command("runs", "tumours").stdout.splitlines()
    train = next(line.split()[0] for line in runs if " train " in line)
    assert "step train of tumours" in shared.command("logs", "tumours", train).stdout
    refused = shared.command("rollback", "tumours")
    assert (refused.returncode, refused.stderr) == (1, "refused: there is no earlier version to go back to\n")
    assert shared.command("swap", "tumours", "1").stdout == "done: v1 is live\n"
    unknown = shared.command("swap", "tumours", "7")
    assert unknown.returncode == 1
    assert "has no version 7" in unknown.stderr


def test_one_control_process_per_store(shared: Project) -> None:
    """The second says who the first is; what is applied meanwhile goes through the first."""
    with Client.wait_for(shared.places) as client:
        holder = int(httpx.get(f"{client.address}/healthz", trust_env=False).json()["process"])
    second = shared.command("up")
    assert second.returncode == 1
    assert f"in use by process {holder}" in second.stderr
    facts = len(Ledger(shared.places.ledger, readonly=True).facts("tumours", Applied))
    service = shared.folder / "service.py"
    service.write_text(service.read_text().replace("Labels(500)", "Labels(600)"))
    told = shared.command("apply", "service.py").stdout
    assert "triggers[0].count: 500 → 600" in told
    assert len(Ledger(shared.places.ledger, readonly=True).facts("tumours", Applied)) == facts + 1


def test_the_runner_outlives_its_control_process_and_is_adopted(project: Project) -> None:
    """kill -9 of control: answers go on, the store can be read, and the next `up` finds the same runner."""
    runner = project.target.process("tumours")
    with Client.wait_for(project.places) as client:
        holder = int(httpx.get(f"{client.address}/healthz", trust_env=False).json()["process"])
    os.kill(holder, signal.SIGKILL)
    project.wait(lambda: Client.of(project.places) is None)
    assert project.answers()
    assert "control: not running" in project.command("status").stdout
    assert project.command("update", "tumours").returncode == 1
    project.up()
    assert project.target.process("tumours") == runner
    stopped = project.command("down").stdout
    assert "control (process" in stopped
    assert project.target.process("tumours") == 0


def test_down_ends_a_runner_whose_control_process_was_killed(project: Project) -> None:
    """Nothing is left behind that only `ps` can find."""
    runner = project.target.process("tumours")
    with Client.wait_for(project.places) as client:
        os.kill(int(httpx.get(f"{client.address}/healthz", trust_env=False).json()["process"]), signal.SIGKILL)
    project.wait(lambda: Client.of(project.places) is None)
    assert f"the runner of 'tumours' (process {runner}) stopped" in project.command("down").stdout
    assert project.target.process("tumours") == 0


def test_a_bundle_passes_through_the_slots_of_a_running_service(project: Project, tmp_path: Path) -> None:
    """Brought from outside it is judged and waits; shadow, canary, promotion and rollback are recorded Swaps."""
    places, service = project.places, "tumours"
    with Client.wait_for(places) as client:
        digest = _altered(client, places, tmp_path / "brought")
        brought = client.register(service, Register(digest=digest, origin="model.onnx"), wait=600)
        assert brought.done, brought
        assert client.status(service).live == 1
        made = client.versions(service)[-1]
        assert (made.number, made.origin, made.parent) == (2, "model.onnx", 0)
        assert made.verdict is not None
        assert any("Golden" in reason for reason in made.reasons)
        with pytest.raises(Conflict, match="is v2 of 'tumours' already"):
            client.register(service, Register(digest=digest, origin="again"))
    assert "done: v2 is shadow" in project.command("swap", service, "2", "--slot", "shadow").stdout
    forced = ("--force", "--reason", "looked at it") if made.verdict is not Outcome.PASS else ()
    canary = project.command("swap", service, "2", "--slot", "canary", "--percent", "100", *forced)
    assert canary.stdout == "done: v2 is canary for 1 of the requests\n", canary.stderr
    inputs = (project.folder / "tumours.csv").read_text().splitlines()[0].split(",")[1:-1]
    url = f"{project.target.address(service)}/predict"
    answer = httpx.post(url, json=dict.fromkeys(inputs, 1.0), trust_env=False)
    assert answer.headers["keepfit-version"] == "2"
    shown = project.command("status").stdout
    assert "live: v1" in shown
    assert "canary: v2 100% of the requests, 1 answered" in shown
    os.kill(project.target.process(service), signal.SIGKILL)
    project.wait(lambda: project.target.process(service) and project.answers())
    answer = httpx.post(url, json=dict.fromkeys(inputs, 1.0), trust_env=False)
    assert answer.headers["keepfit-version"] == "2", "a restarted runner has the slots that were committed"
    assert "done: v2 is live" in project.command("promote", service).stdout
    assert "canary" not in project.command("status", service).stdout.split("loop")[0]
    assert "done: v1 is live again" in project.command("rollback", service).stdout
    facts = [row.fact for row in Ledger(places.ledger, readonly=True).facts(service, Swapped)]
    assert [(fact.slot, fact.before, fact.after) for fact in facts] == [
        ("live", 0, 1),
        ("shadow", 0, 2),
        ("canary", 0, 2),
        ("live", 1, 2),
        ("canary", 2, 0),
        ("shadow", 2, 0),
        ("live", 2, 1),
    ]


def _altered(client: Client, places: Places, into: Path) -> str:
    """The first version's Bundle with another licence: another digest, the same answers."""
    (first,) = client.versions("tumours")
    shutil.copytree(Trees(places.trees).path(first.digest), into)
    manifest = into / "bundle.json"
    manifest.chmod(0o644)
    manifest.write_bytes(canonical({**json.loads(manifest.read_bytes()), "licence": "MIT"}))
    return Trees(places.trees).put(into)


def test_a_contract_that_breaks_callers_is_told_field_by_field(project: Project, tmp_path: Path) -> None:
    """The runner's list reaches the caller with its code; a major of its own takes the version."""
    places, service = project.places, "tumours"
    with Client.wait_for(places) as client:
        made = toys.bundle(tmp_path / "toy")
        toys.meant_for(made, service, Field("malignant", DType.BOOL))
        digest = Trees(places.trees).put(made)
        client.register(service, Register(digest=digest, origin="toy"), wait=600)
        assert client.versions(service)[-1].verdict is Outcome.REFUSE
        with pytest.raises(Conflict, match="was removed") as refused:
            client.swap(service, Swap(version=2, forced=True, reason="try"))
        assert refused.value.code == "breaking"
    major = project.command("swap", service, "2", "--major", "2", "--force", "--reason", "other callers")
    assert major.stdout == "done: v2 is live@2\n", major.stderr
    url = project.target.address(service)
    assert httpx.get(f"{url}/v2/models/{service}@2/ready", trust_env=False).status_code == 200
    gone = project.command("abort", service, "--slot", "live", "--major", "2")
    assert gone.stdout == "done: the live@2 slot is empty\n"


def test_changed_settings_reach_the_running_runner(shared: Project) -> None:
    """Applied while it serves; the process stays, the limit is in force, and nobody restarts it."""
    runner = shared.target.process("tumours")
    service = shared.folder / "service.py"
    text = service.read_text().replace("    monitors=", "    serving=Serving(body=2000),\n    monitors=")
    service.write_text(text.replace("import Monitor,", "import Monitor, Serving,"))
    assert "serving.body: 16777216 → 2000" in shared.command("apply", "service.py").stdout
    shared.wait(lambda: shared.target.serving("tumours").body == 2000)
    large = httpx.post(f"{shared.target.address('tumours')}/predict", content=b" " * 3000, trust_env=False)
    assert large.status_code == 413
    assert shared.target.process("tumours") == runner
    assert shared.answers()


def test_a_model_file_is_brought_to_a_running_service(project: Project) -> None:
    """`keepfit onboard PATH --service` asks the service what it knows, and waits for the same gates as a candidate."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from skops.io import dump

    table = pd.read_csv(project.folder / "tumours.csv")
    features = table.drop(columns=["id", "malignant"])
    dump(HistGradientBoostingClassifier(max_iter=20).fit(features, table["malignant"]), project.folder / "other.skops")
    words = ("onboard", "other.skops", "--service", "tumours", "--sample", "tumours.csv", "--wait", "600")
    brought = project.command(*words)
    assert "done: v2 " in brought.stdout, brought.stderr
    shown = project.command("versions", "tumours").stdout
    assert "outside" in shown
    assert "v2  Floor(auc)" in shown
    assert "the bundle is v2 of 'tumours' already" in project.command(*words).stderr


def test_records_are_forgotten_by_command(project: Project) -> None:
    """The command names the versions that learnt from a record, and the fact is there; nobody learnt from another."""
    known = project.command("forget", "tumours", "--id", "tumour-001", "--reason", "she asked", "--wait", "600")
    assert known.returncode == 0, known.stderr
    assert known.stdout.startswith("done: 0 records were erased from the stream with their labels; 0 remembered ")
    assert "; v1 learnt from them; what remains: " in known.stdout
    assert "your own data files" in known.stdout
    assert "no version learnt" in project.command("forget", "tumours", "--id", "nobody", "--wait", "600").stdout
    with Client.wait_for(project.places) as client:
        told = client.facts("tumours", "Forgotten")
    assert [fact["versions"] for fact in told] == [[1], []]
    assert project.command("forget", "tumours").returncode == 2
