"""Processes that use a store are killed at any moment: what was acknowledged is there, once, and nobody waits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from keepfit.core.facts import Decided
from keepfit.store.ledger import Ledger
from keepfit.store.streams import LabelWriter, Query, SegmentWriter, Stream
from process.mortal_store import GONE, START, batch

SECONDS = float(os.environ.get("KEEPFIT_LEDGER_SECONDS", "3"))


def life(*arguments: object) -> subprocess.Popen[str]:
    script = str(Path(__file__).with_name("mortal_store.py"))
    return subprocess.Popen(
        [sys.executable, script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def note(line: str, records: set[int], labels: set[int]) -> None:
    """Take in what a writer says is safe."""
    match line.split():
        case ["records", low, high]:
            records.update(range(int(low), int(high)))
        case ["label", n]:
            labels.add(int(n))
        case _:
            pytest.fail(line)


def watch(stream: Stream, records: set[int], labels: set[int]) -> None:
    """While others append, seal and compact: what they said is safe is read, and nothing is counted twice."""
    before = stream.counts()
    read = stream.read(Query(columns=["_id", "_label"])).to_pylist()
    after = stream.counts()
    assert records <= {int(row["_id"][1:]) for row in read}
    assert labels <= {row["_label"] for row in read}
    assert before.records <= len(read) <= after.records
    assert before.labels <= sum(row["_label"] is not None for row in read) <= after.labels


def test_killed_writers_lose_nothing_they_acknowledged(tmp_path: Path) -> None:
    """Writer and compaction are killed again and again; each record and label said to be safe is read, once."""
    chance, records, labels, first = random.Random(4), set[int](), set[int](), 0
    stream = Stream(tmp_path)
    for _ in range(4):
        with life("append", tmp_path, first) as writer, life("compact", tmp_path) as compaction:
            assert writer.stdout is not None
            enough = len(labels) + chance.randint(20, 60)
            for line in writer.stdout:
                note(line, records, labels)
                if len(labels) % 9 == 0:
                    watch(stream, records, labels)
                if len(labels) >= enough:
                    break
            for process in chance.sample([writer, compaction], 2):
                process.send_signal(signal.SIGKILL)
                time.sleep(chance.random() * 0.01)
            for line in writer.stdout:  # what it had said before it died
                note(line, records, labels)
        first = max(records) + 10
    there = {int(id[1:]) for id in stream.read(Query(columns=["_id"]))["_id"].to_pylist()}
    assert records <= there
    assert stream.counts().records == len(there), "a record is there twice"
    told = stream.read(Query(labelled=True, columns=["_id", "_label"])).to_pylist()
    assert all(row["_id"] == f"r{row['_label']}" for row in told)
    assert labels <= {row["_label"] for row in told}
    SegmentWriter(tmp_path, "w").close()
    LabelWriter(tmp_path, "w").close()
    assert not list(tmp_path.rglob("*.open"))
    assert stream.read(Query(columns=["_id"])).num_rows == len(there) == stream.counts().records


@pytest.fixture(scope="module")
def orphaned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stream with a small part, sealed segments, an open one whose writer died, and labels of each kind."""
    root = tmp_path_factory.mktemp("orphaned")
    labels = LabelWriter(root, "w", rotate_rows=4)
    for n in range(4):
        writer = SegmentWriter(root, "w", rotate_rows=4 if n < 3 else 100)
        writer.append(batch(n * 4, 4 if n < 3 else 3))
        labels.append([f"r{n * 4}", f"r{n * 4 + 1}"], [n, n], START)
        if n == 1:
            Stream(root).compact()
    return root


def without_labels(table: pa.Table) -> pa.Table:
    return table.drop_columns(["_label", "_label_time"])


def crashed(what: str, orphaned: Path, folder: Path) -> list[Path]:
    """The Stream as each cut of power in the midst of a deed leaves it, the earliest first."""
    with life("crashes", what, orphaned, folder) as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    cut = sorted(folder.iterdir(), key=lambda root: int(root.name))
    assert len(cut) > 4
    return cut


