"""Forms: how the Records that one Version answered are laid out, which of them are kept, and what of them is masked.

A masked field keeps its column and its type, but every value of it is missing (null): zeros would look like data to
whoever watches or learns from the Stream. The field's metadata says `masked`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import OUTPUT_PREFIX, RECORD_ID, RECORD_TIME, RECORD_TRACE, RECORD_VERSION
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.tables import arrow_type, numpy_type

_MOMENT = pa.timestamp("us", tz="UTC")
_TRACE = pa.field(RECORD_TRACE, pa.string())
_MASKED = {"masked": "true"}
_WEIGHT, _ROW = 200, 100  # bytes that a request, and a row's id, time and place in lists take, about

Arrays = dict[str, NDArray[Any]]


class Place(NamedTuple):
    """A column: of which Field, by which prefix."""

    prefix: str
    field: Field

    def of(self, inputs: Arrays, outputs: Arrays) -> NDArray[Any]:
        """Its array in an exchange."""
        return (outputs if self.prefix else inputs)[self.field.name]


class Form:
    """How Records that one Version answered are laid out; `mask` names the fields whose values are never kept.

    A request of n rows weighs about `weight` + n * `width` bytes, besides values without a fixed size. Those with one
    are `solid`, and one row of them is as `packed` says; the others are `loose`.
    """

    def __init__(self, version: int, signature: Signature, mask: Sequence[str] = ()) -> None:
        self.version = version
        self.batched = signature.batched
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        self.masked = _masked(version, signature, mask)
        self.kept_inputs = tuple(field for field in signature.inputs if field.name not in self.masked)
        self.kept_outputs = tuple(field for field in signature.outputs if field.name not in self.masked)
        places = [Place("", field) for field in self.kept_inputs]
        places += [Place(OUTPUT_PREFIX, field) for field in self.kept_outputs]
        self.solid = tuple(place for place in places if _solid(place.field))
        self.loose = tuple(place for place in places if not _solid(place.field))
        self.packed = np.dtype(
            [(str(n), numpy_type(field.dtype), field.shape) for n, (_, field) in enumerate(self.solid)]
        )
        self._inputs = _picking([field.name for prefix, field in self.solid if not prefix])
        self._outputs = _picking([field.name for prefix, field in self.solid if prefix])
        self.weight = _WEIGHT
        self.width = _ROW + sum(_width(field) for field in (*signature.inputs, *signature.outputs))
        self.schema = pa.schema(
            [
                (RECORD_ID, pa.string()),
                (RECORD_TIME, _MOMENT),
                (RECORD_VERSION, pa.int32()),
                *(self._column(field, "") for field in signature.inputs),
                *(self._column(field, OUTPUT_PREFIX) for field in signature.outputs),
            ]
        )

    def pack(self, inputs: Arrays, outputs: Arrays) -> bytes:
        """The solid values of one row."""
        arrays = (*self._inputs(inputs), *self._outputs(outputs))
        try:
            return b"".join(arrays)
        except TypeError:  # values that are not one after the other in memory are no buffer
            return b"".join([array.tobytes() for array in arrays])

    def _column(self, field: Field, prefix: str) -> pa.Field:
        metadata = _MASKED if field.name in self.masked else None
        return pa.field(prefix + field.name, arrow_type(field), metadata=metadata)

    def batch(
        self,
        ids: Sequence[str] | pa.Array,
        times: NDArray[np.int64],
        columns: Mapping[tuple[str, Field], pa.Array],
        traces: Sequence[str | None] | pa.Array | None = None,
    ) -> pa.RecordBatch:
        """Records of these ids, times (microseconds since 1970) and columns by prefix and Field; null where masked."""
        rows = len(ids)
        arrays = [
            _texts(ids),
            pa.array(times).cast(_MOMENT),
            pa.array(np.full(rows, self.version, dtype=np.int32)),
        ]
        places = [Place("", field) for field in self.inputs] + [Place(OUTPUT_PREFIX, field) for field in self.outputs]
        for place in places:
            found = columns.get(place)
            arrays.append(pa.nulls(rows, arrow_type(place[1])) if found is None else found)
        schema = self.schema
        if traces is not None:
            schema = schema.append(_TRACE)
            arrays.append(_texts(traces))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


New = tuple[Form, Sequence[str], int, Arrays, Arrays, str]
"""One answered request: Form, ids, microseconds since 1970, inputs, outputs, trace."""


class Numbered(Sequence[str]):
    """The ids of a request of several records: its own, a colon and the row. Made only where somebody reads them.

    >>> list(Numbered("r", 3))
    ['r:0', 'r:1', 'r:2']
    """

    __slots__ = ("rows", "stem")

    def __init__(self, stem: str, rows: int) -> None:
        self.stem = stem
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [f"{self.stem}:{at}" for at in range(self.rows)[row]]
        return f"{self.stem}:{range(self.rows)[row]}"


class Sample:
    """Which exchanges are recorded: a share of them, chosen by a hash of the id.

    So all workers, and whoever has a label for a Record later, agree on which they are. The rows of one request go
    together, as their ids differ only in the number behind the last colon.

    >>> sample = Sample(0.25)
    >>> sum(sample.takes(f"r{i}") for i in range(10_000)) // 100
    25
    """

    def __init__(self, share: float) -> None:
        self._below = int(share * 2**32)

    def takes(self, id: str) -> bool:
        """Whether the exchange with this id is recorded."""
        stem, colon, row = id.rpartition(":")
        if not (colon and row.isdecimal()):
            stem = id
        mixed = zlib.crc32(stem.encode()) * 0x9E3779B97F4A7C15 % 2**64  # a CRC alone is too regular
        return mixed >> 32 < self._below

    def of(self, new: New) -> New | None:
        """The rows of a request that are recorded, None where none is."""
        form, ids, micros, inputs, outputs, trace = new
        kept = [row for row, id in enumerate(ids) if self.takes(id)]
        if not kept or len(kept) == len(ids):
            return new if kept else None
        inputs = {name: values[kept] for name, values in inputs.items()}
        outputs = {name: values[kept] for name, values in outputs.items()}
        return form, [ids[row] for row in kept], micros, inputs, outputs, trace


@dataclass(frozen=True, slots=True)
class Together:
    """Requests answered with one Form: the ids of all rows, and times, inputs, outputs and traces by request.

    `counts` are the rows of each request, empty where every one has one; `size` is about what they weigh in bytes.
    """

    form: Form
    ids: list[str]
    counts: tuple[int, ...]
    micros: tuple[int, ...]
    inputs: tuple[Arrays, ...]
    outputs: tuple[Arrays, ...]
    traces: tuple[str, ...]
    size: int

    @classmethod
    def of(cls, found: Sequence[New]) -> Together | None:
        """Requests of one Form; None for none."""
        if not found:
            return None
        forms, names, micros, inputs, outputs, traces = zip(*found, strict=True)
        form = forms[0]
        ids = [*chain.from_iterable(names)]
        size = form.weight * len(names) + form.width * len(ids)
        counts = () if len(ids) == len(names) else tuple(map(len, names))
        return cls(form, ids, counts, micros, inputs, outputs, traces, size)


def _texts(values: Sequence[str | None] | pa.Array) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, pa.string())


def _picking(names: list[str]) -> Callable[[Arrays], tuple[Any, ...]]:
    """What takes these arrays out of many."""
    if len(names) > 1:
        return itemgetter(*names)
    return (lambda arrays: (arrays[names[0]],)) if names else lambda arrays: ()


def _solid(field: Field) -> bool:
    return field.dtype is not DType.BYTES and -1 not in field.shape


def _width(field: Field) -> int:
    if field.dtype is DType.BYTES:
        return 60 * prod(max(1, size) for size in field.shape)
    return 0 if -1 in field.shape else numpy_type(field.dtype).itemsize * prod(field.shape)


def _masked(version: int, signature: Signature, mask: Sequence[str]) -> frozenset[str]:
    names = [field.name for field in (*signature.inputs, *signature.outputs)]
    for name in mask:
        if name not in names:
            raise Refused(
                f"Serving.mask names '{name}', which v{version} neither takes nor gives; "
                f"it has: {', '.join(dict.fromkeys(names))}",
                code="unknown_mask",
            )
    return frozenset(mask)
