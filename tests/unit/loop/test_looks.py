"""Looks of Monitors at a real Stream: seasons, causes, expected quality, and records beside what offline computes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from keepfit.core.nouns import (
    LABEL,
    OUTPUT_PREFIX,
    RECORD_ID,
    RECORD_TIME,
    RECORD_VERSION,
    Bundle,
    Cause,
    Finding,
    FindingKind,
    Measurement,
    Reference,
    Season,
    Subject,
    Task,
    Window,
)
from keepfit.core.places import Places
from keepfit.core.registry import canonical, from_plain
from keepfit.core.service import Monitor, Service
from keepfit.core.signature import DType, Field, Signature
from keepfit.data.read import read
from keepfit.loop.looks import look
from keepfit.loop.pipeline import Work
from keepfit.loop.workplace import Workplace, values_of
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.streams import LabelWriter, SegmentWriter
from keepfit.watch.detectors import CUSUM, KS, Auto
from keepfit.watch.monitor import watch
from keepfit.watch.seasons import matched
from situations import S, specification

START = datetime(2018, 1, 1, tzinfo=UTC)
OUTPUTS = (Field("prediction", DType.INT64), Field("probability", DType.FP32))

Looked = tuple[list[Measurement], list[Finding]]


class Scene:
    """A Service with a live Version, a Stream that a test fills, and Monitors that look at it."""

    def __init__(self, root: Path, fields: tuple[Field, ...]) -> None:
        self.places, self.fields, self.root = Places(root / "store"), fields, root
        self.code = self.release = ""
        folder = root / "bundle"
        folder.mkdir()
        bundle = Bundle(S, "onnx", Signature(fields, OUTPUTS), classes=(0, 1))
        (folder / "bundle.json").write_bytes(canonical(bundle))
        pq.write_table(
            pa.table({field.name: pa.array([], pa.float64()) for field in fields}), folder / "reference.parquet"
        )
        self.bundle = Trees(self.places.trees).put(folder)

    def declared(self, text: str) -> None:
        """Put the service file in force."""
        folder = self.root / "code"
        folder.mkdir()
        (folder / "service.py").write_text(textwrap.dedent(text))
        self.code = Trees(self.places.trees).put(folder)

    def released(self, rows: pa.Table) -> None:
        """What the live Version answered on the rows it was judged on."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink)
        self.release = Blobs(self.places.blobs).put(sink.getvalue().to_pybytes())

    def records(self, rows: pa.Table, labels: Any = None) -> None:
        """Append Records in order, answered by version 1, and labels where there are some."""
        columns = {RECORD_VERSION: pa.array(np.full(rows.num_rows, 1, np.int32))}
        for name in rows.column_names:
            columns[name] = rows[name].combine_chunks()
        if RECORD_ID not in columns:
            columns[RECORD_ID] = pa.array([f"r{place:07d}" for place in range(rows.num_rows)])
        writer = SegmentWriter(self.places.stream(S), "test")
        writer.append(pa.RecordBatch.from_pydict(columns))
        writer.close()
        if labels is not None:
            told = LabelWriter(self.places.stream(S), "test")
            told.append(
                columns[RECORD_ID].to_pylist(), labels.tolist(), rows[RECORD_TIME][-1].as_py() + timedelta(days=1)
            )
            told.close()

    def look(self, monitor: Monitor, task: Task = Task.BINARY) -> Looked:
        """One look, through plain data as facts keep it."""
        plain = replace(specification(monitors=(monitor,)), inputs=self.fields, code=self.code, task=task)
        inputs = {"bundle": self.bundle, **({"losses": self.release} if self.release else {})}
        parameters = {"monitors": [monitor.name], "since": START.isoformat(), "version": 1, "records": 1, "labels": 1}
        digest = Blobs(self.places.blobs).put(canonical(plain))
        work = Work(step="watch", service=S, update="", specification=digest, parameters=parameters, inputs=inputs)
        (made,) = look(Workplace(work, self.places, self.root)).result["looks"]
        return from_plain(list[Measurement], made["measurements"]), from_plain(list[Finding], made["findings"])


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    def make(*names: str) -> Scene:
        return Scene(tmp_path, tuple(Field(name, DType.FP64) for name in names))

    return make


def times(n: int, step: timedelta = timedelta(minutes=1)) -> pa.Array:
    return pa.array([START + step * i for i in range(n)], pa.timestamp("us", "UTC"))


