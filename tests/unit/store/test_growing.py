"""Open segments: sealing one completes its file where it is, and writes no row a second time."""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.errors import StorageFault
from keepfit.store import growing
from keepfit.store.streams import SegmentWriter, Stream

START = datetime(2026, 1, 1, tzinfo=UTC)


def batch(first: int, rows: int = 64, width: int = 100) -> pa.RecordBatch:
    """Records of tensors, texts and missing values, each its own."""
    numbers = np.arange(first, first + rows)
    tensors = np.random.default_rng(first).normal(size=rows * width).astype(np.float32)
    return pa.record_batch(
        {
            "_id": [f"r{n:06}" for n in numbers],
            "_time": pa.array([START] * rows, pa.timestamp("us", tz="UTC")),
            "x": pa.FixedSizeListArray.from_arrays(pa.array(tensors), width),
            "text": pa.array([None if n % 3 else "ü" * (n % 7) for n in numbers], pa.string()),
            "flag": pa.array([bool(n % 2) for n in numbers]),
        }
    )


def directory(root: Path) -> Path:
    return root / "segments"


def test_sealing_appends_a_footer_and_nothing_else(tmp_path: Path) -> None:
    """The sealed file is the open one with something behind it, and any reader of Arrow files finds all rows in it."""
    writer, batches = SegmentWriter(tmp_path, "w"), [batch(n * 64) for n in range(5)]
    for one in batches:
        writer.append(one)
    (path,) = directory(tmp_path).glob("*.open")
    before, inode = path.read_bytes(), path.stat().st_ino
    writer.close()
    (sealed,) = directory(tmp_path).glob("*.arrow")
    assert (sealed.name, sealed.stat().st_ino) == ("w-00000001-320.arrow", inode)
    assert sealed.read_bytes()[: len(before)] == before
    assert len(sealed.read_bytes()) - len(before) < 2000
    wanted = pa.Table.from_batches(batches)
    for table in (
        pa.ipc.open_file(sealed).read_all(),
        pa.ipc.open_file(pa.memory_map(str(sealed))).read_all(),
        pa.ipc.open_file(sealed.read_bytes()).read_all(),
    ):
        table.validate(full=True)
        assert table.equals(wanted)
    assert Stream(tmp_path).read()["x"].combine_chunks().equals(wanted["x"].combine_chunks())


def test_many_small_batches_are_written_in_one_piece(tmp_path: Path) -> None:
    """A batch costs whoever reads it some microseconds, however few rows it has: a sealed file has no small ones."""
    writer, batches = SegmentWriter(tmp_path, "w"), [batch(n, rows=1, width=3) for n in range(50)]
    for one in batches:
        writer.append(one)
    writer.close()
    (sealed,) = directory(tmp_path).glob("*.arrow")
    file = pa.ipc.open_file(sealed)
    assert file.num_record_batches == 1
    assert file.read_all().equals(pa.Table.from_batches(batches).combine_chunks())


def test_sealing_interrupted_at_any_byte_of_the_footer(tmp_path: Path) -> None:
    """Readers see the same rows before, in the middle of and after sealing; a restart seals it once more."""
    whole = tmp_path / "whole"
    writer = SegmentWriter(whole, "w")
    for n in range(2):
        writer.append(batch(n * 64))
    (path,) = directory(whole).glob("*.open")
    size = path.stat().st_size
    writer.close()
    (sealed,) = directory(whole).glob("*.arrow")
    data = sealed.read_bytes()
    for cut in [size, size + 4, size + 8, *range(size + 9, len(data), 97), len(data)]:
        root = tmp_path / str(cut)
        directory(root).mkdir(parents=True)
        (directory(root) / path.name).write_bytes(data[:cut])
        stream = Stream(root)
        assert stream.counts().records == 128
        SegmentWriter(root, "w")
        (again,) = directory(root).glob("*.arrow")
        assert again.read_bytes() == data
        assert stream.counts().records == 128


@pytest.mark.parametrize("sector", [0, 1, 7, 40, -1])
def test_a_sector_that_never_came_to_the_disk_is_noticed(tmp_path: Path, sector: int) -> None:
    """Zeros or something older in place of any sector of a batch: this batch and what follows it do not count."""
    writer = SegmentWriter(tmp_path, "w")
    writer.append(batch(0))
    (path,) = directory(tmp_path).glob("*.open")
    first = path.stat().st_size
    writer.append(batch(64))
    data = path.read_bytes()
    sectors = range(-(-first // 512) * 512, len(data), 512)
    at = sectors[sector]
    for torn in (bytes(512), data[at + 512 : at + 1024] or b"\1", data[at - 1024 : at - 512]):
        path.write_bytes(data[:at] + torn[: len(data) - at] + data[at + len(torn) :])
        assert growing.scan(path).rows == 64
    path.write_bytes(data)
    assert growing.scan(path).rows == 128


def test_a_segment_that_an_earlier_release_left_open_is_named(tmp_path: Path) -> None:
    """Rows of a layout that is no longer read are neither dropped nor taken for a torn tail."""
    message = batch(0).schema.serialize().to_pybytes()
    directory(tmp_path).mkdir()
    path = directory(tmp_path) / "w-00000001.open"
    path.write_bytes(struct.pack("<II", len(message), zlib.crc32(message)) + message)
    for look in (lambda: Stream(tmp_path).counts(), lambda: SegmentWriter(tmp_path, "w")):
        with pytest.raises(StorageFault, match=r"w-00000001\.open.*earlier release") as found:
            look()
        assert found.value.code == "old_format"
    assert path.exists()
