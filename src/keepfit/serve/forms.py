"""Forms: how the Records that one Version answered are laid out, which of them are kept, and what of them is masked.

A masked field keeps its column and its type, but every value of it is missing (null): zeros would look like data to
whoever watches or learns from the Stream. The field's metadata says `masked`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from math import prod
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import OUTPUT_PREFIX, RECORD_ID, RECORD_TIME, RECORD_TRACE, RECORD_VERSION
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.tables import arrow_type, numpy_type, to_batch

_MOMENT = pa.timestamp("us", tz="UTC")
_TRACE = pa.field(RECORD_TRACE, pa.string())
_MASKED = {"masked": "true"}
_OBJECT, _ROW = 160, 100  # bytes that an array, and a row's id, time and place in lists take, about

_TOGETHER, _LOOSE = 64, 16  # requests copied at once, and where their size is known only by looking
_HELD = 2**22  # bytes that requests which were not copied yet may keep in memory, about

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


class Form:
    """How Records that one Version answered are laid out; `mask` names the fields whose values are never kept.

    A request of n rows weighs about `weight` + n * `width` bytes, besides values without a fixed size. `together`
    requests are copied at once, or one alone of over `many` rows.
    """

    def __init__(self, version: int, signature: Signature, mask: Sequence[str] = ()) -> None:
        self.version = version
        self.batched = signature.batched
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        self.masked = _masked(version, signature, mask)
        self.kept_inputs = tuple(field for field in signature.inputs if field.name not in self.masked)
        self.kept_outputs = tuple(field for field in signature.outputs if field.name not in self.masked)
        fields = (*signature.inputs, *signature.outputs)
        self.weight = 400 + _OBJECT * len(fields)
        self.width = _ROW + sum(_width(field) for field in fields)
        most = _LOOSE if any(field.dtype is DType.BYTES or -1 in field.shape for field in fields) else _TOGETHER
        self.together = max(1, min(most, _HELD // self.width))
        self.many = _HELD // self.width // self.together
        self.schema = pa.schema(
            [
                (RECORD_ID, pa.string()),
                (RECORD_TIME, _MOMENT),
                (RECORD_VERSION, pa.int32()),
                *(self._column(field, "") for field in signature.inputs),
                *(self._column(field, OUTPUT_PREFIX) for field in signature.outputs),
            ]
        )

    def _column(self, field: Field, prefix: str) -> pa.Field:
        metadata = _MASKED if field.name in self.masked else None
        return pa.field(prefix + field.name, arrow_type(field), metadata=metadata)

    def batch(
        self,
        ids: Sequence[str],
        times: NDArray[np.int64],
        columns: Mapping[tuple[str, Field], pa.Array],
        traces: Sequence[str | None] | None = None,
    ) -> pa.RecordBatch:
        """Records of these ids, times (microseconds since 1970) and columns by prefix and Field; null where masked."""
        rows = len(ids)
        arrays = [
            pa.array(ids, pa.string()),
            pa.array(times).cast(_MOMENT),
            pa.array(np.full(rows, self.version, dtype=np.int32)),
        ]
        places = [("", field) for field in self.inputs] + [(OUTPUT_PREFIX, field) for field in self.outputs]
        for place in places:
            found = columns.get(place)
            arrays.append(pa.nulls(rows, arrow_type(place[1])) if found is None else found)
        schema = self.schema
        if traces is not None:
            schema = schema.append(_TRACE)
            arrays.append(pa.array(traces, pa.string()))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


New = tuple[Form, list[str], int, Arrays, Arrays, str]
"""One answered request: Form, ids, microseconds since 1970, inputs, outputs, trace."""


class Column:
    """The values of one Field: bytes, which are the quickest to join, or a list where they have no fixed size."""

    def __init__(self, field: Field, prefix: str = "") -> None:
        self.field = field
        self.name = field.name
        self.place = (prefix, field)
        self.pieces: list[Any] = []
        self.joined: Callable[[list[NDArray[Any]]], Any] = _bytes
        if -1 in field.shape:
            self.joined = _lists
        elif field.dtype is DType.BYTES:
            self.joined = _texts

    def size_of(self, piece: Any) -> int:
        """Bytes of a piece beyond the fixed width of its values."""
        return 0 if self.joined is _bytes else sum(map(len, piece))

    def arrow(self) -> pa.Array:
        """The column."""
        if self.joined is _bytes:
            values = np.frombuffer(b"".join(self.pieces), numpy_type(self.field.dtype))
        else:
            loose = [value for piece in self.pieces for value in piece]
            if self.joined is _lists:
                return pa.array(loose, arrow_type(self.field))
            values = np.array(loose, dtype=object)
        shaped = values.reshape(-1, *self.field.shape)
        return to_batch([self.field], {self.field.name: shaped}).column(0)


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

    def each(self, values: Sequence[T]) -> Iterable[T]:
        """What there is once by request, once by row."""
        if not self.counts:
            return values
        return chain.from_iterable(map(repeat, values, self.counts))


def _bytes(several: list[NDArray[Any]]) -> bytes:
    try:
        return b"".join(several)  # type: ignore[arg-type]  # arrays are buffers
    except TypeError:  # some are not, because their values are not one after the other in memory
        return b"".join([np.ascontiguousarray(values) for values in several])  # type: ignore[misc]  # as above


def _texts(arrays: list[NDArray[Any]]) -> list[str]:
    return [text for values in arrays for text in values.reshape(-1).tolist()]


def _lists(arrays: list[NDArray[Any]]) -> list[list[Any]]:
    return [row.reshape(-1).tolist() for values in arrays for row in values]


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
