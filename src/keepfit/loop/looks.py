"""Looks: Runs beside any update, in which Monitors look at the Stream or its segments are compacted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.core.nouns import LABEL, LABEL_TIME, OUTPUT_PREFIX, RECORD_TIME, Bundle, Reference, Subject
from keepfit.core.registry import from_plain, to_plain
from keepfit.core.service import Monitor
from keepfit.judge.metrics import losses
from keepfit.loop.pipeline import Made
from keepfit.loop.workplace import Workplace, values_of
from keepfit.watch.monitor import watch


def look(place: Workplace) -> Made:
    """Let Monitors look at the Stream; every measurement is kept, whether it fired or not."""
    parameters = place.work.parameters
    monitors = {monitor.name: monitor for monitor in place.specification.service.monitors}
    looks = []
    for name in parameters["monitors"]:
        monitor = monitors[name]
        reference, window = _subjects(place, monitor)
        measurements, findings = watch(monitor, reference, window)
        looks.append(
            {
                "monitor": name,
                "records": parameters["records"],
                "labels": parameters["labels"],
                "measurements": to_plain(measurements),
                "findings": to_plain(findings),
            }
        )
    return Made({}, {"looks": looks})


def compact(place: Workplace) -> Made:
    """Move the Stream's sealed segments into Parquet; what is read from it stays the same."""
    return Made({}, {"segments": place.stream.compact(), "compacted": place.work.parameters["records"]})


Samples = dict[str, np.ndarray]


def _subjects(place: Workplace, monitor: Monitor) -> tuple[Samples, Samples]:
    """The reference and the window of every subject a Monitor looks at."""
    directory = place.trees.path(place.work.inputs["bundle"])
    bundle = from_plain(Bundle, json.loads((directory / "bundle.json").read_bytes()))
    if monitor.on is Subject.LOSS:
        return _losses(place, monitor, bundle)
    if monitor.on is Subject.INPUTS:
        names = {field.name: field.name for field in bundle.signature.inputs if not field.shape}
    else:
        names = {OUTPUT_PREFIX + field.name: field.name for field in bundle.signature.outputs if not field.shape}
    since = datetime.fromisoformat(place.work.parameters["since"])
    if monitor.reference is Reference.TRAINING:
        reference = pq.read_table(directory / "reference.parquet")
        window = _recent(place, monitor, since=since)
    else:
        both = _recent(place, monitor, since=None, spans=2)
        half = both.num_rows // 2 if monitor.window.rows is None else max(0, both.num_rows - monitor.window.rows)
        reference, window = both.slice(0, half), both.slice(half)
    return _samples(reference, names), _samples(window, names)


def _recent(place: Workplace, monitor: Monitor, *, since: datetime | None, spans: int = 1) -> pa.Table:
    """The latest Records; of outputs only those of the live Version, not of a canary beside it."""
    window = monitor.window
    last = None if window.rows is None else window.rows * spans
    version = place.work.parameters["version"] if monitor.on is Subject.OUTPUT else None
    rows = place.stream.read(start=since, last=last, version=version)
    if window.time is not None and rows.num_rows:
        oldest = pc.subtract(pc.max(rows[RECORD_TIME]), pa.scalar(window.time * spans))
        rows = rows.filter(pc.greater(rows[RECORD_TIME], oldest))
    return rows


def _samples(rows: pa.Table, names: Mapping[str, str]) -> Samples:
    return {shown: values_of(rows[column]) for column, shown in names.items() if column in rows.column_names}


def _losses(place: Workplace, monitor: Monitor, bundle: Bundle) -> tuple[Samples, Samples]:
    """The live Version's loss per label, in order of arrival, beside its loss at release."""
    parameters = place.work.parameters
    since = datetime.fromisoformat(parameters["since"])
    rows = place.stream.read(labelled=True, version=parameters["version"], order="label", last=monitor.window.rows)
    rows = rows.filter(pc.greater_equal(rows[LABEL_TIME], pa.scalar(since, rows.schema.field(LABEL_TIME).type)))
    outputs = {
        field.name: values_of(rows[OUTPUT_PREFIX + field.name])
        for field in bundle.signature.outputs
        if OUTPUT_PREFIX + field.name in rows.column_names
    }
    metric = place.specification.service.metric
    window = (
        losses(place.specification.task, bundle.classes, values_of(rows[LABEL]), outputs, metric)
        if rows.num_rows
        else np.empty(0)
    )
    if "losses" in place.work.inputs:
        return {"loss": place.table("losses")["loss"].to_numpy()}, {"loss": window}
    return {"loss": window[: monitor.minimum]}, {"loss": window[monitor.minimum :]}