# --- seasons --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trips(shared_data: Path) -> pa.Table:
    """Twelve months of trips laid over one another as the first days of one January: a day and night rhythm."""
    table = read(shared_data / "nyc_yellow_2018" / "*2018*.csv")
    at = table["pickup_datetime"]
    micros = pc.cast(pc.cast(at, pa.timestamp("us")), pa.int64())
    day = pc.day(pc.cast(at, pa.timestamp("us"))).to_numpy() - 1
    clock = micros.to_numpy() % 86_400_000_000
    moment = int(START.timestamp() * 1e6) + day * 86_400_000_000 + clock
    order = np.argsort(moment, kind="stable")
    names = {"trip_distance": "distance", "dropoff_location_id": "zone", "fare_amount": "fare"}
    columns = {new: pc.cast(table[old], pa.float64()).take(pa.array(order)) for old, new in names.items()}
    return pa.table({RECORD_TIME: pa.array(moment[order], pa.timestamp("us", "UTC")), **columns})


def night(trips: pa.Table, day: int) -> pa.Table:
    """All trips up to five in the morning of a day."""
    return trips.filter(pc.less(trips[RECORD_TIME], pa.scalar(START + timedelta(days=day, hours=5))))


def hours(season: Season, **changes: Any) -> Monitor:
    given = {"window": Window(time=timedelta(hours=5)), "minimum": 200, "minimum_effect": 0.1, **changes}
    return Monitor(name="m", on=Subject.INPUTS, detector=Auto(), reference=Reference.EARLIER, season=season, **given)


def test_a_night_beside_nights(trips: pa.Table, scene: Callable[..., Scene]) -> None:
    """On real trips a night alarms beside the evening before, and does not beside earlier nights."""
    here = scene("distance", "zone", "fare")
    here.records(night(trips, 14))
    _, plain = here.look(hours(Season.NONE))
    assert {one.subject for one in plain} >= {"distance"}
    measured, calm = here.look(hours(Season.HOUR))
    assert not calm
    assert {m.subject for m in measured} == {"distance", "zone", "fare"}
    assert min(m.n_reference for m in measured) >= 2 * measured[0].n_window


def test_many_nights(trips: pa.Table) -> None:
    """Of 26 nights most alarm beside the evening before, and at most one beside earlier nights."""
    times = values_of(trips[RECORD_TIME])
    columns = {name: values_of(trips[name]) for name in ("distance", "zone", "fare")}
    alarms = {Season.NONE: 0, Season.HOUR: 0}
    for day in range(5, 31):
        end = np.datetime64("2018-01-01T05:00", "us") + np.timedelta64(day, "D")
        window = np.flatnonzero((times > end - np.timedelta64(5, "h")) & (times <= end))
        earlier = np.flatnonzero(times <= end - np.timedelta64(5, "h"))
        sides = {
            Season.NONE: earlier[times[earlier] > end - np.timedelta64(10, "h")],
            Season.HOUR: earlier[matched(times[earlier], times[window], Season.HOUR)],
        }
        for season, chosen in sides.items():
            samples = ({name: values[rows] for name, values in columns.items()} for rows in (chosen, window))
            alarms[season] += bool(watch(hours(Season.NONE, minimum=100), *samples)[1])
    assert alarms[Season.NONE] >= 13, alarms
    assert alarms[Season.HOUR] <= 1, alarms


def test_a_change_at_night(trips: pa.Table, scene: Callable[..., Scene]) -> None:
    """Kilometres for miles in a night are found beside nights, and since when."""
    here = scene("distance", "zone", "fare")
    rows = night(trips, 14)
    tonight = pc.greater_equal(rows[RECORD_TIME], pa.scalar(START + timedelta(days=14, hours=2)))
    longer = pc.if_else(tonight, pc.multiply(rows["distance"], 1.609344), rows["distance"])
    here.records(rows.set_column(rows.column_names.index("distance"), "distance", longer))
    _, (found,) = here.look(hours(Season.HOUR, minimum_effect=0.05))
    assert found.subject == "distance"
    assert found.moved is not None
    assert found.moved.since is not None
    assert abs(found.moved.since - (START + timedelta(days=14, hours=2))) < timedelta(hours=1.5)


