"""Parquet and Arrow files: batches of rows without reading the whole file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import types

from keepfit.core.errors import DataInvalid
from keepfit.data.sources import File

if TYPE_CHECKING:
    import pyarrow.parquet as pq

PARQUET, ARROW = b"PAR1", b"ARROW1"
STREAM = b"\xff\xff\xff\xff"
"""What a Parquet file, an Arrow file and an Arrow IPC stream begin with."""

_REPEATING = 6  # bytes a value that fewer are spent on when a column's texts are stored by a dictionary


def _parquet() -> Any:
    """Arrow's reader of Parquet, which takes longer to import than a small file of text to read."""
    import pyarrow.parquet

    return pyarrow.parquet


def schema_of(file: File, head: bytes) -> pa.Schema:
    """The columns of a file, from its own description of itself."""
    with _told(file):
        if head[:4] == PARQUET:
            return _parquet().read_schema(file.seekable())
        with file.seekable() as opened:
            return (pa.ipc.open_file(opened) if head[:6] == ARROW else pa.ipc.open_stream(opened)).schema


def count(file: File, head: bytes) -> int | None:
    """How many rows there are, where a file tells without being read."""
    if head[:4] != PARQUET:
        return None
    return int(_parquet().read_metadata(file.seekable()).num_rows)


def batches(
    file: File, head: bytes, columns: Sequence[str] | None, *, rows: int, encoded: bool
) -> Iterator[pa.RecordBatch]:
    """Batches of at most so many rows; `encoded` leaves texts that repeat as indices into a dictionary."""
    with _told(file):
        if head[:4] == PARQUET:
            yield from _of_parquet(file, columns, rows, encoded)
            return
        with file.seekable() as opened:
            if head[:6] == ARROW:
                reader = pa.ipc.open_file(opened)
                found = (reader.get_batch(place) for place in range(reader.num_record_batches))
            else:
                found = iter(pa.ipc.open_stream(opened))
            for batch in found:
                yield batch if columns is None else batch.select(list(columns))


def _of_parquet(file: File, columns: Sequence[str] | None, rows: int, encoded: bool) -> Iterator[pa.RecordBatch]:
    repeating = _repeating(_parquet().read_metadata(file.seekable())) if encoded else []
    opened = _parquet().ParquetFile(file.seekable(), read_dictionary=repeating, pre_buffer=False)
    kept = None if columns is None else list(columns)
    for group in range(opened.num_row_groups):  # one by one, so that what was read is let go
        yield from opened.iter_batches(rows, row_groups=[group], columns=kept)


def _repeating(metadata: pq.FileMetaData) -> list[str]:
    """The texts that are stored by a dictionary: their columns are small for the number of their values."""
    schema = metadata.schema.to_arrow_schema()
    texts = {field.name for field in schema if types.is_string(field.type) or types.is_large_string(field.type)}
    sizes: dict[str, int] = dict.fromkeys(texts, 0)
    for group in range(metadata.num_row_groups):
        described = metadata.row_group(group)
        for place in range(described.num_columns):
            chunk = described.column(place)
            if chunk.path_in_schema in sizes:
                sizes[chunk.path_in_schema] += chunk.total_uncompressed_size
    return [name for name, size in sizes.items() if size < _REPEATING * metadata.num_rows]


class _told:  # noqa: N801 - reads as a sentence: with _told(file)
    """Turns what Arrow says of a broken file into a DataInvalid that names it."""

    def __init__(self, file: File) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, pa.ArrowException | OSError):
            raise DataInvalid(f"{self._file}: cannot be read: {error}") from error
