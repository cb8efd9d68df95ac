"""TFRecord: framing, checksums and Examples, without TensorFlow."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.core.errors import DataInvalid
from keepfit.data.checksums import crc32c
from keepfit.data.read import read
from keepfit.data.scan import scan
from keepfit.data.tfrecord import write_tfrecord
from keepfit.data.wire import encode_example, features_of

# RFC 3720, appendix B.4
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
    (b"123456789", 0xE3069283),
    (b"", 0),
    (b"a", 0xC1D04330),
]


def test_checksums_are_those_of_the_rfc() -> None:
    """The published examples come out, each by itself and all at once."""
    assert crc32c([data for data, _ in VECTORS]) == [crc for _, crc in VECTORS]
    assert [crc32c([data])[0] for data, _ in VECTORS] == [crc for _, crc in VECTORS]


def slow_crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=700), min_size=1, max_size=6))
def test_checksums_bit_by_bit(data: list[bytes]) -> None:
    """Whatever the lengths, the checksum is that of the textbook's loop."""
    assert crc32c(data) == [slow_crc32c(one) for one in data]


ROWS = [
    {"id": 1, "x": 0.5, "town": "Oslo", "tags": ["a", "b"], "v": [1.0, 2.0]},
    {"id": -7, "x": None, "town": "Rome", "tags": [], "v": [3.0]},
    {"id": 2**62, "x": 1.5, "tags": ["c"]},
]
EXPECTED = {
    "id": [1, -7, 2**62],
    "x": [0.5, None, 1.5],
    "town": ["Oslo", "Rome", None],
    "tags": [["a", "b"], [], ["c"]],
    "v": [[1.0, 2.0], [3.0], None],
}


@pytest.mark.parametrize("name", ["rows.tfrecord", "rows.tfrecord.gz", "part-00000-of-00001", "part-0.gz"])
def test_rows_come_back(tmp_path: Path, name: str) -> None:
    """What was written is read, compressed or not, whatever its name; one value a row is a column, more are lists."""
    write_tfrecord(tmp_path / name, ROWS)
    assert read(tmp_path / name).to_pydict() == EXPECTED


EXAMPLE = """
name: "example.proto" package: "tensorflow" syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "FloatList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT options { packed: PACKED } } }
message_type { name: "Int64List"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 options { packed: PACKED } } }
message_type { name: "Feature"
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE type_name: ".tensorflow.BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE type_name: ".tensorflow.FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE type_name: ".tensorflow.Int64List" oneof_index: 0 }
  oneof_decl { name: "kind" } }
message_type { name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE
    type_name: ".tensorflow.Features.FeatureEntry" }
  nested_type { name: "FeatureEntry"
    field { name: "key" number: 1 type: TYPE_STRING }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".tensorflow.Feature" }
    options { map_entry: true } } }
message_type { name: "Example" field { name: "features" number: 1 type: TYPE_MESSAGE
  type_name: ".tensorflow.Features" } }
"""


@pytest.mark.parametrize("packed", ["true", "false"])
def test_examples_as_protobuf_has_them(packed: str) -> None:
    """What protobuf writes under the published message is read, packed or not, and what is written protobuf reads."""
    described = text_format.Parse(EXAMPLE.replace("PACKED", packed), descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    Example = message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
    theirs = Example()
    feature = theirs.features.feature
    feature["x"].float_list.value.extend([0.5, -1.5])
    feature["n"].int64_list.value.extend([-1, 3, 2**63 - 1])
    feature["s"].bytes_list.value.extend([b"hi", b""])
    feature["none"].SetInParent()
    found = features_of(theirs.SerializeToString())
    assert {name: (one.kind, one.values) for name, one in found.items()} == {
        "x": ("float", [0.5, -1.5]),
        "n": ("int64", [-1, 3, 2**63 - 1]),
        "s": ("bytes", [b"hi", b""]),
        "none": ("", []),
    }
    ours = Example.FromString(encode_example({"x": [0.5, -1.5], "n": [-1, 3, 2**63 - 1], "s": ["hi", ""]}))
    assert ours.features.feature["n"].int64_list.value == [-1, 3, 2**63 - 1]
    assert ours.features.feature["s"].bytes_list.value == [b"hi", b""]
    assert ours.features.feature["x"].float_list.value == [0.5, -1.5]


PLACES = [0, 5, 8, 11, 13, 40]


@pytest.mark.parametrize("place", PLACES)
def test_every_changed_byte_is_noticed(tmp_path: Path, place: int) -> None:
    """A byte changed in the length, in a checksum or in the data refuses the record by number."""
    path = tmp_path / "rows.tfrecord"
    write_tfrecord(path, ROWS)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(DataInvalid, match=r"rows\.tfrecord, record 1: .*(checksum|ends within)"):
        read(path)


def test_a_broken_record_is_skipped_and_counted(tmp_path: Path) -> None:
    """With skip_broken, a record with a wrong checksum is left out and the others are read."""
    path = tmp_path / "rows.tfrecord"
    write_tfrecord(path, [{"i": place} for place in range(10)])
    data = bytearray(path.read_bytes())
    size = len(data) // 10
    data[3 * size + 14] ^= 1
    path.write_bytes(data)
    found = scan(path, skip_broken=True)
    assert found.table()["i"].to_pylist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert (found.skipped, len(found.reasons)) == (1, 1)
    assert "record 4: its checksum is wrong" in found.reasons[0]


@pytest.mark.parametrize("cut", [1, 9, 20])
def test_a_cut_file_says_so(tmp_path: Path, cut: int) -> None:
    """A file that ends within a record is refused, or read up to there."""
    path = tmp_path / "rows.tfrecord"
    write_tfrecord(path, [{"i": place} for place in range(3)])
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * len(whole) // 3 + cut])
    with pytest.raises(DataInvalid, match="record 3: the file ends within it"):
        read(path)
    assert read(path, skip_broken=True)["i"].to_pylist() == [0, 1]


def test_a_feature_that_changes_its_kind(tmp_path: Path) -> None:
    """A feature of numbers that turns to text names the record and the one before."""
    path = tmp_path / "rows.tfrecord"
    write_tfrecord(path, [{"i": 1}, {"i": "one"}, {"i": 3}])
    with pytest.raises(DataInvalid, match="record 2: feature 'i': expected int64 as in record 1, found bytes"):
        read(path)
    assert read(path, skip_broken=True)["i"].to_pylist() == [1, 3]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A column in which one value is not UTF-8 is bytes."""
    path = tmp_path / "rows.tfrecord"
    write_tfrecord(path, [{"s": b"ok"}, {"s": b"\xff"}])
    assert read(path).schema.field("s").type == pa.binary()


def test_more_records_than_a_batch(tmp_path: Path) -> None:
    """Thousands of records come in their order; the types are told from all of them."""
    path = tmp_path / "rows.tfrecord.gz"
    write_tfrecord(path, ({"i": place, "v": [0.5] if place < 9000 else [0.5, 1.0]} for place in range(9001)))
    found = read(path)
    assert found["i"].to_pylist() == list(range(9001))
    assert found["v"][0].as_py() == [0.5]
    assert gzip.decompress(path.read_bytes())[:8] == np.uint64(len(encode_example({"i": 0, "v": [0.5]}))).tobytes()


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_an_example_or_refused(data: bytes) -> None:
    """Bytes that are no Example raise ValueError or IndexError, never anything else."""
    try:
        features = features_of(data)
    except (ValueError, IndexError):
        return
    assert all(isinstance(name, str) for name in features)