def test_no_night_before(trips: pa.Table, scene: Callable[..., Scene]) -> None:
    """The first night is compared with nothing, and the measurement says what is missing."""
    here = scene("distance", "zone", "fare")
    here.records(night(trips, 0))
    measured, found = here.look(hours(Season.HOUR, minimum=50))
    assert not found
    assert all(m.note.startswith("0 rows before of hours 0, 1, 2, 3, 4 UTC") for m in measured)


# --- causes ---------------------------------------------------------------------------------------------------------


def answered(
    n: int, seed: int, *, shift: float = 0.0, scale: float = 1.0, flipped: bool = False
) -> tuple[pa.Table, np.ndarray]:
    """Records of a model that knows the rule y = (x + noise > 0), and their labels."""
    random = np.random.default_rng(seed)
    x = random.normal(shift, scale, size=n)
    p = 1 / (1 + np.exp(-3 * x))
    y = (random.random(n) < p).astype(int)
    if flipped:
        y = np.where(random.random(n) < 0.4, 1 - y, y)
    columns = {"x": x, OUTPUT_PREFIX + "prediction": (p > 0.5).astype(np.int64), OUTPUT_PREFIX + "probability": p}
    return pa.table({RECORD_TIME: times(n), **columns}), y


def released(here: Scene, n: int = 3000) -> None:
    rows, y = answered(n, 1)
    p = rows[OUTPUT_PREFIX + "probability"].to_numpy()
    lost = -np.log(np.clip(np.where(y == 1, p, 1 - p), 1e-7, 1))
    here.released(
        rows.drop_columns([RECORD_TIME]).append_column(LABEL, pa.array(y)).append_column("loss", pa.array(lost))
    )


@pytest.mark.parametrize(
    ("change", "cause"), [({"flipped": True}, Cause.CONCEPT), ({"scale": 0.3}, Cause.COVARIATE), ({"shift": 1.5}, None)]
)
def test_a_loss_that_rose_is_explained(
    change: dict[str, Any], cause: Cause | None, scene: Callable[..., Scene]
) -> None:
    """Other labels for the same inputs are told as a concept, harder inputs as a covariate; a fall is nothing."""
    here = scene("x")
    released(here)
    here.records(*answered(1500, 2, **change))
    monitor = Monitor(
        name="m", on=Subject.LOSS, detector=CUSUM(), reference=Reference.RELEASE, window=Window(rows=1500)
    )
    _, found = here.look(monitor)
    assert [one.moved.cause for one in found if one.moved] == ([cause] if cause else [])
    assert all(f"; {cause}: " in one.sentence for one in found)


@pytest.mark.parametrize("labelled", [True, False])
def test_inputs_that_moved_are_a_covariate(labelled: bool, scene: Callable[..., Scene]) -> None:
    """Inputs that moved while labels given them did not are told so, with labels and without, and since the window."""
    calm, y = answered(3000, 3)
    moved, z = answered(1000, 4, shift=1.0)
    here = scene("x")
    both = pa.concat_tables([calm, moved]).set_column(0, RECORD_TIME, times(4000))
    here.records(both, np.concatenate([y, z]) if labelled else None)
    _, (found,) = here.look(Monitor(name="m", on=Subject.INPUTS, detector=KS(), reference=Reference.EARLIER))
    assert found.kind is FindingKind.DRIFT
    assert found.moved is not None
    assert found.moved.cause is Cause.COVARIATE
    assert found.moved.row is not None
    assert found.moved.row <= 60
    assert ("for the same inputs did not" in found.moved.reason) == labelled


# --- expected quality -----------------------------------------------------------------------------------------------


