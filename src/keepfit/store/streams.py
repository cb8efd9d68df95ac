"""Stream: a Service's append-only Records and the Labels that follow them, read as one table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.nouns import LABEL_TIME, RECORD_ID, RECORD_TIME
from keepfit.store import segments
from keepfit.store.compaction import Erased, compact, erase
from keepfit.store.labels import in_force
from keepfit.store.logs import Distinct, Log, Piece
from keepfit.store.reading import Query, joined, micros_of
from keepfit.store.writers import LABELS, RECORDS, LabelWriter, SegmentWriter

__all__ = ["Counts", "LabelWriter", "Query", "SegmentWriter", "Stream"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Counts:
    """What a Stream holds: Records captured, different Records labelled, first and last record time."""

    records: int
    labels: int
    first: datetime | None
    last: datetime | None


class Stream:
    """Reads the Records and Labels of one Service, while others write them; keep the object, it remembers files."""

    def __init__(self, root: Path) -> None:
        self._records = Log(root / RECORDS, RECORD_TIME)
        self._labels = Log(root / LABELS, LABEL_TIME)
        self._labelled = Distinct()

    def counts(self) -> Counts:
        """What there is by now; neither falls when duplicates come or when segments are compacted."""
        labels = self._labels.consistently(self._labelled.count)
        return self._records.consistently(lambda pieces: _counts(pieces, labels))

    def known(self, ids: Sequence[str]) -> list[bool]:
        """For each id whether a Record of it was captured (by its 64-bit hash: wrong once in 10^12 at millions)."""
        if not len(ids):
            return []
        hashes = segments.hash_ids(pa.array(ids, pa.string()))
        return self._records.consistently(lambda pieces: _known(pieces, hashes))

    def read(self, query: Query = Query()) -> pa.Table:
        """The Records that a Query asks for (all, by default), with their Labels.

        Of several Records with one id the earliest counts, of several Labels the latest; the same Label sent again
        changes nothing.
        """
        as_of = micros_of(query.as_of)

        def labels(ids: pa.Array | None) -> pa.Table:
            return self._labels.consistently(lambda pieces: in_force(pieces, as_of=as_of, ids=ids))

        return self._records.consistently(lambda pieces: joined(pieces, labels, query))

    def rows_of(self, ids: Collection[str]) -> pa.Table:
        """All rows of these Records as they were captured, without Labels, each as often as it came."""
        theirs = pa.array(sorted(ids), pa.string())
        hashes = segments.hash_ids(theirs)

        def found(pieces: Sequence[Piece]) -> list[pa.Table]:
            holding = [piece for piece in pieces if piece.schema and piece.contains(hashes).any()]
            tables = [piece.table(piece.schema.names) for piece in holding if piece.schema]
            return [rows.filter(pc.is_in(rows[RECORD_ID], value_set=theirs)) for rows in tables]

        return pa.concat_tables(
            [pa.table({RECORD_ID: pa.array([], pa.string())}), *self._records.consistently(found)],
            promote_options="permissive",
        )

    def compact(self) -> int:
        """Move sealed segments into Parquet files; how many there were. What `read` answers stays the same."""
        return compact(self._records.directory, RECORD_TIME) + compact(self._labels.directory, LABEL_TIME)

    def erase(self, ids: Collection[str]) -> Erased:
        """Have no Records and Labels of these ids any more, but for those `left` in segments that are being written.

        May be asked again at any time, also after a crash. Raises Unavailable while another process compacts.
        """
        records = erase(self._records.directory, RECORD_TIME, ids)
        return records + erase(self._labels.directory, LABEL_TIME, ids)


def _counts(pieces: Sequence[Piece], labels: int) -> Counts:
    if not pieces:
        return Counts(0, labels, None, None)
    first, last = min(piece.first for piece in pieces), max(piece.last for piece in pieces)
    return Counts(sum(piece.rows for piece in pieces), labels, _moment(first), _moment(last))


def _known(pieces: Sequence[Piece], hashes: segments.Hashes) -> list[bool]:
    known = np.zeros(len(hashes), np.bool_)
    for piece in pieces:
        known |= piece.contains(hashes)
    return [bool(one) for one in known]


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
