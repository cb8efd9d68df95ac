"""Segments: cut anywhere, everything before the cut is there and nothing else; nobody living is disturbed."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.core.errors import StorageFault
from keepfit.store.segments import hash_ids
from keepfit.store.streams import LabelWriter, Query, SegmentWriter, Stream

START = datetime(2026, 1, 1, tzinfo=UTC)


def batch(*ids: str, pad: int = 0) -> pa.RecordBatch:
    times = pa.array([START] * len(ids), pa.timestamp("us", tz="UTC"))
    return pa.record_batch({"_id": list(ids), "_time": times, "x": ["x" * pad] * len(ids)})


def ids_of(root: Path) -> list[str]:
    return list(Stream(root).read()["_id"].to_pylist())


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """No file may grow past `size` bytes: what a full disk does, a write that stops half way, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["records", "labels"])
def test_cut_at_every_byte(tmp_path: Path, kind: str) -> None:
    """A segment cut at any byte, or followed by rubbish, has all batches completed before; a restart continues."""
    whole = tmp_path / "whole"
    labels = LabelWriter(whole, "w") if kind == "labels" else None
    records, borders = SegmentWriter(whole, "w"), []
    for n in range(3):
        if labels is not None:
            labels.append([f"r{n}"], [n], START)
        else:
            records.append(batch(f"r{n}"))
        (path,) = whole.rglob("*.open")
        borders.append(path.stat().st_size)
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        for n, tail in enumerate((b"", b"\0" * 4096, b"\xff" * 64, data[16:80])[: None if cut % 5 == 0 else 1]):
            root = tmp_path / f"{cut}-{n}"
            (root / path.parent.name).mkdir(parents=True)
            (root / path.parent.name / path.name).write_bytes(data[:cut] + tail)
            complete = sum(data[:border] == (data[:cut] + tail)[:border] for border in borders)
            stream = Stream(root)
            counts = stream.counts()
            assert (counts.labels if labels is not None else counts.records) == complete
            if cut % 37 == 0:  # each of these costs a sync
                (LabelWriter if labels is not None else SegmentWriter)(root, "w").close()
                counts = stream.counts()
                assert (counts.labels if labels is not None else counts.records) == complete
                assert not list(root.rglob("*.open"))


@pytest.mark.parametrize("room", range(100, 3000, 290))
def test_a_full_disk_loses_only_what_it_says(tmp_path: Path, room: int) -> None:
    """An append that fails half way leaves no trace, what was kept stays readable, and with room it goes on."""
    writer, labels = SegmentWriter(tmp_path, "w"), LabelWriter(tmp_path, "w")
    stream, kept, labelled, lost = Stream(tmp_path), [], [], []
    with little_room(room):
        for n in range(12):
            for act, done in (
                (lambda n=n: writer.append(batch(f"r{n}", pad=150)), kept),
                (lambda n=n: labels.append([f"r{n}"], [n], START), labelled),
            ):
                try:
                    act()
                    done.append(f"r{n}")
                except StorageFault as error:
                    lost.append(error.code)
            assert stream.known([f"r{n}"]) == [f"r{n}" in kept]
    assert set(lost) == {"disk_full"}
    assert ids_of(tmp_path) == sorted(kept)
    assert stream.counts().labels == len(labelled)
    writer.append(batch("s1"))
    labels.append(["s1"], [1], START)
    writer.close()
    labels.close()
    assert stream.known(["s1"]) == [True]
    assert ids_of(tmp_path) == sorted([*kept, "s1"])
    stream.compact()
    assert ids_of(tmp_path) == sorted([*kept, "s1"])
    assert (stream.counts().records, stream.counts().labels) == (len(kept) + 1, len(labelled) + 1)


