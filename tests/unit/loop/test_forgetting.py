"""Forgetting: a person's Records leave every Memory, and the Versions that learnt from them are named."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.core.clock import ManualClock
from keepfit.core.errors import NotFound
from keepfit.core.facts import Answered, Applied, Fact, Forgotten, Requested, RunFinished, RunStarted, VersionRegistered
from keepfit.core.nouns import Memory
from keepfit.core.places import Places
from keepfit.learn.memory import load, save, without
from keepfit.loop.executors import Inline
from keepfit.loop.forgetting import forget
from keepfit.loop.perform import Hands
from keepfit.loop.pipeline import Work
from keepfit.loop.replay import InProcess
from keepfit.loop.situation import Situation, fold
from keepfit.loop.steps import perform_step
from keepfit.loop.traces import examples
from keepfit.store.blobs import Trees
from keepfit.store.ledger import Ledger

NOW = datetime(2013, 5, 1, tzinfo=UTC)
S = "flights"


@dataclass
class Shop:
    """A store with Versions that learnt from some Records and remember some."""

    hands: Hands
    folder: Path
    situation: Situation

    def version(self, number: int, learnt: str, remembered: str, goes_on: int = 0) -> None:
        """One that was trained on Records named by letters, and remembers some of them."""
        kept = self.folder / f"m{number}"
        rows = pa.table({"_id": list(remembered), "x": np.arange(len(remembered)), "_label": [0] * len(remembered)})
        save(Memory("Replay", rows, {"seen": np.array([number])}), kept)
        pq.write_table(pa.table({"_id": list(learnt), "x": np.arange(len(learnt))}), self.folder / "rows.parquet")
        parent = f"{goes_on:064d}" if goes_on else ""
        run = {"service": S, "time": NOW, "key": f"k{number}", "run": f"r{number}", "step": "train"}
        started = RunStarted(**run, update=f"u{number}", process=1, inputs={"parent": parent} if parent else {})
        ended = RunFinished(**run, update=f"u{number}", outputs={}, result={}, cpu_seconds=1.0, wall_seconds=1.0)
        made = VersionRegistered(
            service=S,
            time=NOW,
            number=number,
            digest=f"{number:064d}",
            parent=goes_on,
            update=f"u{number}",
            memory=self.hands.trees.put(kept),
            datasets=(self.hands.blobs.put_file(self.folder / "rows.parquet"),),
        )
        self.keep(started, ended, made)

    def keep(self, *facts: Fact) -> None:
        self.hands.ledger.append(*facts)
        for fact in facts:
            self.situation = fold(self.situation, fact)

    def forget(self, *ids: str, request: str = "q1") -> tuple[Forgotten, Answered]:
        """Do as the loop does: the fact first, the removal at the next turn."""
        asked = Requested(service=S, time=NOW, id=request, deed="forget", actor="ann", reason="r", records=ids)
        self.keep(asked)
        (forgotten,) = forget(asked, self.situation, self.hands)
        assert isinstance(forgotten, Forgotten)
        self.keep(forgotten)
        (answered,) = forget(asked, self.situation, self.hands)
        assert isinstance(answered, Answered)
        return forgotten, answered

    def remembered(self, number: int) -> str:
        found = load(self.hands.trees.path(self.situation.versions[number].memory), "Replay").rows
        assert found is not None
        return "".join(found["_id"].to_pylist())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    places = Places(tmp_path / "store")
    places.root.mkdir()
    ids = itertools.count(1)

    def nobody(work: object) -> object:
        raise AssertionError(work)

    hands = Hands(
        places=places,
        ledger=Ledger(places.ledger),
        clock=ManualClock(NOW),
        executor=Inline(nobody, lambda: 0.0),  # type: ignore[arg-type]  # nothing is run here
        target=InProcess(Trees(places.trees)),
        new_id=lambda: f"id{next(ids)}",
    )
    made = Shop(hands, tmp_path, Situation(now=NOW))
    made.keep(Applied(service=S, time=NOW, specification="5" * 64, code="c" * 64, actor="me"))
    return made


def test_records_leave_every_memory(shop: Shop) -> None:
    """Every Memory that would be gone on with loses the rows, keeps the rest, and the old bytes leave the store."""
    shop.version(1, "abcd", "ab")
    shop.version(2, "cdef", "ace", goes_on=1)
    old = {number: shop.situation.versions[number].memory for number in (1, 2)}
    forgotten, answered = shop.forget("a", "zz")
    assert (shop.remembered(1), shop.remembered(2)) == ("b", "ce")
    assert forgotten.rows == 2
    assert answered.done
    assert answered.reason == (
        "0 records were erased from the stream with their labels; 2 remembered rows were taken out of 2 memories; "
        "1 datasets and tables beside them were written anew without them; "
        "v1, v2 learnt from them; "
        "what remains: arrays in the memory of v1, made of many records together, "
        "arrays in the memory of v2, made of many records together, your own data files, "
        "the ids in the ledger, by which they are kept out of later updates"
    )
    for digest in old.values():
        with pytest.raises(NotFound):
            shop.hands.trees.path(digest)


def test_records_leave_every_dataset(shop: Shop) -> None:
    """What Versions learnt from is written anew without them, and again when others are to go; the old blobs go."""
    shop.version(1, "abcd", "")
    blobs, before = shop.hands.blobs, shop.situation.versions[1].datasets
    for number, (id, left) in enumerate((("b", "acd"), ("d", "ac"))):
        shop.forget(id, request=f"q{number}")
        (now,) = shop.situation.versions[1].datasets
        assert "".join(pq.read_table(blobs.path(now))["_id"].to_pylist()) == left
        assert not blobs.has(before[0])
        before = (now,)


def test_examples_that_hold_a_record_are_named(tmp_path: Path) -> None:
    """By their inputs, since they have no ids; missing values are the same however they are written."""
    theirs = pa.table({"_id": ["a", "b"], "x": [1.5, None], "city": ["Rome", ""], "_label": [0, 1]})
    golden = pa.table(
        {"x": pa.array([1.5, 1.5, np.nan], pa.float32()), "city": ["Rome", "Oslo", None], "_out_p": [1, 1, 1]}
    )
    pq.write_table(golden, tmp_path / "golden.parquet")
    pq.write_table(golden.slice(1, 1), tmp_path / "reference.parquet")
    assert list(examples(tmp_path, [theirs])) == ["2 golden example(s)"]
    assert list(examples(tmp_path, [theirs.slice(0, 1)])) == ["1 golden example(s)"]
    assert list(examples(tmp_path, [theirs.drop_columns(["x"])])) == []


@pytest.mark.parametrize(
    ("record", "versions"),
    [
        pytest.param("a", (1, 3), id="in its rows, and whoever went on from it"),
        pytest.param("f", (2,), id="in its rows, and nobody went on"),
        pytest.param("g", (1, 3), id="remembered from before"),
        pytest.param("z", (), id="nowhere"),
    ],
)
def test_versions_that_learnt_are_named(shop: Shop, record: str, versions: tuple[int, ...]) -> None:
    """A Version learnt from a Record in its rows or in its Memory, or in those of one that it went on from."""
    shop.version(1, "ab", "ag")
    shop.version(2, "ef", "e")
    shop.version(3, "cd", "c", goes_on=1)
    assert shop.forget(record)[0].versions == versions


def test_nothing_to_forget_changes_nothing(shop: Shop) -> None:
    """A Memory without such rows stays what it is, digest and all."""
    shop.version(1, "ab", "ab")
    before = shop.situation.versions[1].memory
    forgotten, _ = shop.forget("z")
    assert (forgotten.rows, forgotten.memories, shop.situation.versions[1].memory) == (0, {}, before)


def test_a_crash_between_fact_and_removal(shop: Shop) -> None:
    """The turn after a crash removes what the fact says, without counting anything twice."""
    shop.version(1, "ab", "ab")
    old = shop.situation.versions[1].memory
    asked = Requested(service=S, time=NOW, id="q1", deed="forget", actor="ann", reason="r", records=("a",))
    shop.keep(asked, *forget(asked, shop.situation, shop.hands))
    assert shop.hands.trees.has(old)
    again = [forget(asked, shop.situation, shop.hands) for _ in range(2)]
    assert again[0] == again[1]
    assert not shop.hands.trees.has(old)
    assert len(shop.hands.ledger.facts(S, Forgotten)) == 1


@pytest.mark.parametrize("rows", [None, pa.table({"x": [1]})])
def test_memories_without_records(tmp_path: Path, rows: pa.Table | None) -> None:
    """Arrays alone, or rows that name no Record, have nothing to take out."""
    save(Memory("EWC", rows, {"fisher": np.ones(3)}), tmp_path / "one")
    assert without(tmp_path / "one", {"a"}, tmp_path / "two") == 0
    assert not (tmp_path / "two").exists()


def test_arrays_stay(tmp_path: Path) -> None:
    """What is left has the arrays as they were."""
    save(Memory("Replay", pa.table({"_id": ["a", "b"]}), {"seen": np.arange(4)}), tmp_path / "one")
    assert without(tmp_path / "one", ["a"], tmp_path / "two") == 1
    found = load(tmp_path / "two", "Replay")
    assert found.arrays["seen"].tolist() == [0, 1, 2, 3]


def test_what_was_forgotten_is_not_learnt_again(shop: Shop, tmp_path: Path) -> None:
    """Later updates freeze their rows without these Records, though the Stream and the first data still have them."""
    shop.version(1, "ab", "ab")
    shop.forget("a", "d")
    assert shop.situation.forgotten == {"a", "d"}
    times = pa.array([NOW] * 6, pa.timestamp("us", tz="UTC"))
    source = pa.table({"_id": list("abcdef"), "_time": times, "x": np.arange(6.0), "_label": [0, 1] * 3})
    pq.write_table(source, tmp_path / "source.parquet")
    parameters = {
        "as_of": NOW.isoformat(),
        "window": {},
        "holdout": 2,
        "answered_by": 0,
        "columns": ["x"],
        "without": sorted(shop.situation.forgotten),
    }
    inputs = {"source": shop.hands.blobs.put_file(tmp_path / "source.parquet")}
    work = Work(step="freeze", service=S, update="u", specification="s", parameters=parameters, inputs=inputs)
    made = perform_step(work, shop.hands.places, tmp_path)
    frozen = [
        pq.read_table(shop.hands.blobs.path(made.outputs[name]))["_id"].to_pylist() for name in ("train", "holdout")
    ]
    assert frozen == [["b", "c"], ["e", "f"]]
