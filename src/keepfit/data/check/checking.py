"""Check data, or only its Profile, against a Schema."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from keepfit.core.nouns import Finding, Severity
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.comparisons import volume
from keepfit.data.anomalies.declarations import unsound
from keepfit.data.anomalies.faults import Fault
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.anomalies.rowwise import asked_of_rows
from keepfit.data.check.columns import of_columns
from keepfit.data.check.pieces import of_rows
from keepfit.data.profile import Profile, profile
from keepfit.data.scan import Scan, scan
from keepfit.data.schema import Schema
from keepfit.data.spread import Spread

ROWS = 10
"""So many row numbers are kept of each Finding."""


def check(
    source: Any,
    schema: Schema,
    *,
    environment: str = "",
    span: tuple[datetime, datetime] | None = None,
    now: datetime | None = None,
    rows: int = ROWS,
) -> tuple[Finding, ...]:
    """All that is out of line in what `read` reads, in the Schema's order of columns, with up to `rows` row numbers.

    ERROR: no rows, a column that is absent or of another type, numbers without end, labels that are missing, of a
    class never seen, or all the same. WARNING: more values missing, numbers out of range, categories never seen, a
    varying column that became constant or the reverse. INFO: columns nobody asked for. A Schema may say otherwise.
    """
    scanned = again(scan(source))
    case = Case(schema=schema, profile=profile(scanned), environment=environment, span=span, now=now)
    return tuple(fault.pinned(rows) for fault in examine(case, scanned, most=rows))


def compare(
    found: Profile,
    schema: Schema,
    *,
    environment: str = "",
    previous: Profile | None = None,
    serving: Profile | None = None,
) -> tuple[Finding, ...]:
    """`check` for data of which only the Profile is at hand; STATS_NOT_AVAILABLE tells what that cannot answer."""
    case = Case(schema=schema, profile=found, environment=environment, previous=previous, serving=serving)
    return tuple(fault.finding for fault in examine(case))


def again(scanned: Scan) -> Scan:
    """The same, if need be kept in memory, so that it can be read a second time."""
    return scanned if scanned.repeats else scan(scanned.table())


def examine(
    case: Case, source: Any = None, *, most: int | None = None, workers: Spread | None = None
) -> tuple[Fault, ...]:
    """All Findings of a Case, with the rows in which they lie, at most so many of each, if the data is at hand.

    What each row shows by itself is looked at batch by batch, by `workers` file by file.
    """
    faults = [Fault(finding) for finding in (*unsound(case), *volume(case))]
    if not case.profile.rows:
        sentence = "the data has no rows"
        return (*faults, Fault(case.tell(Anomaly.NO_DATA_IN_SPAN, "rows", sentence, (0, 1))))
    source = case.table if source is None else source
    if source is not None:
        return (*faults, *of_rows(case, again(scan(source)), most=most, workers=workers))
    faults += [Fault(finding) for finding in of_columns(case)]
    for asked in asked_of_rows(case):
        sentence = f"'{asked}' cannot be checked without the rows; check the data itself"
        faults.append(Fault(case.tell(Anomaly.STATS_NOT_AVAILABLE, asked, sentence)))
    return tuple(faults)


def quarantine(source: Any, faults: tuple[Fault, ...], *, least: Severity = Severity.WARNING) -> pa.Table:
    """The rows in which Findings of at least this severity lie, with their number (`_row`) and the reasons (`_why`)."""
    grave = [Severity.INFO, Severity.WARNING, Severity.ERROR]
    kept = [f for f in faults if f.places is not None and grave.index(f.finding.severity) >= grave.index(least)]
    why: dict[int, str] = {}
    for fault in kept:
        told = f"{fault.finding.anomaly} {fault.finding.subject}"
        for place in () if fault.places is None else fault.places.tolist():
            why[place] = f"{why[place]}; {told}" if place in why else told
    pieces = list(_taken(scan(source), np.array(sorted(why), np.int64)))
    found = pa.concat_tables(pieces, promote_options="permissive")
    places = sorted(why)
    told_rows = pa.array([place + 1 for place in places], pa.int64())
    reasons = pa.array([why[place] for place in places], pa.string())
    return found.append_column("_row", told_rows).append_column("_why", reasons)


def _taken(scanned: Scan, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[pa.Table]:
    """The rows of these numbers, batch by batch."""
    yield scanned.schema.empty_table()
    start = 0
    for batch in scanned:
        low, high = np.searchsorted(places, [start, start + batch.num_rows])
        if low < high:
            yield pa.Table.from_batches([batch]).take(pa.array((places[low:high] - start).tolist(), pa.int64()))
        start += batch.num_rows


__all__ = ["ROWS", "again", "check", "compare", "examine", "quarantine"]
