"""The ledger: what was appended is what is read, in order, by whoever asks."""

from __future__ import annotations

import math
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from keepfit.core.errors import DataInvalid, NotFound, StorageFault
from keepfit.core.facts import (
    KINDS,
    Applied,
    Decided,
    Fact,
    Judged,
    RunFinished,
    RunStarted,
    Swapped,
    VersionRegistered,
    Watched,
)
from keepfit.core.nouns import Finding, FindingKind, Measurement, Outcome, Ruling, Severity
from keepfit.store.ledger import Edge, Ledger
from keepfit.store.migrations import MIGRATIONS

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def decided(reason: str, service: str = "s") -> Decided:
    return Decided(service=service, time=NOON, fire=False, reason=reason)


def registered(number: int, service: str = "s") -> VersionRegistered:
    return VersionRegistered(service=service, time=NOON, number=number, digest="d", parent=0, update="u")


def started(run: str, **inputs: str) -> RunStarted:
    return RunStarted(service="s", time=NOON, key="k", run=run, step="train", update="u", process=1, inputs=inputs)


def finished(run: str, result: dict[str, object], **outputs: str) -> RunFinished:
    return RunFinished(
        service="s",
        time=NOON,
        key="k",
        run=run,
        step="train",
        update="u",
        outputs=outputs,
        result=result,
        cpu_seconds=1.5,
        wall_seconds=2.0,
    )


def watched(statistic: float) -> Watched:
    finding = Finding("x", FindingKind.DRIFT, Severity.WARNING, statistic, 0.1, "x – moved „weit“")
    measurement = Measurement("m", "x", statistic, 0.0, 1.0, 0.05, 10, 20, True)
    return Watched(
        service="s", time=NOON, monitor="m", records=1, labels=0, measurements=(measurement,), findings=(finding,)
    )


def test_facts_come_back_as_they_were(ledger: Ledger) -> None:
    """Nested nouns, enums, texts of any script, microseconds and infinities survive the ledger."""
    facts: list[Fact] = [
        decided("nothing to do\n\0é漢"),
        watched(0.25),
        watched(math.inf),
        Judged(
            service="s",
            time=NOON + timedelta(microseconds=1),
            version=3,
            against=2,
            outcome=Outcome.REFUSE,
            rulings=(Ruling("Better", Outcome.HOLD, "too few"),),
            evaluation="e",
            update="u",
        ),
        finished("r", {"rows": 3, "text": "x", "nested": {"auc": 0.5}, "list": [1, None, True]}, bundle="b"),
    ]
    last = ledger.append(*facts)
    rows = ledger.facts()
    assert [row.fact for row in rows] == facts
    assert [row.seq for row in rows] == list(range(last - len(facts) + 1, last + 1))


def test_a_number_that_is_none_survives(ledger: Ledger) -> None:
    """A statistic that is NaN is read as NaN, not lost and not an error at the next start."""
    ledger.append(watched(math.nan))
    read = ledger.last(Watched, "s")
    assert read is not None
    assert math.isnan(read.measurements[0].statistic)


def test_every_kind_has_a_place(ledger: Ledger) -> None:
    """Asking for any kind of fact works before there is one."""
    assert [ledger.last(kind, "s") for kind in KINDS.values()] == [None] * len(KINDS)


def test_facts_are_found_by_service_kind_and_subject(ledger: Ledger) -> None:
    """Each condition narrows, all of them together too, and `last` is the newest that remains."""
    ledger.append(registered(1), registered(2), registered(2, "other"), decided("why"), registered(1))
    assert [row.seq for row in ledger.facts()] == [1, 2, 3, 4, 5]
    assert [row.seq for row in ledger.facts("other")] == [3]
    assert [row.seq for row in ledger.facts("s", VersionRegistered)] == [1, 2, 5]
    assert [row.seq for row in ledger.facts(None, VersionRegistered, subject="2")] == [2, 3]
    assert [row.seq for row in ledger.facts("s", VersionRegistered, after=1, limit=1)] == [2]
    assert [row.seq for row in ledger.facts("s", newest=True, limit=2)] == [5, 4]
    assert ledger.last(VersionRegistered, "s", subject="2") == registered(2)
    assert ledger.last(Swapped, "s") is None
    assert ledger.services() == ["other", "s"]


