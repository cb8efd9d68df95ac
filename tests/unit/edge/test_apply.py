"""apply: what a file declares is put in force, by a process that never runs the file itself."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keepfit.core.clock import ManualClock
from keepfit.core.errors import Conflict, SpecInvalid
from keepfit.core.facts import Applied
from keepfit.core.places import Places
from keepfit.edge.apply import apply, holder, locked
from keepfit.edge.declare.mistakes import Mistaken
from keepfit.store.ledger import Ledger

NOW = datetime(2013, 2, 1, tzinfo=UTC)
SERVICE = (
    'flights = Service(name="flights", estimator=Majority(), data="flights.csv", label="late", id="id", time="when")\n'
)


def test_a_file_is_applied_once_and_its_changes_are_told(write: Callable[..., Path], tmp_path: Path) -> None:
    """First, unchanged, changed: two facts, the second with the difference."""
    places = Places(tmp_path / "store")
    clock = ManualClock(NOW)
    path = write(SERVICE, name="declared_flights")
    (first,) = apply(path, places, actor="ada", clock=clock)
    (again,) = apply(path, places, actor="ada", clock=clock)
    write(SERVICE.replace('id="id"', 'id="id", team="ops"'), name="declared_flights")
    (changed,) = apply(path, places, actor="bob", clock=clock)
    assert (first.first, first.changed) == (True, True)
    assert (again.first, again.changed) == (False, False)
    assert changed.changes == ("code: declared_flights.py changed", "team: 'default' → 'ops'")
    facts = [row.fact for row in Ledger(places.ledger, readonly=True).facts("flights", Applied)]
    assert [(fact.actor, fact.changes) for fact in facts] == [("ada", ()), ("bob", changed.changes)]
    assert "declared_flights" not in sys.modules


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("import os; os._exit(3)\n", "ended with 3 and told nothing"),
        ("Service(name='a', labl=3)\n", "Service has no argument 'labl'"),
    ],
)
def test_a_file_that_cannot_be_loaded_changes_nothing(
    write: Callable[..., Path], tmp_path: Path, body: str, sentence: str
) -> None:
    """Also one that takes its whole process down."""
    places = Places(tmp_path / "store")
    with pytest.raises(SpecInvalid, match=sentence):
        apply(write(body), places, actor="ada", clock=ManualClock(NOW))
    assert not places.ledger.exists()


def test_mistakes_keep_their_lines_between_the_processes(
    write: Callable[..., Path], tmp_path: Path, begins: int
) -> None:
    """What the loading process found is raised here as it was."""
    with pytest.raises(Mistaken) as caught:
        apply(write("\n\nService(name='A', label='late')\n"), Places(tmp_path / "store"), actor="ada")
    assert [mistake.line for mistake in caught.value.mistakes] == [begins + 3]


def _hold(root: Path, ready: multiprocessing.synchronize.Event, leave: multiprocessing.synchronize.Event) -> None:
    with locked(Places(root)):
        ready.set()
        leave.wait(300)


def test_one_process_writes_a_store(tmp_path: Path) -> None:
    """The second is told which process it is, and the lock ends with its holder."""
    spawn = multiprocessing.get_context("spawn")
    ready, leave = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, ready, leave))
    other.start()
    assert ready.wait(300)
    assert holder(Places(tmp_path)) == other.pid
    with pytest.raises(Conflict, match=f"in use by process {other.pid}"), locked(Places(tmp_path)):
        pass
    other.kill()
    other.join()
    assert holder(Places(tmp_path)) == 0
    with locked(Places(tmp_path)):
        pass