@pytest.mark.parametrize("what", ["compact", "recover", "append"])
def test_crashed_at_every_step(tmp_path: Path, orphaned: Path, what: str) -> None:
    """Power is cut before each step that changes a name or asks for the disk: before and after, and when the deed is
    done once more, every record is there exactly once, with its label."""
    wanted = Stream(orphaned).read()
    cut = crashed(what, orphaned, tmp_path)
    for root in cut:
        stream = Stream(root)
        for _ in range(2):
            read = stream.read()
            assert without_labels(read).equals(without_labels(wanted))
            labels = wanted["_label"].to_pylist()
            if what == "append" and (root is cut[-1] or read["_label"][1].as_py() == 7):
                labels[1] = 7  # one label more, or not yet
            assert read["_label"].to_pylist() == labels
            assert stream.counts().records == wanted.num_rows
            stream.compact()
        assert not list(root.rglob("*.partial"))


def test_erasing_crashed_at_every_step(tmp_path: Path, orphaned: Path) -> None:
    """Before and after any step all other Records are there once; each of those to go is there or gone, and once the
    deed is done again none of them is in any file of the Stream."""
    wanted = {row["_id"]: row["_label"] for row in Stream(orphaned).read().to_pylist()}
    for root in crashed("erase", orphaned, tmp_path):
        stream = Stream(root)
        read = {row["_id"]: row["_label"] for row in stream.read().to_pylist()}
        rest = {id: label for id, label in wanted.items() if id not in GONE}
        assert {id: label for id, label in read.items() if id not in GONE} == rest
        assert set(read) <= set(wanted)
        assert stream.counts().records == len(read)
        again = stream.erase(GONE)
        assert again.left == 0
        assert {row["_id"]: row["_label"] for row in stream.read().to_pylist()} == rest
        stream.compact()
        assert stream.counts().records == len(rest) == stream.read().num_rows
        assert not list(root.rglob("*.partial"))
    assert stream.read(Query(columns=["_id"])).num_rows == len(wanted) - len(GONE)


def test_what_is_erased_while_it_is_written_goes_too(tmp_path: Path) -> None:
    """Eraser and writer are killed, readers look on: nothing else is lost, and in the end nothing of it is left."""
    stream, records, labels = Stream(tmp_path), set[int](), set[int]()
    with life("append", tmp_path, 0) as writer, life("erase", tmp_path) as eraser:
        assert writer.stdout is not None
        for line in writer.stdout:
            note(line, records, labels)
            if len(labels) % 40 == 0:
                there = {int(id[1:]) for id in stream.read(Query(columns=["_id"]))["_id"].to_pylist()}
                assert {n for n in records if n % 10} <= there
            if len(labels) >= 120:
                break
        eraser.send_signal(signal.SIGKILL)
        writer.send_signal(signal.SIGKILL)
    found = stream.read(Query(columns=["_id"]))["_id"].to_pylist()
    assert stream.erase([id for id in found if id.endswith("0")]).left == 0
    there = stream.read(Query(columns=["_id"]))["_id"].to_pylist()
    assert {n for n in records if n % 10} <= {int(id[1:]) for id in there}
    assert there == [id for id in found if not id.endswith("0")]


def test_a_writer_seals_what_somebody_wants_to_erase(tmp_path: Path) -> None:
    """Told of at once, erased after the writer's next append, which is not held up."""
    writer = SegmentWriter(tmp_path, "w")
    writer.append(batch(0, 3))
    stream = Stream(tmp_path)
    assert (stream.erase(["r1"]).rows, stream.erase(["r1"]).left) == (0, 1)
    writer.append(batch(3, 1))
    writer.append(batch(4, 1))
    assert (stream.erase(["r1"]).rows, stream.erase(["r1"]).left) == (1, 0)
    writer.append(batch(5, 1))
    assert len(list(tmp_path.rglob("*.open"))) == 1, "asked once, it seals once"
    assert stream.read(Query(columns=["_id"]))["_id"].to_pylist() == ["r0", "r2", "r3", "r4", "r5"]


def test_sixteen_processes_write_one_ledger(tmp_path: Path) -> None:
    """All open it at the same first moment and append as fast as they can: none fails, none waits long, no fact is
    lost or out of order. KEEPFIT_LEDGER_SECONDS=60 for the whole minute."""
    with life("facts", tmp_path / "ledger.db", 16, SECONDS) as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    ledger = Ledger(tmp_path / "ledger.db", readonly=True)
    lines = [line.split() for line in said.splitlines()]
    assert len(lines) == 16
    for service, done, longest in lines:
        assert [row.fact.reason for row in ledger.facts(service, Decided)] == [str(n) for n in range(int(done))]
        assert float(longest) < 30
    print(f"{sum(int(done) for _, done, _ in lines)} facts, longest wait {max(float(w) for *_, w in lines):.2f} s")
    ledger.close()