def test_an_append_is_all_or_nothing(ledger: Ledger) -> None:
    """When one fact of several cannot be kept, none is; the ledger goes on as before."""

    class Rumour(Decided):
        pass

    broken = Decided(service="s", time=NOON, fire="perhaps", reason="x")  # type: ignore[arg-type]
    for bad in (broken, Rumour(service="s", time=NOON, fire=True, reason="x")):
        with pytest.raises(DataInvalid):
            ledger.append(decided("a"), bad)
    assert ledger.facts() == []
    assert ledger.append() == 0
    assert ledger.append(decided("b")) == 1
    assert ledger.append() == 1


def test_runs_artifacts_and_numbers_can_be_asked_for(ledger: Ledger) -> None:
    """Lineage and metrics follow from the facts of Runs alone, once each, however often a Run reports."""
    ledger.append(started("r1", source="aa"), finished("r1", {"auc": 0.7, "deep": {"n": 3}, "ok": True}, model="bb"))
    ledger.append(started("r2", model="bb"), finished("r2", {"auc": math.nan}, report="cc"))
    ledger.append(finished("r2", {"auc": 0.9}, report="cc"))
    assert ledger.edges(digest="bb") == [Edge("r1", "output", "model", "bb"), Edge("r2", "input", "model", "bb")]
    assert ledger.edges(run="r1") == [Edge("r1", "input", "source", "aa"), Edge("r1", "output", "model", "bb")]
    assert ledger.artifacts() == {"aa": "source", "bb": "model", "cc": "report"}
    assert ledger.artifacts("model") == {"bb": "model"}
    assert [(m.run, m.name, m.value) for m in ledger.metrics("s")] == [
        ("r1", "auc", 0.7),
        ("r1", "deep.n", 3.0),
        ("r2", "auc", 0.9),
    ]


def test_another_object_sees_it_at_once(ledger: Ledger, tmp_path: Path) -> None:
    """A fact is there for every reader, also a read-only one, as soon as `append` returned."""
    reader = Ledger(tmp_path / "ledger.db", readonly=True)
    for number in range(1, 4):
        ledger.append(registered(number))
        assert reader.last(VersionRegistered, "s") == registered(number)
    with pytest.raises(StorageFault):
        reader.append(registered(4))


def test_reading_never_creates(tmp_path: Path) -> None:
    """A read-only ledger that is not there is not found, and is not there afterwards either."""
    with pytest.raises(NotFound, match="keepfit up"):
        Ledger(tmp_path / "none.db", readonly=True)
    assert list(tmp_path.iterdir()) == []


def test_readers_do_not_wait_for_a_writer(ledger: Ledger, tmp_path: Path) -> None:
    """While somebody is in the middle of writing, the ledger can be read."""
    ledger.append(decided("before"))
    with sqlite3.connect(tmp_path / "ledger.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(ledger.facts()) == 1
        other.execute("ROLLBACK")
    other.close()


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    """Eight threads append through one object: all facts arrive, each thread's in its order."""

    def work(name: str) -> None:
        for number in range(10):
            ledger.append(registered(number, name))

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(8):
        assert [row.fact.number for row in ledger.facts(f"t{n}", VersionRegistered)] == list(range(10))


def test_the_file_is_in_write_ahead_mode(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever opens the file finds the journal which lets readers and a writer work side by side."""
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """A file of something else is told, not overwritten."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageFault, match=r"ledger\.db"):
        Ledger(path)
    assert path.read_bytes().startswith(b"this is not a database")


def test_a_ledger_of_a_newer_keepfit_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """An older program does not touch what it may not understand, and says what to do."""
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        other.execute("INSERT INTO form VALUES (?, 'later')", (MIGRATIONS[-1].number + 1,))
    other.close()
    for readonly in (False, True):
        with pytest.raises(StorageFault, match=r"newer|another form"):
            Ledger(tmp_path / "ledger.db", readonly=readonly)


def test_the_same_statements_suit_postgresql() -> None:
    """The tables can be spelt for PostgreSQL: nothing of the form is SQLite's alone."""
    said: list[str] = []
    engine = sa.create_mock_engine("postgresql+psycopg://", lambda sql, *_: said.append(str(sql.compile(engine))))
    for migration in MIGRATIONS:
        migration.run(engine)  # type: ignore[arg-type]
    assert "seq BIGSERIAL NOT NULL" in "".join(said)


def test_specifications_are_facts_too(ledger: Ledger) -> None:
    """Applied keeps who, what and which changes."""
    fact = Applied(service="s", time=NOON, specification="a", code="b", actor="me", changes=("x: 1 → 2",))
    ledger.append(fact)
    assert ledger.last(Applied, "s") == fact
