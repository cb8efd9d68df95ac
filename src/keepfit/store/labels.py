"""Labels: of all that was ever told about a Record, what is in force at a moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.nouns import LABEL, LABEL_TIME, RECORD_ID
from keepfit.store import segments
from keepfit.store.logs import Piece, Rows, arrival, one, stacked
from keepfit.store.segments import TIME

NO_LABELS = pa.schema([(RECORD_ID, pa.string()), (LABEL, pa.null()), (LABEL_TIME, TIME)])
"""What Labels look like while there are none. No table: with its first array pyarrow imports pandas where it is."""


def in_force(pieces: Sequence[Piece], *, as_of: int | None, ids: pa.Array | None) -> pa.Table:
    """The latest Label received up to `as_of` (µs since 1970) of each of these ids, or of all.

    `_label_time` is when its value was first told, without another one since: telling it again changes nothing.
    """
    if ids is not None:
        hashes = segments.hash_ids(ids)
        pieces = [piece for piece in pieces if piece.contains(hashes).any()]
    rows = stacked(pieces, NO_LABELS.names, schema=NO_LABELS)
    chosen = np.arange(rows.num_rows)
    if ids is not None and len(ids) < rows.num_rows:
        chosen = np.flatnonzero(np.asarray(pc.is_in(one(rows[RECORD_ID]), value_set=ids)))
        rows = rows.take(pa.array(chosen))
    codes = pc.dictionary_encode(one(rows[RECORD_ID]))
    if as_of is None and len(codes.dictionary) == rows.num_rows:
        return rows  # as it mostly is: one Label for each
    return _latest(rows, np.asarray(codes.indices, np.int64), arrival(pieces)[chosen], as_of) if len(chosen) else rows


def _latest(rows: pa.Table, ids: Rows, place: Rows, as_of: int | None) -> pa.Table:
    times = segments.micros(rows[LABEL_TIME])
    values = pc.dictionary_encode(one(rows[LABEL]), null_encoding="encode").indices.to_numpy()
    order = np.lexsort((place, times, ids))
    if as_of is not None:
        order = order[times[order] <= as_of]
    ids, values = ids[order], values[order]
    begins = np.ones(len(order), np.bool_)  # of a run of equal labels of one id
    begins[1:] = (ids[1:] != ids[:-1]) | (values[1:] != values[:-1])
    runs = np.flatnonzero(begins)
    ends = np.ones(len(runs), np.bool_)  # the last run of its id
    ends[:-1] = ids[runs][1:] != ids[runs][:-1]
    return rows.take(pa.array(order[runs[ends]]))
