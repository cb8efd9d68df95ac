"""Capture: every answered row reaches the sink once, whatever the sink does, and the caller never waits."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import toys
from keepfit.core.clock import ManualClock, SystemClock
from keepfit.core.errors import StorageFault
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.capture import Capture, Form, ticker
from keepfit.store.streams import SegmentWriter, Stream

MICROS = 1_000_000


class Sink:
    """Keeps batches; fails while `broken`; waits while `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []
        self.broken = False
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def append(self, batch: pa.RecordBatch) -> None:
        self.gate.wait()
        if self.broken:
            raise StorageFault("no room")
        self.batches.append(batch)

    def close(self) -> None:
        self.closed = True

    @property
    def rows(self) -> list[dict[str, object]]:
        return [row for batch in self.batches for row in batch.to_pylist()]


def outputs(rows: int) -> dict[str, np.ndarray]:
    return {"prediction": np.arange(rows), "probability": np.linspace(0, 1, rows, dtype=np.float32)}


def add(capture: Capture, form: Form, start: int, rows: int) -> None:
    capture.add(
        form, [f"r{i}" for i in range(start, start + rows)], MICROS, toys.examples(toys.COLUMNS, rows), outputs(rows)
    )


def test_records_hold_every_type() -> None:
    """Ids, time, Version, inputs of all kinds (missing ones too) and outputs, typed by the Signature."""
    sink = Sink()
    capture = Capture(sink)
    form = Form(7, toys.COLUMNS)
    add(capture, form, 0, 3)
    capture.close()
    assert sink.closed
    (batch,) = sink.batches
    assert batch.schema.equals(form.schema)
    inputs = toys.examples(toys.COLUMNS, 3)
    first, second, _ = batch.to_pylist()
    assert first["_id"] == "r0"
    assert first["_time"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert first["_version"] == 7
    assert (first["city"], first["new"], first["count"]) == ("Rome", True, inputs["count"][0])
    assert np.isnan(second["amount"])
    assert second["_out_probability"] == 0.5


def test_tensors_and_free_dimensions() -> None:
    """A tensor is a list of fixed size; one with a free dimension a list as long as it came."""
    signature = Signature(
        (Field("x", DType.FP32, (2,)), Field("free", DType.FP32, (-1,)), Field("words", DType.BYTES, (2,))),
        (Field("y", DType.INT64),),
    )
    sink = Sink()
    capture = Capture(sink)
    for i in (1, 3):
        inputs = {
            "x": np.full((2, 2), i, dtype=np.float32),
            "free": np.full((2, i), i, dtype=np.float32),
            "words": np.array([["a", "b"], ["c", "d"]], dtype=object),
        }
        capture.add(Form(1, signature), [f"{i}a", f"{i}b"], MICROS, inputs, {"y": np.array([i, i])})
    capture.close()
    assert [row["free"] for row in sink.rows] == [[1.0], [1.0], [3.0] * 3, [3.0] * 3]
    assert [row["x"] for row in sink.rows] == [[1.0, 1.0]] * 2 + [[3.0, 3.0]] * 2
    assert sink.rows[1]["words"] == ["c", "d"]


def test_nothing_is_lost_or_doubled_under_load() -> None:
    """100,000 rows in requests of all sizes, of two Versions, arrive each once and in order."""
    sink = Sink()
    capture = Capture(sink, rows=500, interval=0.001)
    forms = [Form(1, toys.COLUMNS), Form(2, toys.COLUMNS)]
    start = 0
    for turn in range(2000):
        rows = 1 + (turn * 7) % 99
        add(capture, forms[turn // 100 % 2], start, rows)
        start += rows
        if turn % 500 == 0:
            capture.flush()
            assert len(sink.rows) == start
    capture.close()
    assert [row["_id"] for row in sink.rows] == [f"r{i}" for i in range(start)]
    assert (capture.captured, capture.lost) == (start, 0)


def test_what_the_sink_cannot_take_is_counted() -> None:
    """A full disk loses rows, says how many, and capture works again when there is room."""
    sink = Sink()
    capture = Capture(sink)
    form = Form(1, toys.COLUMNS)
    add(capture, form, 0, 10)
    capture.flush()
    sink.broken = True
    add(capture, form, 10, 20)
    capture.flush()
    sink.broken = False
    add(capture, form, 30, 5)
    capture.close()
    assert (capture.captured, capture.lost) == (15, 20)
    assert len(sink.rows) == 15


def test_a_sink_that_hangs_never_holds_up_the_caller() -> None:
    """Memory is bounded: what finds no room is counted as lost, what was taken is still written."""
    sink = Sink()
    sink.gate.clear()
    capture = Capture(sink, room=1000, rows=100)
    form = Form(1, toys.COLUMNS)
    for turn in range(200):
        add(capture, form, turn * 50, 50)
    lost = capture.lost
    assert 8000 <= lost < 10_000
    sink.gate.set()
    capture.close()
    assert capture.captured == 10_000 - lost == len(sink.rows)


def test_it_ends_in_a_real_stream(tmp_path: Path) -> None:
    """What is captured is what the Stream reads."""
    capture = Capture(SegmentWriter(tmp_path, "w0"))
    add(capture, Form(3, toys.COLUMNS), 0, 7)
    capture.flush()
    stream = Stream(tmp_path)
    assert stream.known(["r0", "r6", "r7"]) == [True, True, False]
    capture.close()
    assert stream.read().num_rows == 7


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock(datetime(2013, 1, 1, 0, 0, 1, 5, tzinfo=UTC))])
def test_the_time_of_records_is_the_clocks(clock: SystemClock | ManualClock) -> None:
    """To the microsecond, whichever clock it is."""
    expected = clock.now().timestamp() * 1e6
    assert ticker(clock)() == pytest.approx(expected, abs=1 if isinstance(clock, ManualClock) else 5e6)
