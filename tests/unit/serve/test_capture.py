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
from keepfit.core.errors import Refused, StorageFault
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.capture import Capture, Form, Limits, Sample, Together, ticker
from keepfit.serve.forms import Numbered
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
        self.batches.append(pa.ipc.read_record_batch(batch.serialize(), batch.schema))  # its memory is used again

    def close(self) -> None:
        self.closed = True

    @property
    def rows(self) -> list[dict[str, object]]:
        return [row for batch in self.batches for row in batch.to_pylist()]


def outputs(rows: int) -> dict[str, np.ndarray]:
    return {"prediction": np.arange(rows), "probability": np.linspace(0, 1, rows, dtype=np.float32)}


def add(capture: Capture, form: Form, start: int, rows: int) -> None:
    signature = Signature(form.inputs, form.outputs)
    ids = [f"r{i}" for i in range(start, start + rows)]
    capture.add(form, ids, MICROS, toys.examples(signature, rows), outputs(rows))


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
    assert "_trace" not in first
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
    capture = Capture(sink, limits=Limits(rows=500, interval=0.001))
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
    capture = Capture(sink, limits=Limits(room=1000, rows=100))
    form = Form(1, toys.COLUMNS)
    for turn in range(200):
        add(capture, form, turn * 50, 50)
    sink.gate.set()
    capture.close()
    assert 8000 <= capture.lost < 10_000
    assert capture.captured == 10_000 - capture.lost == len(sink.rows)


def test_memory_is_bounded_in_bytes_too() -> None:
    """Large tensors fill the room long before their rows do; one that is larger than all of it is lost, no more."""
    signature = Signature((Field("image", DType.FP32, (64, 64)),), (Field("y", DType.INT64),))
    sink, form = Sink(), Form(1, signature)
    sink.gate.clear()
    capture = Capture(sink, limits=Limits(size=2**23))

    def one(rows: int) -> None:
        arrays = {"image": np.zeros((rows, 64, 64), np.float32)}
        capture.add(form, [f"{id(arrays)}:{i}" for i in range(rows)], MICROS, arrays, {"y": np.zeros(rows, np.int64)})

    for _ in range(2000):
        one(1)
    one(1000)
    sink.gate.set()
    capture.close()
    assert 200 <= capture.captured <= 512  # of 16 KiB each
    assert capture.captured + capture.lost == 3000


def test_texts_count_by_their_length() -> None:
    """A long text weighs what it is long, so that long ones do not fill the memory either."""
    signature = Signature((Field("text", DType.BYTES),), (Field("y", DType.INT64),))
    sink, form = Sink(), Form(1, signature)
    sink.gate.clear()
    capture = Capture(sink, limits=Limits(size=2**20))
    for i in range(500):
        text = np.array(["x" * 10_000], dtype=object)
        capture.add(form, [str(i)], MICROS, {"text": text}, {"y": np.zeros(1, np.int64)})
    sink.gate.set()
    capture.close()
    assert capture.captured < 150
    assert capture.captured + capture.lost == 500


def test_masked_fields_are_never_written(tmp_path: Path) -> None:
    """Inputs and outputs named by the mask keep their column and type, without any value; the schema says so."""
    sink = Sink()
    capture = Capture(sink)
    form = Form(1, toys.COLUMNS, mask=("city", "count", "probability"))
    add(capture, form, 0, 3)
    capture.close()
    (batch,) = sink.batches
    for name in ("city", "count", "_out_probability"):
        assert batch.column(name).null_count == 3
        assert batch.schema.field(name).metadata == {b"masked": b"true"}
    assert batch.schema.types == Form(1, toys.COLUMNS).schema.types
    assert batch.column("_out_prediction").to_pylist() == [0, 1, 2]
    writer = SegmentWriter(tmp_path, "w0")
    writer.append(batch)
    writer.close()
    assert Stream(tmp_path).read().column("city").null_count == 3
    for path in tmp_path.rglob("*.arrow"):
        assert b"Rome" not in path.read_bytes()
        with pa.ipc.open_file(path) as file:
            assert file.schema.field("city").metadata == {b"masked": b"true"}


