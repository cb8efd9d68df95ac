"""Streams: read() against a plain model of what it promises, whatever was sealed, compacted or repeated meanwhile."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid, StorageFault
from keepfit.store.streams import Counts, LabelWriter, Query, SegmentWriter, Stream

START = datetime(2026, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def moment(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def batch(ids: list[str], minutes: list[float], *, version: int = 1, **features: Any) -> pa.RecordBatch:
    columns = {
        "_id": pa.array(ids, pa.string()),
        "_time": pa.array([moment(minute) for minute in minutes], TIME),
        "_version": pa.array([version] * len(ids), pa.int32()),
        **features,
        "_out_prediction": pa.array([len(one) for one in ids], pa.int64()),
    }
    return pa.record_batch(columns)


def ids_of(table: pa.Table) -> list[str]:
    return list(table["_id"].to_pylist())


@dataclass
class Model:
    """What a Stream is by definition: two lists."""

    records: list[dict[str, Any]] = field(default_factory=list)
    labels: list[tuple[str, Any, datetime]] = field(default_factory=list)

    def read(
        self,
        start: datetime | None,
        end: datetime | None,
        as_of: datetime | None,
        *,
        labelled: bool,
        version: int | None,
        last: int | None,
        order: str,
    ) -> list[dict[str, Any]]:
        first: dict[str, dict[str, Any]] = {}
        for record in sorted(self.records, key=lambda r: r["_time"]):
            first.setdefault(record["_id"], record)
        rows = [dict(record) for record in first.values()]
        for row in rows:
            row["_label"], row["_label_time"] = self.label(row["_id"], as_of)
        rows = [
            row
            for row in rows
            if (start is None or row["_time"] >= start)
            and (end is None or row["_time"] < end)
            and (version is None or row["_version"] == version)
            and (row["_label_time"] is not None or not (labelled or order == "label"))
        ]
        rows.sort(key=lambda row: (row["_label_time" if order == "label" else "_time"], row["_id"]))
        return rows if last is None else rows[max(0, len(rows) - last) :]

    def label(self, id: str, as_of: datetime | None) -> tuple[Any, datetime | None]:
        told = [(time, value) for one, value, time in self.labels if one == id and (as_of is None or time <= as_of)]
        told.sort(key=lambda pair: pair[0])
        runs = [list(run) for _, run in groupby(told, key=lambda pair: pair[1])]
        return (runs[-1][0][1], runs[-1][0][0]) if runs else (None, None)


@pytest.mark.parametrize("seed", range(6))
def test_reading_is_what_it_says(tmp_path: Path, seed: int) -> None:
    """Random appends by two writers, repeated ids, late, repeated and corrected labels, a widened schema, sealing,
    restarts and compactions: every question is answered as two plain lists would, before and after each of them."""
    chance, model, stream = random.Random(seed), Model(), Stream(tmp_path)
    writers = [SegmentWriter(tmp_path, f"w{n}", rotate_rows=23) for n in range(2)]
    labels = LabelWriter(tmp_path, "w0", rotate_rows=17)
    for turn in range(60):
        match chance.choice(["records"] * 5 + ["labels"] * 4 + ["close", "restart", "compact"]):
            case "records":
                append_some(chance, model, chance.choice(writers), wide=turn > 30)
            case "labels":
                label_some(chance, model, labels)
            case "close":
                chance.choice([*writers, labels]).close()
            case "restart":
                writers[0].close()
                writers[0] = SegmentWriter(tmp_path, "w0", rotate_rows=23)
            case "compact":
                stream.compact()
        if turn % 4 == 3:
            ask(chance, model, stream)
            ask(chance, model, Stream(tmp_path))
    assert stream.counts() == Stream(tmp_path).counts()
    assert stream.counts().records == len(model.records)
    assert stream.counts().labels == len({id for id, _, _ in model.labels})
    everyone = [f"r{n}" for n in range(400)]
    there = {record["_id"] for record in model.records}
    assert stream.known(everyone) == [id in there for id in everyone]


def append_some(chance: random.Random, model: Model, writer: SegmentWriter, *, wide: bool) -> None:
    count, version = chance.randint(1, 12), chance.randint(1, 2)
    ids = [f"r{chance.randint(0, 300)}" for _ in range(count)]
    minutes: list[float] = [chance.randint(0, 50) for _ in range(count)]
    # Rows of one id and one moment have no first among them: those are left to a test of their own.
    taken = {(record["_id"], record["_time"]) for record in model.records}
    rows = []
    for id, minute in zip(ids, minutes, strict=True):
        if (id, moment(minute)) not in taken:
            taken.add((id, moment(minute)))
            rows.append((id, minute))
    if not rows:
        return
    x = [chance.random() for _ in rows]
    features: dict[str, Any] = {"x": pa.array(x, pa.float64())}
    n = [chance.randint(0, 9) for _ in rows]
    features["n"] = pa.array([float(one) for one in n] if wide else n, pa.float64() if wide else pa.int64())
    if wide:
        features["late"] = pa.array([f"v{one}" for one in n])
    writer.append(batch([id for id, _ in rows], [minute for _, minute in rows], version=version, **features))
    for place, (id, minute) in enumerate(rows):
        record = {"_id": id, "_time": moment(minute), "_version": version, "x": x[place], "n": n[place]}
        model.records.append({**record, "late": f"v{n[place]}" if wide else None, "_out_prediction": len(id)})


def label_some(chance: random.Random, model: Model, writer: LabelWriter) -> None:
    known = sorted({record["_id"] for record in model.records})
    chosen = [chance.choice(known) for _ in range(min(len(known), chance.randint(1, 9)))]
    values = [chance.randint(0, 1) for _ in chosen]
    time = moment(chance.randint(40, 90))
    if chosen:
        writer.append(chosen, values, time)
        model.labels += [(id, value, time) for id, value in zip(chosen, values, strict=True)]


def ask(chance: random.Random, model: Model, stream: Stream) -> None:
    start, end, as_of = (chance.choice([None, moment(chance.randint(0, 95))]) for _ in range(3))
    question: dict[str, Any] = {
        "labelled": chance.random() < 0.5,
        "version": chance.choice([None, None, 1, 2]),
        "last": chance.choice([None, 0, 1, 7, 40, 1000]),
        "order": chance.choice(["record", "label"]),
    }
    wanted = model.read(start, end, as_of, **question)
    answer = stream.read(Query(start=start, end=end, as_of=as_of, **question))
    columns = [name for name in (wanted[0] if wanted else []) if name in answer.column_names]
    assert answer.select(columns).to_pylist() == [{name: row[name] for name in columns} for row in wanted]
    assert all(row[name] is None for row in wanted for name in row.keys() - set(columns))


def test_columns_come_in_the_order_of_a_dataset(tmp_path: Path) -> None:
    """Keys, features as they were appended, the label and what belongs to it, outputs; typed also when empty."""
    SegmentWriter(tmp_path, "w").append(batch(["a"], [0], z=pa.array([1.0]), b=pa.array(["x"])))
    names = ["_id", "_time", "z", "b", "_label", "_version", "_label_time", "_out_prediction"]
    assert Stream(tmp_path).read().column_names == names
    empty = Stream(tmp_path).read(Query(start=moment(5)))
    assert (empty.num_rows, empty.column_names) == (0, names)
    assert Stream(tmp_path).read(Query(columns=["b", "_id", "_label", "absent"])).column_names == ["b", "_id", "_label"]
    nothing = Stream(tmp_path / "absent").read(Query(labelled=True))
    assert nothing.num_rows == 0
    assert nothing.column_names == ["_id", "_time", "_label", "_version", "_label_time"]
    assert Stream(tmp_path / "absent").counts() == Counts(0, 0, None, None)
    assert Stream(tmp_path / "absent").known(["a"]) == [False]
    assert Stream(tmp_path / "absent").compact() == 0


@pytest.mark.parametrize("kind", [int, float, str, bool])
def test_labels_keep_their_type(tmp_path: Path, kind: type) -> None:
    """A label is read as the type it was given, null where there is none yet."""
    SegmentWriter(tmp_path, "w").append(batch(["a", "b"], [0, 1]))
    LabelWriter(tmp_path, "w").append(["a"], [kind(1)], moment(2))
    labels = Stream(tmp_path).read()["_label"].to_pylist()
    assert labels == [kind(1), None]
    assert type(labels[0]) is kind


def test_whole_and_broken_numbers_are_one_kind_of_label(tmp_path: Path) -> None:
    """1 and then 2.5 are both numbers; a text among them makes the column text rather than the Stream unreadable."""
    SegmentWriter(tmp_path, "w").append(batch(["a", "b", "c"], [0, 1, 2]))
    writer = LabelWriter(tmp_path, "w")
    writer.append(["a"], [1], moment(3))
    writer.append(["b"], [2.5], moment(3))
    assert Stream(tmp_path).read()["_label"].to_pylist() == [1.0, 2.5, None]
    writer.append(["c"], ["late"], moment(3))
    assert Stream(tmp_path).read()["_label"].to_pylist() == ["1", "2.5", "late"]


def test_the_label_written_last_counts_at_equal_times(tmp_path: Path) -> None:
    """A correction within the same moment, as on a clock that stands still, holds before and after compaction."""
    SegmentWriter(tmp_path, "w").append(batch(["a"], [0]))
    writer = LabelWriter(tmp_path, "w", rotate_rows=1)
    for value in (1, 0, 1, 1, 0):
        writer.append(["a"], [value], moment(3))
        assert Stream(tmp_path).read()["_label"].to_pylist() == [value]
    assert Stream(tmp_path).compact() > 0
    assert Stream(tmp_path).read()["_label"].to_pylist() == [0]


def test_tensors_and_missing_values_survive(tmp_path: Path) -> None:
    """A feature of its own shape, NaN, empty text, zeros below and above: the same from a segment and from Parquet."""
    matrix = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 3)
    floats, texts = pa.array([np.nan, -0.0]), pa.array(["", "é"]).dictionary_encode()
    writer = SegmentWriter(tmp_path, "w")
    writer.append(batch(["a", "b"], [0, 0], m=matrix, f=floats, t=texts))
    stream = Stream(tmp_path)
    before = stream.read()
    assert before["m"].to_pylist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert before["t"].to_pylist() == ["", "é"]
    assert np.isnan(before["f"][0].as_py())
    writer.close()
    assert stream.compact() == 1
    after = stream.read()
    assert after.schema == before.schema
    assert str(after.to_pylist()) == str(before.to_pylist())


def test_a_reader_keeps_up_with_other_writers(tmp_path: Path) -> None:
    """One Stream object sees each append of every writer at once, also in segments that are still open."""
    stream = Stream(tmp_path)
    writers = [SegmentWriter(tmp_path, f"w{n}", rotate_rows=7) for n in range(3)]
    for n in range(30):
        writers[n % 3].append(batch([f"r{n}"], [n]))
        assert stream.known([f"r{n}", f"r{n + 1}"]) == [True, False]
        assert stream.counts() == Counts(n + 1, 0, moment(0), moment(n))
        assert ids_of(stream.read(Query(last=2))) == [f"r{k}" for k in range(max(0, n - 1), n + 1)]


@pytest.mark.parametrize("compacted", [False, True])
def test_a_damaged_file_is_named(tmp_path: Path, compacted: bool) -> None:
    """Bytes that rotted are reported with the file and the rows it held, never guessed at."""
    writer = SegmentWriter(tmp_path, "w")
    writer.append(batch(["a", "b"], [0, 1]))
    writer.close()
    if compacted:
        Stream(tmp_path).compact()
    (victim,) = [*tmp_path.rglob("*.arrow"), *tmp_path.rglob("*.parquet")]
    victim.write_bytes(victim.read_bytes()[:-30])
    with pytest.raises(StorageFault, match=victim.name) as raised:
        Stream(tmp_path).read()
    assert raised.value.code == "corrupt"


@pytest.mark.parametrize("data", [None, b"", b"KFIDS", b"x" * 48])
def test_a_lost_sidecar_is_made_again(tmp_path: Path, data: bytes | None) -> None:
    """Sidecars only save time: without one, or with a damaged one, the answers are the same."""
    writer = SegmentWriter(tmp_path, "w")
    writer.append(batch(["a", "b"], [0, 1]))
    writer.close()
    (sidecar,) = tmp_path.rglob("*.ids")
    sidecar.unlink()
    if data is not None:
        sidecar.write_bytes(data)
    assert Stream(tmp_path).known(["b", "c"]) == [True, False]
    assert Stream(tmp_path).counts() == Counts(2, 0, moment(0), moment(1))


def test_what_cannot_be_a_record_or_a_label_is_refused(tmp_path: Path) -> None:
    """Rows without id or time, labels without value or of two kinds, writers named like paths: nothing is written."""
    writer, labels = SegmentWriter(tmp_path, "w"), LabelWriter(tmp_path, "w")
    for bad in (
        pa.record_batch({"x": [1]}),
        pa.record_batch({"_id": ["a"], "x": [1]}),
        pa.record_batch({"_id": pa.array([None], pa.string()), "_time": pa.array([START], TIME)}),
        pa.record_batch({"_id": pa.array(["a"]), "_time": pa.array([None], TIME)}),
    ):
        with pytest.raises(DataInvalid):
            writer.append(bad)
    for ids, values in ((["a"], [1, 2]), (["a", "b"], [1, "x"]), (["a"], [None])):
        with pytest.raises(DataInvalid):
            labels.append(ids, values, START)  # type: ignore[arg-type]
    for name in ("", "../w", ".w", "a/b"):
        with pytest.raises(DataInvalid):
            SegmentWriter(tmp_path, name)
    assert Stream(tmp_path).counts() == Counts(0, 0, None, None)
