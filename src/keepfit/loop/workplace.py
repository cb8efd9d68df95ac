"""Workplace: what a step may touch, and how it reads and keeps tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.loop.pipeline import Work
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.streams import Stream


@dataclass(frozen=True)
class Workplace:
    """What a step may touch: the store, the declaration, and a folder of its own.

    `opened` is the Service's Stream where the process has it open already: it remembers files.
    """

    work: Work
    places: Places
    scratch: Path
    opened: Stream | None = None

    @cached_property
    def blobs(self) -> Blobs:
        """The store's files."""
        return Blobs(self.places.blobs)

    @cached_property
    def trees(self) -> Trees:
        """The store's directories."""
        return Trees(self.places.trees)

    @cached_property
    def specification(self) -> Specification:
        """The declaration the work was derived from."""
        return from_plain(Specification, msgspec.json.decode(self.blobs.get(self.work.specification)))

    @cached_property
    def stream(self) -> Stream:
        """The Service's Records and Labels."""
        return self.opened or Stream(self.places.stream(self.work.service))

    def table(self, name: str) -> pa.Table:
        """An input Dataset."""
        return pq.read_table(self.blobs.path(self.work.inputs[name]))

    def keep(self, table: pa.Table) -> Digest:
        """Store a Dataset; the same rows give the same bytes."""
        return stored(table, self.blobs)


def stored(table: pa.Table, blobs: Blobs) -> Digest:
    """The digest of a table that is now in the store; the same rows give the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd")
    return blobs.put(sink.getvalue().to_pybytes())


def values_of(column: pa.ChunkedArray) -> np.ndarray:
    """A column as one array: numbers, objects for text, one row per record for lists."""
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return np.array(column.to_pylist())
    array: np.ndarray = column.combine_chunks().to_numpy(zero_copy_only=False)
    return array.astype(object) if array.dtype.kind in "USO" else array
