"""Looks: Runs beside any update, in which Monitors look at the Stream or its segments are compacted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.core.nouns import (
    LABEL_TIME,
    OUTPUT_PREFIX,
    RECORD_TIME,
    Bundle,
    Reference,
    Season,
    Span,
    Subject,
)
from keepfit.core.registry import from_plain, to_plain
from keepfit.core.service import Monitor
from keepfit.loop.beside import explained, losses_of, watch_expected, watch_records
from keepfit.loop.pipeline import Made
from keepfit.loop.workplace import Workplace, values_of
from keepfit.store.streams import Query, Stream
from keepfit.watch.monitor import Looked, watch
from keepfit.watch.seasons import MOST, matched, told

_SEASONS = {Season.HOUR: timedelta(days=1), Season.WEEKDAY: timedelta(weeks=1), Season.HOUR_OF_WEEK: timedelta(weeks=1)}
"""After which time the same hours or weekdays come again."""


def look(place: Workplace) -> Made:
    """Let Monitors look at the Stream; every measurement is kept, whether it fired or not."""
    parameters = place.work.parameters
    monitors = {monitor.name: monitor for monitor in place.specification.service.monitors}
    directory = place.trees.path(place.work.inputs["bundle"])
    bundle = from_plain(Bundle, json.loads((directory / "bundle.json").read_bytes()))
    looks = []
    for name in parameters["monitors"]:
        window, (measurements, findings) = _looked(place, monitors[name], bundle)
        looks.append(
            {
                "monitor": name,
                "records": parameters["records"],
                "labels": parameters["labels"],
                "measurements": to_plain(measurements),
                "findings": to_plain(findings),
                "window": to_plain(window),
            }
        )
    return Made({}, {"looks": looks})


def compact(place: Workplace) -> Made:
    """Erase what is forgotten, move the other sealed segments into Parquet; what is read of them stays the same."""
    without = place.work.parameters.get("without", ())
    shadow = Stream(place.places.shadow(place.work.service))
    erased = place.stream.erase(without) + shadow.erase(without)
    told = {"erased": erased.rows, "left": erased.left} if without else {}
    return Made({}, {"segments": place.stream.compact(), "compacted": place.work.parameters["records"], **told})


Samples = dict[str, np.ndarray]


def _looked(place: Workplace, monitor: Monitor, bundle: Bundle) -> tuple[Span | None, Looked]:
    """What is found, and in which Span where that is about how Records are distributed."""
    match monitor.on:
        case Subject.LOSS:
            return None, _losses(place, monitor, bundle)
        case Subject.INPUTS | Subject.OUTPUT:
            return _distributions(place, monitor, bundle)
        case Subject.QUALITY:
            return None, watch_expected(place, monitor, bundle, _recent(place, monitor))
        case Subject.RECORDS:
            return None, watch_records(place, monitor, bundle, _recent(place, monitor))


def _distributions(place: Workplace, monitor: Monitor, bundle: Bundle) -> tuple[Span | None, Looked]:
    """Every input, or every output, against training or against earlier Records."""
    fields = bundle.signature.inputs if monitor.on is Subject.INPUTS else bundle.signature.outputs
    prefix = "" if monitor.on is Subject.INPUTS else OUTPUT_PREFIX
    names = {prefix + field.name: field.name for field in fields if not field.shape}
    of = ""
    if monitor.reference is Reference.TRAINING:
        reference = pq.read_table(place.trees.path(place.work.inputs["bundle"]) / "reference.parquet")
        window = _recent(place, monitor, since=None if monitor.on is Subject.INPUTS else "")
    elif monitor.season is not Season.NONE:
        reference, window, of = _seasonal(place, monitor)
    else:
        reference, window = _earlier(place, monitor)
    times = values_of(window[RECORD_TIME])
    measured, found = watch(monitor, _samples(reference, names), _samples(window, names), times=times, of=of)
    before = None if monitor.reference is Reference.TRAINING else reference
    return _span(place, window), (measured, explained(place, bundle, found, before, window))


def _span(place: Workplace, window: pa.Table) -> Span | None:
    if not window.num_rows:
        return None
    first, last = (extreme(window[RECORD_TIME]).as_py() for extreme in (pc.min, pc.max))
    return Span(place.work.service, first, last + timedelta(microseconds=1))


def _earlier(place: Workplace, monitor: Monitor) -> tuple[pa.Table, pa.Table]:
    """The Span before the window, and the window; after an alarm what was before it, so that a change that lasts stays
    one and a batch that was bad is not what the next is held against.
    """
    again = monitor.name in place.work.parameters.get("again", ())
    both = _recent(place, monitor, since=None, spans=3 if again else 2)
    count, rows = both.num_rows, monitor.window.rows
    if rows is None:
        share = count // (3 if again else 2)
        return both.slice(0, share), both.slice(count - share if again else share)
    start = max(0, count - rows)
    return both.slice(0, max(0, start - (monitor.stride or rows)) if again else start), both.slice(start)


def _seasonal(place: Workplace, monitor: Monitor) -> tuple[pa.Table, pa.Table, str]:
    """The window, and earlier Records spread over the season as its own are; what these were to be, in words."""
    window = _recent(place, monitor, since=None)
    if not window.num_rows:
        return window, window, ""
    times = values_of(window[RECORD_TIME])
    first, last = (extreme(window[RECORD_TIME]).as_py() for extreme in (pc.min, pc.max))
    turn = _SEASONS[monitor.season]
    back = 2 * MOST * turn * (1 + (last - first) // turn)
    version = place.work.parameters["version"] if monitor.on is Subject.OUTPUT else None
    earlier = place.stream.read(Query(start=first - back, end=first, version=version))
    kept = matched(values_of(earlier[RECORD_TIME]), times, monitor.season, monitor.tz)
    return earlier.take(pa.array(kept)), window, told(times, monitor.season, monitor.tz)


def _recent(place: Workplace, monitor: Monitor, *, since: str | None = "", spans: int = 1) -> pa.Table:
    """The latest Records, by default since the swap; of outputs only those of the live Version, not of a canary.

    Inputs are not the Version's: of them a look takes those before the swap as well.
    """
    window = monitor.window
    last = None if window.rows is None else window.rows * spans
    version = place.work.parameters["version"] if monitor.on in (Subject.OUTPUT, Subject.QUALITY) else None
    start = None if since is None else datetime.fromisoformat(since or place.work.parameters["since"])
    newest = place.stream.counts().last
    if window.time is not None and newest is not None:  # nothing older can be in it
        start = max(start or newest - window.time * spans, newest - window.time * spans)
    rows = place.stream.read(Query(start=start, last=last, version=version))
    if window.time is not None and rows.num_rows:
        oldest = pc.subtract(pc.max(rows[RECORD_TIME]), pa.scalar(window.time * spans))
        rows = rows.filter(pc.greater(rows[RECORD_TIME], oldest))
    return rows


def _samples(rows: pa.Table, names: Mapping[str, str]) -> Samples:
    return {shown: values_of(rows[column]) for column, shown in names.items() if column in rows.column_names}


def _losses(place: Workplace, monitor: Monitor, bundle: Bundle) -> Looked:
    """The live Version's loss per label, in order of arrival, beside its loss at release."""
    parameters = place.work.parameters
    since = datetime.fromisoformat(parameters["since"])
    rows = place.stream.read(
        Query(labelled=True, version=parameters["version"], order="label", last=monitor.window.rows)
    )
    rows = rows.filter(pc.greater_equal(rows[LABEL_TIME], pa.scalar(since, rows.schema.field(LABEL_TIME).type)))
    lost = losses_of(place, bundle, rows)
    if "losses" in place.work.inputs:
        reference, before = place.table("losses")["loss"].to_numpy(), None
    else:
        reference, lost = lost[: monitor.minimum], lost[monitor.minimum :]
        before, rows = rows.slice(0, monitor.minimum), rows.slice(monitor.minimum)
    times = values_of(rows[LABEL_TIME])
    measured, found = watch(monitor, {"loss": reference}, {"loss": lost}, times=times)
    return measured, explained(place, bundle, found, before, rows)