def test_quality_is_expected_without_labels(scene: Callable[..., Scene]) -> None:
    """Rows like those at release alarm nothing; rows near the border are told to be answered worse, without a label."""
    monitor = Monitor(name="m", on=Subject.QUALITY, window=Window(rows=1000))
    here = scene("x")
    released(here)
    calm, hard = answered(1000, 5)[0], answered(4000, 6)[0]
    here.records(calm)
    measured, found = here.look(monitor)
    assert [m.subject for m in measured] == ["accuracy", "precision", "recall", "f1", "auc"]
    assert not found
    border = hard.filter(pc.less(pc.abs(hard["x"]), 0.4)).slice(0, 1000)
    later = pa.array([START + timedelta(days=9, minutes=i) for i in range(border.num_rows)], pa.timestamp("us", "UTC"))
    ids = pa.array([f"late{i}" for i in range(border.num_rows)])
    here.records(border.set_column(0, RECORD_TIME, later).append_column(RECORD_ID, ids))
    _, found = here.look(monitor)
    assert {one.kind for one in found} == {FindingKind.DECAY}
    assert "accuracy" in {one.subject for one in found}
    assert "no label" in found[0].sentence


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_a_regression_is_expected_to_cost_more(shift: float, scene: Callable[..., Scene]) -> None:
    """Where a model of numbers errs more, a mean loss above that at release is expected without a label; else none."""
    random = np.random.default_rng(8)
    x = random.normal(size=3000)
    here = scene("x")
    lost = np.abs(random.normal(size=3000)) * np.exp(x / 2)
    here.released(pa.table({"x": x, OUTPUT_PREFIX + "prediction": 2 * x, LABEL: 2 * x + lost, "loss": lost}))
    now = random.normal(shift, size=1000)
    here.records(pa.table({RECORD_TIME: times(1000), "x": now, OUTPUT_PREFIX + "prediction": 2 * now}))
    (measured,), found = here.look(Monitor(name="m", on=Subject.QUALITY), Task.REGRESSION)
    assert measured.subject == "loss"
    assert [one.kind for one in found] == ([FindingKind.DECAY] if shift else [])


def test_quality_needs_answers_at_release(scene: Callable[..., Scene]) -> None:
    """Without the answers at release nothing is estimated, and the measurement says why."""
    here = scene("x")
    here.records(answered(1000, 5)[0])
    (measured,), found = here.look(Monitor(name="m", on=Subject.QUALITY))
    assert not found
    assert "were not kept" in measured.note


# --- records beside offline -----------------------------------------------------------------------------------------

OFFLINE = """
    from keepfit import Service
    import pyarrow as pa

    def again(records):
        truth = pa.ipc.open_file({path!r}).read_all()
        rows = [int(one[1:]) for one in records["_id"].to_pylist()]
        return truth.take(pa.array(rows))

    service = Service(name="arrival-delay", label="late", offline=again)
"""


@pytest.mark.parametrize("window", [0, 1])
def test_miles_for_kilometres(window: int, scene: Callable[..., Scene], tmp_path: Path) -> None:
    """Miles for kilometres in 5 % of the requests are found in their first window: column, rate, factor, examples."""
    random = np.random.default_rng(window)
    km = random.exponential(5.0, 2000)
    truth = pa.table({"_id": [f"r{i:07d}" for i in range(2000)], "km": km, "age": random.normal(size=2000)})
    with pa.OSFile(str(tmp_path / "truth.arrow"), "wb") as sink, pa.ipc.new_file(sink, truth.schema) as writer:
        writer.write_table(truth)
    wrong = (random.random(2000) < 0.05) & (np.arange(2000) >= 1000)
    here = scene("km", "age")
    here.declared(OFFLINE.format(path=str(tmp_path / "truth.arrow")))
    rows = pa.table({RECORD_TIME: times(2000), "km": np.where(wrong, km / 1.609344, km), "age": truth["age"]})
    monitor = Monitor(name="m", on=Subject.RECORDS, window=Window(rows=1000))
    here.records(rows.slice(0, 1000 * (window + 1)))
    measured, found = here.look(monitor)
    assert {m.subject for m in measured} == {"km", "age"}
    if not window:
        assert not found
        return
    (one,) = found
    assert (one.subject, one.kind) == ("km", FindingKind.SKEW)
    assert one.measured == wrong.sum() / 1000
    assert "0.6214 times it (miles and kilometres?)" in one.sentence
    assert "; r000" in one.sentence


def test_offline_that_fails(scene: Callable[..., Scene]) -> None:
    """A function that raises is told with its service, and as a fault of the data."""
    from keepfit.core.errors import DataInvalid

    here = scene("km")
    here.declared(
        """
        from keepfit import Service

        def again(records):
            raise RuntimeError("no warehouse")

        service = Service(name="arrival-delay", label="late", offline=again)
        """
    )
    here.records(pa.table({RECORD_TIME: times(10), "km": np.arange(10.0)}))
    with pytest.raises(DataInvalid, match="offline of 'arrival-delay' raised RuntimeError: no warehouse"):
        here.look(Monitor(name="m", on=Subject.RECORDS))
    assert Service(name="a", label="b").offline is None
