"""Relation: how much each column tells of a label, as mutual information, from a random sample of the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import types

from keepfit.core.errors import DataInvalid
from keepfit.data.profile.correlations import numbers_of
from keepfit.data.profile.hashing import Hashes, hash_texts, mix
from keepfit.data.profile.kinds import NUMBERS, Kind, kind_of

SAMPLED = 8192
"""So many rows are kept: the standard error of a small mutual information is about 0.01 nats."""

_BINS, _CATEGORIES = 10, 20

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Relation:
    """A sample of rows, drawn evenly: each value as one double (texts as a hash), the label first.

    `priorities` are the random numbers they were drawn by, ascending; of two samples joined the smallest stay.
    `ordered` says which columns are numbers.
    """

    names: tuple[str, ...]
    ordered: tuple[bool, ...]
    priorities: bytes
    cells: bytes

    @property
    def rows(self) -> int:
        """How many rows are in the sample."""
        return len(self.priorities) // 8

    def __or__(self, other: Relation) -> Relation:
        if self.names != other.names:
            raise DataInvalid(f"relations of {self.names} and of {other.names} cannot be added")
        priorities = np.concatenate([np.frombuffer(one.priorities, "<u8") for one in (self, other)])
        cells = np.concatenate([one._table() for one in (self, other)])
        kept = np.argsort(priorities, kind="stable")[:SAMPLED]
        ordered = tuple(a and b for a, b in zip(self.ordered, other.ordered, strict=True))
        return Relation(self.names, ordered, priorities[kept].tobytes(), cells[kept].tobytes())

    def information(self) -> tuple[tuple[str, float], ...]:
        """Mutual information of each column with the label in nats, the most telling first.

        Numbers fall into ten bins of equal rows, other values into the twenty most frequent and the rest; corrected
        for chance as in Miller (1955).
        """
        table = self._table()
        label = _coded(table[:, 0], ordered=self.ordered[0])
        told = [
            (name, information(_coded(table[:, place], ordered=self.ordered[place]), label))
            for place, name in enumerate(self.names)
            if place
        ]
        return tuple(sorted(told, key=lambda pair: (-pair[1], pair[0])))

    def entropy(self) -> float:
        """The entropy of the label in nats: the most a column can tell."""
        label = _coded(self._table()[:, 0], ordered=self.ordered[0])
        shares = np.bincount(label) / max(label.size, 1)
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum()) if label.size else 0.0

    def _table(self) -> NDArray[np.float64]:
        return np.frombuffer(self.cells, "<f8").reshape(-1, len(self.names))


def relate(batch: pa.RecordBatch, label: str, *, start: int) -> Relation:
    """Draw from a batch; `start` is the number of rows before it, which makes its random numbers its own."""
    others = [field.name for field in batch.schema if field.name != label and _told(kind_of(field.type))]
    names = (label, *others)
    priorities = mix(np.arange(start, start + batch.num_rows, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    kept = np.argpartition(priorities, SAMPLED)[:SAMPLED] if priorities.size > SAMPLED else np.arange(priorities.size)
    kept = kept[np.argsort(priorities[kept])]
    rows = batch.select(list(names)).take(pa.array(kept))
    cells = np.column_stack([_cells(rows.column(name)) for name in names])
    ordered = tuple(kind_of(batch.schema.field(name).type) in NUMBERS for name in names)
    return Relation(names, ordered, priorities[kept].tobytes(), np.ascontiguousarray(cells).tobytes())


def _told(kind: Kind) -> bool:
    return kind not in (Kind.TENSOR, Kind.OTHER)


def _cells(column: pa.Array) -> NDArray[np.float64]:
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = kind_of(column.type)
    if kind in NUMBERS:
        return numbers_of(column)
    found = np.full(len(column), np.nan)
    valid = np.asarray(column.is_valid())
    if kind is Kind.BOOLEAN:
        found[valid] = np.asarray(column.drop_null().to_numpy(zero_copy_only=False)).astype(np.float64)
    elif kind is Kind.TEXT:
        if types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        hashes: Hashes = hash_texts(column.drop_null())
        found[valid] = hashes >> np.uint64(11)  # as many bits as a double keeps
    return found


def _coded(values: NDArray[np.float64], *, ordered: bool) -> Codes:
    """Small whole numbers for values; 0 for a missing one."""
    known = ~np.isnan(values)
    different, counts = np.unique(values[known], return_counts=True)
    codes = np.zeros(values.size, np.int64)
    if ordered and different.size > _BINS:
        cuts = np.unique(np.quantile(values[known], np.arange(1, _BINS) / _BINS, method="lower"))
        codes[known] = 1 + np.searchsorted(cuts, values[known], side="left")
        return codes
    frequent = np.sort(different[np.argsort(-counts, kind="stable")[:_CATEGORIES]])
    if frequent.size:
        places = np.minimum(np.searchsorted(frequent, values[known]), frequent.size - 1)
        codes[known] = np.where(frequent[places] == values[known], 1 + places, 1 + frequent.size)
    return codes


def information(a: Codes, b: Codes) -> float:
    """Mutual information of two codings of the same rows, in nats, less what chance alone would show."""
    if not a.size:
        return 0.0
    table = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1)).reshape(a.max() + 1, -1)
    share = table / a.size
    rows, columns = share.sum(1, keepdims=True), share.sum(0, keepdims=True)
    seen = share > 0
    told = float((share[seen] * np.log(share[seen] / (rows @ columns)[seen])).sum())
    used = (int((rows > 0).sum()) - 1) * (int((columns > 0).sum()) - 1)
    return max(0.0, told - used / (2 * a.size)) if math.isfinite(told) else 0.0