def test_no_room_to_seal_or_compact_changes_nothing(tmp_path: Path) -> None:
    """Sealing and compaction need room for a moment; without it everything stays readable where it is."""
    for n in range(3):
        writer = SegmentWriter(tmp_path, f"w{n}")
        writer.append(batch(*(f"r{n}{k}" for k in range(9)), pad=500))
    wanted = ids_of(tmp_path)
    with little_room(1000):
        writer.close()
        SegmentWriter(tmp_path, "other")
    assert list((tmp_path / "segments").glob("*.arrow*")) == []
    assert ids_of(tmp_path) == wanted
    SegmentWriter(tmp_path, "w2")
    assert len(list((tmp_path / "segments").glob("*.arrow"))) == 1
    with little_room(1000), pytest.raises(StorageFault):
        Stream(tmp_path).compact()
    assert not list(tmp_path.rglob("*.partial"))
    assert ids_of(tmp_path) == wanted
    assert Stream(tmp_path).compact() == 1
    assert ids_of(tmp_path) == wanted


def test_a_living_writer_keeps_its_segment(tmp_path: Path) -> None:
    """Other writers that start, and compactions, leave alone what somebody still writes."""
    first = SegmentWriter(tmp_path, "w")
    first.append(batch("a"))
    second = SegmentWriter(tmp_path, "w")
    second.append(batch("b"))
    assert Stream(tmp_path).compact() == 0
    first.append(batch("c"))
    assert sorted(path.name for path in tmp_path.rglob("*.open")) == ["w-00000001.open", "w-00000002.open"]
    assert ids_of(tmp_path) == ["a", "b", "c"]
    assert Stream(tmp_path).counts().records == 3


def test_segments_grow_to_their_size_and_no_further(tmp_path: Path) -> None:
    """A segment is sealed at `rotate_rows`, at another schema and at closing; its name tells its rows."""
    writer = SegmentWriter(tmp_path, "w", rotate_rows=4)
    for n in range(6):
        writer.append(batch(f"r{n}"))
    writer.append(batch("s").append_column("y", pa.array([1.0])))
    writer.close()
    names = sorted(path.name for path in (tmp_path / "segments").glob("*.arrow"))
    assert names == ["w-00000001-4.arrow", "w-00000002-2.arrow", "w-00000003-1.arrow"]
    writer.append(batch("t"))
    writer.close()
    assert Stream(tmp_path).read(Query(columns=["_id", "y"])).to_pylist()[-3:] == [
        {"_id": "r5", "y": None},
        {"_id": "s", "y": 1.0},
        {"_id": "t", "y": None},
    ]


def test_names_are_never_used_again(tmp_path: Path) -> None:
    """Numbers grow over restarts and compactions, so that no file is ever taken for an earlier one."""
    seen: list[str] = []
    for n in range(4):
        writer = SegmentWriter(tmp_path, "w")
        writer.append(batch(f"r{n}"))
        seen += [path.name for path in tmp_path.rglob("*.open")]
        writer.close()
        if n % 2:
            assert Stream(tmp_path).compact() > 0
    assert seen == [f"w-{n:08d}.open" for n in range(1, 5)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=30))
def test_hashes_depend_on_the_id_alone(ids: list[str]) -> None:
    """Equal ids have equal hashes, wherever they stand and whatever else is hashed; different ones differ."""
    usable = [id for id in ids if id.encode(errors="ignore").decode() == id]
    array = pa.array(usable, pa.string())
    hashes = hash_ids(array)
    assert [hash_ids(pa.array([id]))[0] for id in usable] == hashes.tolist()
    assert hash_ids(pa.concat_arrays([pa.array(["before"]), array])[1:]).tolist() == hashes.tolist()
    assert len(set(hashes.tolist())) == len(set(usable))


def test_hashes_of_similar_ids_do_not_meet() -> None:
    """A quarter of a million ids that differ in a digit, as real ones do, have as many hashes, spread evenly."""
    hashes = hash_ids(pa.array([f"2013-01-01T05:00/EWR/{n}" for n in range(250_000)]))
    assert len(np.unique(hashes)) == len(hashes)
    counts = np.bincount((hashes >> np.uint64(56)).astype(int), minlength=256)
    assert abs(counts - len(hashes) / 256).max() < 6 * np.sqrt(len(hashes) / 256)
