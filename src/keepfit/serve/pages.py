"""Pages: Records of one Form on their way to the Stream, column by column.

What belongs to a Record is copied when its request is answered. To keep the arrays and copy many of them later is less
work on paper, but then no request finds the memory of the one before it free: all of it takes longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.core.signature import Field
from keepfit.serve.forms import Arrays, Form, Numbered
from keepfit.serve.wire.tables import arrow_type, numpy_type, to_batch


class Page:
    """Room for `room` Records of one Form, and for texts and lists of about `most` bytes; with traces where `traced`.

    What always has the same size has its place in memory from the beginning, which is used again after `clear`.
    """

    def __init__(self, form: Form, room: int, *, most: int, traced: bool) -> None:
        self.form = form
        self.room = room
        self._most = most
        self._solid = [np.empty((room, *field.shape), numpy_type(field.dtype)) for _, field in form.solid]
        columns = [(place, column, column[:1].nbytes) for place, column in zip(form.solid, self._solid, strict=True)]
        self._inputs = [(place.field.name, column, width) for place, column, width in columns if not place.prefix]
        self._outputs = [(place.field.name, column, width) for place, column, width in columns if place.prefix]
        self.clear(traced)

    def clear(self, traced: bool) -> None:
        """Begin anew."""
        self.traced = traced
        self.count = self._settled = self._heft = 0
        self.full = False
        self._ids: list[str | Numbered] = []
        self._times: list[int] = []
        self._traces: list[str] = []
        self._many: dict[int, int] = {}  # the rows of requests that have several, by their place among all requests
        self._packed: list[bytes] = []  # requests of one row which are not in the columns yet
        self._loose: list[list[Any]] = [[] for _ in self.form.loose]

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return self.form.weight * len(self._times) + self.form.width * self.count + self._heft

    def put(self, ids: Sequence[str], micros: int, inputs: Arrays, outputs: Arrays, trace: str) -> None:
        """Copy a request in, all of it or (whatever is raised) nothing."""
        form, rows = self.form, len(ids)
        loose = [_loosened(place.of(inputs, outputs), place.field) for place in form.loose] if form.loose else ()
        if rows == 1:
            packed = form.pack(inputs, outputs)
            if len(packed) != form.packed.itemsize:
                raise DataInvalid(f"a record of {form.packed.itemsize} bytes came with {len(packed)}")
            self._packed.append(packed)
            self._ids.append(ids[0])
        else:
            self._put_many(rows, inputs, outputs)
            self._ids += [ids] if isinstance(ids, Numbered) else ids
            self._many[len(self._times)] = rows
        self._times.append(micros)
        self.count += rows
        if self.traced:
            self._traces.append(trace)
        if loose:
            self._keep(loose)

    def _put_many(self, rows: int, inputs: Arrays, outputs: Arrays) -> None:
        self._settle()
        end = self._settled + rows
        where = slice(self._settled, end)
        for arrays, columns in ((inputs, self._inputs), (outputs, self._outputs)):
            for name, column, width in columns:
                array = arrays[name]
                if array.nbytes != rows * width:
                    raise DataInvalid(f"'{name}': {rows} records of {width} bytes came with {array.nbytes}")
                column[where] = array
        self._settled = end  # last: what was copied before an error is written over

    def _keep(self, loose: Sequence[list[Any]]) -> None:
        for values, more in zip(self._loose, loose, strict=True):
            values += more
            self._heft += sum(map(len, more))
        self.full = self.size >= self._most

    def _settle(self) -> None:
        """Take the requests of one row apart."""
        if self._packed:
            end = self._settled + len(self._packed)
            rows = np.frombuffer(b"".join(self._packed), self.form.packed, len(self._packed))
            for place, column in enumerate(self._solid):
                column[self._settled : end] = rows[str(place)]
            self._packed.clear()
            self._settled = end

    def batch(self) -> pa.RecordBatch:
        """The Records; a view of this memory, of use until `clear`."""
        self._settle()
        columns: dict[tuple[str, Field], pa.Array] = {
            place: _arrow(place.field, column[: self.count])
            for place, column in zip(self.form.solid, self._solid, strict=True)
        }
        for place, values in zip(self.form.loose, self._loose, strict=True):
            columns[place] = _arrow_of_loose(place.field, values)
        counts = np.ones(len(self._times), np.int64)
        counts[list(self._many)] = list(self._many.values())
        times = np.repeat(np.array(self._times, np.int64), counts)
        traces = None
        if self.traced:
            traces = pa.array([trace or None for trace in self._traces], pa.string())
            traces = traces.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
        return self.form.batch(_ids(self._ids), times, columns, traces)


def _ids(ids: Iterable[str | Numbered]) -> pa.Array:
    pieces = [
        _numbered([one for one in some if isinstance(one, Numbered)])
        if kind is Numbered
        else pa.array(some, pa.string())
        for kind, some in groupby(ids, type)
    ]
    return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)


def _numbered(several: list[Numbered]) -> pa.Array:
    """Their texts, put together as bytes: to make each of them a str takes ten times as long."""
    stems = [f"{ids.stem}:".encode() for ids in several]
    counts = [ids.rows for ids in several]
    numbers = [b"%d" % row for row in range(max(counts))]
    digits = np.array([len(number) for number in numbers])
    # joined by the stem, as in b"r:".join((b"", b"0", b"1")) == b"r:0r:1"
    texts = [stem.join((b"", *numbers[:rows])) for stem, rows in zip(stems, counts, strict=True)]
    lengths = np.concatenate([digits[:rows] + len(stem) for stem, rows in zip(stems, counts, strict=True)])
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))


def _loosened(array: NDArray[Any], field: Field) -> list[Any]:
    if -1 in field.shape:
        return [row.reshape(-1).tolist() for row in array]
    return array.reshape(-1).tolist()


def _arrow_of_loose(field: Field, values: list[Any]) -> pa.Array:
    if -1 in field.shape:
        return pa.array(values, arrow_type(field))
    return _arrow(field, np.array(values, dtype=object).reshape(-1, *field.shape))


def _arrow(field: Field, values: NDArray[Any]) -> pa.Array:
    return to_batch([field], {field.name: values}).column(0)
