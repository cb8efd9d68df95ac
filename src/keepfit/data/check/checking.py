"""Check a table, or only its Profile, against a Schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa

from keepfit.core.nouns import Finding, Severity
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.comparisons import compared, volume
from keepfit.data.anomalies.contents import contents
from keepfit.data.anomalies.declarations import unsound
from keepfit.data.anomalies.domains import distinct, meaning, numbers, texts, truths, unknown
from keepfit.data.anomalies.faults import Fault
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.anomalies.pinpoint import pinpointed
from keepfit.data.anomalies.presence import absent, kind, missing, presence, still, valency
from keepfit.data.anomalies.rowwise import asked_of_rows, rowwise
from keepfit.data.anomalies.sentinels import sentinels
from keepfit.data.anomalies.times import times
from keepfit.data.profile import Profile, Statistics, profile
from keepfit.data.schema import UNCHECKED, Expectation, Schema

ROWS = 10
"""So many row numbers are kept of each Finding."""

_OF_COLUMN: tuple[Callable[[Case, Statistics, Expectation], Iterator[Finding]], ...] = (
    kind,
    presence,
    missing,
    valency,
    numbers,
    texts,
    truths,
    unknown,
    distinct,
    meaning,
    still,
    compared,
)


def check(
    table: pa.Table,
    schema: Schema,
    *,
    environment: str = "",
    span: tuple[datetime, datetime] | None = None,
    now: datetime | None = None,
    rows: int = ROWS,
) -> tuple[Finding, ...]:
    """All that is out of line, in the Schema's order of columns, each with up to `rows` row numbers.

    ERROR: no rows, a column that is absent or of another type, numbers without end, labels that are missing, of a
    class never seen, or all the same. WARNING: more values missing, numbers out of range, categories never seen, a
    varying column that became constant or the reverse. INFO: columns nobody asked for. A Schema may say otherwise.
    """
    case = Case(schema=schema, profile=profile(table), table=table, environment=environment, span=span, now=now)
    return tuple(fault.pinned(rows) for fault in examine(case))


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


def examine(case: Case) -> tuple[Fault, ...]:
    """All Findings of a Case, with the rows in which they lie."""
    faults = [Fault(finding) for finding in (*unsound(case), *volume(case))]
    if not case.profile.rows:
        sentence = "the data has no rows"
        return (*faults, Fault(case.tell(Anomaly.NO_DATA_IN_SPAN, "rows", sentence, (0, 1))))
    faults += [pinpointed(case, finding) for finding in _columns(case)]
    if case.table is not None:
        for of_rows in (rowwise, contents, times, sentinels):
            faults += of_rows(case, case.table)
    else:
        for asked in asked_of_rows(case):
            sentence = f"'{asked}' cannot be checked without the rows; check the data itself"
            faults.append(Fault(case.tell(Anomaly.STATS_NOT_AVAILABLE, asked, sentence)))
    return tuple(faults)


def quarantine(table: pa.Table, faults: tuple[Fault, ...], *, least: Severity = Severity.WARNING) -> pa.Table:
    """The rows in which Findings of at least this severity lie, with their number (`_row`) and the reasons (`_why`)."""
    grave = [Severity.INFO, Severity.WARNING, Severity.ERROR]
    kept = [f for f in faults if f.mask is not None and grave.index(f.finding.severity) >= grave.index(least)]
    masks = [fault.mask for fault in kept if fault.mask is not None]
    places = np.flatnonzero(np.any(masks, axis=0)) if masks else np.zeros(0, np.int64)
    why = [
        "; ".join(
            f"{fault.finding.anomaly} {fault.finding.subject}"
            for fault, mask in zip(kept, masks, strict=True)
            if mask[at]
        )
        for at in places
    ]
    found = table.take(pa.array(places))
    return found.append_column("_row", pa.array(places + 1)).append_column("_why", pa.array(why, pa.string()))


def _columns(case: Case) -> Iterator[Finding]:
    for expected in case.schema.columns:
        column = case.profile.column(expected.name)
        if column is None:
            gone = absent(case, expected)
            if gone is not None:
                yield gone
        elif expected.stage in UNCHECKED:
            continue
        elif expected.name == case.schema.label:
            yield from _of_label(case, column, expected)
        else:
            for look in _OF_COLUMN:
                yield from look(case, column, expected)
    known = {expected.name for expected in case.schema.columns}
    for column in case.profile.columns:
        if column.name not in known:
            sentence = f"column '{column.name}' is not expected and ignored"
            yield case.tell(Anomaly.SCHEMA_NEW_COLUMN, column.name, sentence)


def _of_label(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    if not case.schema.holds(expected, case.environment):
        return
    if column.missing:
        sentence = f"the label '{column.name}' is missing in {column.missing} of {column.rows} rows"
        pair = (column.missing_share, 0.0)
        yield case.tell(Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT, column.name, sentence, pair, count=column.missing)
    for look in (kind, valency, numbers, texts, truths, unknown, distinct, compared):
        yield from look(case, column, expected)
    if column.constant:
        sentence = (
            f"the label '{column.name}' is {column.constant} in all {column.rows} rows; nothing can be learnt from one "
            "class"
        )
        yield case.tell(Anomaly.LABEL_CONSTANT, column.name, sentence, (1, 2))
