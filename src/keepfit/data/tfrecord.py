"""TFRecord: records in frames with checksums, each a `tf.Example`; neither TensorFlow nor protobuf is needed.

A frame is its length (8 bytes), the masked CRC of these, the bytes, and the masked CRC of those (TensorFlow's
`core/lib/io/record_writer.h`); an Example maps names to lists of bytes, floats or whole numbers (`example.proto`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from keepfit.core.errors import DataInvalid
from keepfit.data.checksums import crc32c
from keepfit.data.skips import Skips
from keepfit.data.sources import File
from keepfit.data.wire import Feature, encode_example, features_of

_ROWS = 4096
_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_FRAME = struct.Struct("<QI")
_LONGEST = 1 << 31
_GZIP = b"\x1f\x8b"

Row = dict[str, Feature]


def is_tfrecord(file: File) -> bool:
    """Whether a file begins with a frame: a length whose checksum is right."""
    try:
        with _opened(file) as stream:
            head = stream.read(_FRAME.size)
    except (pa.ArrowException, OSError, EOFError):
        return False
    return len(head) == _FRAME.size and _masked([head[:8]])[0] == _CRC.unpack_from(head, 8)[0]


def scan_tfrecord(file: File, skips: Skips) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    """The columns of a file, told from all its rows, and its batches.

    A feature that never has more than one value in a row is a column of values, any other one of lists; bytes that are
    all UTF-8 are text.
    """
    seen: dict[str, _Seen] = {}
    first: list[tuple[int, Row]] = []
    whole = True
    for rows in _examples(file, Skips(allowed=skips.allowed)):
        _see(seen, rows, file, Skips(allowed=skips.allowed))
        whole, first = (True, rows) if not first else (False, first)
    fields = [pa.field(name, told.type) for name, told in seen.items()]
    schema = pa.schema(fields)

    if whole and first and not skips.allowed:
        return schema, partial(iter, [_batch([row for _, row in first], schema)])
    return schema, partial(_batches, file, {name: told.kind for name, told in seen.items()}, schema, skips)


def _batches(file: File, kinds: Mapping[str, str], schema: pa.Schema, skips: Skips) -> Iterator[pa.RecordBatch]:
    skips.clear()
    for rows in _examples(file, skips):
        yield _batch(_see({name: _Seen(kind) for name, kind in kinds.items()}, rows, file, skips), schema)


def write_tfrecord(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as Examples; None leaves a feature out, lists are lists, text becomes UTF-8. `.gz` is compressed."""
    with pa.output_stream(str(path), compression="detect") as out:
        for row in rows:
            data = encode_example(row)
            length = _LENGTH.pack(len(data))
            head, body = _masked([length, data])
            out.write(length + _CRC.pack(head) + data + _CRC.pack(body))


@dataclass
class _Seen:
    """What the values of a feature are, and the most that one row had."""

    kind: str
    most: int = 0
    text: bool = True
    row: int = 1

    @property
    def type(self) -> pa.DataType:
        one = {"float": pa.float32(), "int64": pa.int64(), "": pa.null()}.get(self.kind)
        if one is None:
            one = pa.string() if self.text else pa.binary()
        return pa.list_(one) if self.most > 1 else one


def _see(seen: dict[str, _Seen], rows: Sequence[tuple[int, Row]], file: File, skips: Skips) -> list[Row]:
    """Note what the features are; the rows whose features are what they were before."""
    sound = []
    for number, row in rows:
        odd = next((name for name, one in row.items() if _differs(seen.get(name), one)), None)
        if odd is not None:
            was = seen[odd]
            skips.broken(
                f"{file}, record {number}: feature '{odd}': expected {was.kind} as in record {was.row}, "
                f"found {row[odd].kind}"
            )
            continue
        for name, one in row.items():
            told = seen.setdefault(name, _Seen(one.kind, row=number))
            if not told.kind and one.kind:
                told.kind, told.row = one.kind, number
            told.most = max(told.most, len(one.values))
            told.text = told.text and (one.kind != "bytes" or all(map(_is_utf8, one.values)))
        sound.append(row)
    return sound


def _differs(was: _Seen | None, now: Feature) -> bool:
    return bool(was is not None and was.kind and now.kind and was.kind != now.kind)


def _is_utf8(value: Any) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _batch(rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for one in schema:
        lists = pa.types.is_list(one.type)
        inner = one.type.value_type if lists else one.type
        found = [row[one.name].values if one.name in row else None for row in rows]
        if not lists:
            found = [values[0] if values else None for values in found]
        if inner == pa.string():
            raw = pa.array(found, pa.list_(pa.binary()) if lists else pa.binary())
            columns.append(raw.cast(one.type))
        else:
            columns.append(pa.array(found, one.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _opened(file: File) -> Any:
    stream = file.unpacked()
    if file.suffixes & {".gz", ".zst", ".bz2", ".lz4"}:
        return stream
    with file.open() as opened:
        packed = opened.read(2) == _GZIP
    return pa.CompressedInputStream(stream, "gzip") if packed else stream


@dataclass
class _Frames:
    """Frames read but not yet checked."""

    first: int = 1
    lengths: list[bytes] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    crcs: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0


def _examples(file: File, skips: Skips) -> Iterator[list[tuple[int, Row]]]:
    """Lists of records with their numbers, from 1."""
    for frames in _frames(file, skips):
        count = len(frames.data)
        found = _masked([*frames.lengths, *frames.data])
        rows: list[tuple[int, Row]] = []
        for place in range(count):
            number = frames.first + place
            if found[place] != frames.crcs[place][0]:  # where the next record begins is not known either
                reason = f"{file}, record {number}: the checksum of its length is wrong; the rest cannot be read"
                skips.broken(reason)
                yield rows
                return
            if found[count + place] != frames.crcs[place][1]:
                skips.broken(f"{file}, record {number}: its checksum is wrong; the file was altered or cut")
                continue
            try:
                rows.append((number, features_of(frames.data[place])))
            except (ValueError, IndexError, struct.error) as error:
                skips.broken(f"{file}, record {number}: expected a tf.Example: {error}")
        yield rows


def _frames(file: File, skips: Skips) -> Iterator[_Frames]:
    frames, number = _Frames(), 0
    try:
        with _opened(file) as stream:
            while head := stream.read(_FRAME.size):
                number += 1
                length, crc = _FRAME.unpack(head) if len(head) == _FRAME.size else (0, 0)
                sure = length < _LONGEST or _masked([head[:8]])[0] == crc
                data = stream.read(length) if sure else b""
                tail = stream.read(_CRC.size) if sure else b"\0\0\0\0"
                if len(head) < _FRAME.size or (len(tail) < _CRC.size and _masked([head[:8]])[0] == crc):
                    yield frames
                    skips.broken(f"{file}, record {number}: the file ends within it")
                    return
                frames.lengths.append(head[:8])
                frames.data.append(data)
                frames.crcs.append((crc, int.from_bytes(tail, "little")))
                frames.size += len(data)
                if len(tail) < _CRC.size or not sure:
                    break
                if len(frames.data) >= _ROWS or frames.size > 1 << 24:
                    yield frames
                    frames = _Frames(number + 1)
        yield frames
    except (pa.ArrowException, OSError, EOFError) as error:
        raise DataInvalid(f"{file}: cannot be read: {error}") from error


def _masked(data: Sequence[bytes]) -> list[int]:
    """Checksums as TFRecord has them: rotated, and a constant added, for files that hold checksums."""
    return [((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF for crc in crc32c(data)]
