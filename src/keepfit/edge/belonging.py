"""Belonging: which Records are those of one person, machine or account."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.core.nouns import RECORD_ID, Digest
from keepfit.core.places import Places
from keepfit.store.blobs import Blobs
from keepfit.store.streams import Query, Stream


def records_of(entity: str, column: str, source: Digest, places: Places, service: str) -> set[str]:
    """The ids of the Records that have this value, written as text, in a column: of the first data and the Stream."""
    first = pq.read_table(Blobs(places.blobs).path(source), columns=[RECORD_ID, column])
    arrived = Stream(places.stream(service)).read(Query(columns=[RECORD_ID, column]))
    found: set[str] = set()
    for rows in (first, arrived):
        if column in rows.column_names:
            theirs = rows.filter(pc.equal(rows[column].cast(pa.string()), entity))
            found.update(theirs[RECORD_ID].cast(pa.string()).to_pylist())
    return found