def test_a_mask_that_names_no_field_is_refused() -> None:
    """Before anything is answered, with the names there are."""
    with pytest.raises(Refused, match=r"'contry'.*city") as caught:
        Form(1, toys.COLUMNS, mask=("contry",))
    assert caught.value.code == "unknown_mask"


def test_a_sample_is_the_same_for_everyone() -> None:
    """About the share is taken; rows of a request go together; a label's id says whether its Record was taken."""
    sink = Sink()
    capture = Capture(sink, sample=0.3)
    form = Form(1, toys.TENSOR)
    for i in range(3000):
        rows = 1 + i % 3
        ids = [f"q{i}"] if rows == 1 else [f"q{i}:{row}" for row in range(rows)]
        capture.add(form, ids, MICROS, toys.examples(toys.TENSOR, rows), outputs(rows))
    capture.close()
    found = {str(row["_id"]) for row in sink.rows}
    assert all(Sample(0.3).takes(id) for id in found)
    assert 0.27 < len(found) / 6000 < 0.33
    assert {id for id in found if id.endswith(":1")} == {id[:-1] + "1" for id in found if id.endswith(":0")}
    assert (capture.captured, capture.skipped, capture.lost) == (len(found), 6000 - len(found), 0)


def test_a_sample_may_take_some_rows_of_a_request() -> None:
    """Rows with ids of their own are chosen one by one, and keep their own values."""
    sink = Sink()
    capture = Capture(sink, sample=0.5)
    inputs = toys.examples(toys.TENSOR, 200)
    capture.add(Form(1, toys.TENSOR), [f"own-{i}" for i in range(200)], MICROS, inputs, outputs(200))
    capture.close()
    assert 60 < len(sink.rows) < 140
    for row in sink.rows:
        assert row["_out_prediction"] == int(str(row["_id"]).removeprefix("own-"))
        assert row["x"] == pytest.approx(inputs["x"][int(str(row["_out_prediction"]))].tolist())


def test_traces_have_a_column_once_there_is_one() -> None:
    """No column while nobody traces; afterwards it stays, so that segments change their columns once."""
    sink = Sink()
    capture = Capture(sink)
    form = Form(1, toys.TENSOR)

    def one(id: str, trace: str = "") -> None:
        capture.add(form, [f"{id}:0", f"{id}:1"], MICROS, toys.examples(toys.TENSOR, 2), outputs(2), trace)

    one("a")
    capture.flush()
    one("b", "00-aa-bb-01")
    one("c")
    capture.close()
    before, after = sink.batches
    assert "_trace" not in before.schema.names
    assert after.column("_trace").to_pylist() == ["00-aa-bb-01"] * 2 + [None] * 2


def test_what_goes_first_is_kept_when_there_is_no_room() -> None:
    """Two Captures live side by side; the one that gives way takes nothing while the other is half full."""
    live_sink, shadow_sink = Sink(), Sink()
    live_sink.gate.clear()
    live = Capture(live_sink, limits=Limits(room=10_000, rows=1000))
    shadow = Capture(shadow_sink, limits=Limits(room=1000, rows=100), first=live)
    form = Form(1, toys.TENSOR)
    add(shadow, form, 0, 50)
    shadow.flush()
    assert (shadow.captured, live.half_full) == (50, False)
    for turn in range(640):
        add(live, form, turn * 10, 10)
    assert live.half_full
    add(shadow, form, 1000, 50)
    shadow.flush()
    assert (shadow.captured, shadow.lost) == (50, 50)
    live_sink.gate.set()
    live.close()
    add(shadow, form, 2000, 50)
    shadow.close()
    assert (live.captured, live.lost, shadow.captured) == (6400, 0, 100)


def test_arrays_in_any_order_of_memory_are_kept() -> None:
    """Views with steps, as slices of columns are, hold the same values as copies."""
    sink = Sink()
    capture = Capture(sink)
    both = np.arange(8, dtype=np.float32).reshape(4, 2)
    x = np.asfortranarray(toys.examples(toys.TENSOR, 4)["x"])
    capture.add(
        Form(1, toys.TENSOR), list("abcd"), MICROS, {"x": x}, {"prediction": np.arange(4), "probability": both[:, 1]}
    )
    capture.close()
    assert [row["_out_probability"] for row in sink.rows] == [1, 3, 5, 7]
    assert sink.rows[2]["x"] == x[2].tolist()


def test_an_answer_that_cannot_be_recorded_is_still_an_answer() -> None:
    """Arrays that do not fit are counted as lost, and what comes with and after them is not torn."""
    sink = Sink()
    capture = Capture(sink)
    form = Form(1, toys.TENSOR)
    capture.add(form, ["bad"], MICROS, toys.examples(toys.TENSOR, 1), {})
    capture.flush()
    add_tensor = toys.examples(toys.TENSOR, 2)
    capture.add(form, ["a", "b"], MICROS, add_tensor, outputs(2))
    capture.close()
    assert (capture.captured, capture.lost) == (2, 1)
    assert [row["_id"] for row in sink.rows] == ["a", "b"]


def test_one_row_and_many_come_in_the_order_they_came() -> None:
    """Requests of one record are packed as they come, others copied together: no value changes its row."""
    signature = Signature(
        (Field("x", DType.FP32, (3,)), Field("b", DType.BOOL), Field("i", DType.INT8)), (Field("x", DType.FP64),)
    )
    sink = Sink()
    capture = Capture(sink, limits=Limits(rows=300, interval=0.002))
    form, start = Form(1, signature), 0
    for turn in range(3000):
        rows = 5 if turn % 100 == 99 else 1
        n = np.arange(start, start + rows)
        inputs = {
            "i": (n % 100).astype(np.int8),
            "x": np.stack([n, n + 1, n + 2], 1).astype(np.float32),
            "b": n % 2 == 0,
        }
        trace = "00-aa-bb-01" if turn > 2000 and turn % 7 == 0 else ""
        capture.add(form, [f"r{i}" for i in n], start, inputs, {"x": n / 2}, trace)
        start += rows
    capture.close()
    assert capture.lost == 0
    found = sink.rows
    assert [row["_id"] for row in found] == [f"r{i}" for i in range(start)]
    for n, row in enumerate(found):
        assert (row["x"], row["b"], row["i"]) == ([n, n + 1, n + 2], n % 2 == 0, n % 100)
        assert row["_out_x"] == n / 2


def test_numbered_ids_are_what_they_say() -> None:
    """Of many rows, of one, and of ids of their own: each row has its id, and the time and trace of its request."""
    sink, form, wanted = Sink(), Form(1, toys.TENSOR), list[tuple[str, datetime, str | None]]()
    capture = Capture(sink, limits=Limits(rows=700, interval=0.002))
    for turn, rows in enumerate([3, 1, 120, 2, 1, 1, 1100, 7, 64] * 4):
        stem = f"ü{turn}" if turn % 2 else f"{turn}:x"
        ids = Numbered(stem, rows) if rows > 2 else [f"{stem}-{row}" for row in range(rows)]
        capture.add(form, ids, turn, toys.examples(toys.TENSOR, rows), outputs(rows), "00-aa" if turn > 20 else "")
        time = datetime.fromtimestamp(turn / 1e6, UTC)
        wanted += [(id, time, "00-aa" if turn > 20 else None) for id in ids]
    capture.close()
    assert capture.lost == 0
    assert [(row["_id"], row["_time"], row.get("_trace")) for row in sink.rows] == wanted
    assert Numbered("r", 3)[1:] == ["r:1", "r:2"]
    with pytest.raises(IndexError):
        Numbered("r", 3)[3]


def test_listeners_hear_of_what_is_recorded_only() -> None:
    """Exchanges outside the sample are told to nobody."""
    heard: list[Together] = []

    class Ear:
        def offer(self, together: Together, size: int) -> None:
            assert size > len(together.ids) * toys.WIDTH * 4
            heard.append(together)

    sink = Sink()
    capture = Capture(sink, sample=0.5, listener=Ear())
    for i in range(200):
        capture.add(Form(1, toys.TENSOR), [f"r{i}"], MICROS, toys.examples(toys.TENSOR, 1), outputs(1))
    capture.close()
    assert [id for together in heard for id in together.ids] == [row["_id"] for row in sink.rows]


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
