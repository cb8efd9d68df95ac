"""Rows looked at piece by piece, in constant memory: batch by batch, and file by file on several processes.

What each row shows by itself is added up over the pieces. The few columns that must be seen whole (times, for their
rhythm; values that may stand once; texts with more values than a Profile keeps) are kept, and nothing else of a row is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter

import pyarrow as pa

from keepfit.core.nouns import Finding
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.contents import contents
from keepfit.data.anomalies.faults import Fault, absent_in, is_text, whole
from keepfit.data.anomalies.pinpoint import pinpointed
from keepfit.data.anomalies.rowwise import asked_of_rows, repeated, rowwise
from keepfit.data.anomalies.sentinels import sentinels, suspected
from keepfit.data.anomalies.times import times
from keepfit.data.check.columns import of_column, of_columns
from keepfit.data.profile import Kind, Statistics
from keepfit.data.profile.hashing import hash_texts
from keepfit.data.scan import Scan
from keepfit.data.schema import UNCHECKED, Expectation
from keepfit.data.spread import Spread

_Key = tuple[str, str, str]  # anomaly, subject, and how the sentence begins


@dataclass(frozen=True)
class _Asked:
    """What is looked for in every piece: the case, the Findings to be pinned, the columns to be kept, and those of
    them of which only hashes are needed; `most` row numbers are kept of each Fault."""

    case: Case
    findings: tuple[Finding, ...]
    kept: tuple[str, ...]
    hashed: frozenset[str]
    most: int | None

    @property
    def looks(self) -> bool:
        """Whether there is anything to look for in the rows."""
        return bool(self.findings or self.kept or asked_of_rows(self.case))


@dataclass(frozen=True)
class _Piece:
    """How many rows there were, what is wrong with them by itself, and the columns that were to be kept."""

    rows: int
    faults: tuple[Fault, ...]
    kept: pa.Table


def of_rows(case: Case, scanned: Scan, *, most: int | None, workers: Spread | None) -> Iterator[Fault]:
    """All Findings of the columns and of the rows, with the rows in which they lie."""
    kept, texts = tuple(_whole(case)), frozenset(_texts(case))
    findings = tuple(of_columns(case, but=texts))
    hashed = frozenset(name for name in kept if name not in texts and _once(case, name))
    asked = _Asked(case, findings, kept, hashed, most)
    faults, table = _looked(asked, scanned, workers)
    pinned = iter(faults)
    late = replace(case, table=table)
    by_subject: dict[str, list[Fault]] = {}
    for finding in findings:
        by_subject.setdefault(finding.subject, []).append(next(pinned))
    for expected in case.schema.columns:
        if expected.name in texts:
            yield from (pinpointed(late, finding) for finding in of_column(late, expected))
        else:
            yield from by_subject.pop(expected.name, ())
    for told in by_subject.values():
        yield from told
    found = [*pinned]
    for look in (repeated, contents, times, sentinels):
        found += look(late, table)
    yield from (fault.over(case.profile.rows) for fault in found if fault.count or fault.places is None)


def _looked(asked: _Asked, scanned: Scan, workers: Spread | None) -> tuple[list[Fault], pa.Table]:
    """The Faults of all rows, those of the Findings first, and the columns that were kept."""
    if not asked.looks:
        return [], pa.table({})
    look = partial(_of_part, asked=asked)
    parts = scanned.parts
    pieces = map(look, parts) if workers is None or len(parts) == 1 else workers.map(look, parts)
    faults: dict[int | _Key, Fault] = {}
    tables: list[pa.Table] = []
    rows = 0
    for piece in pieces:
        _add(faults, piece.faults, rows, asked)
        tables.append(piece.kept)
        rows += piece.rows
    kept = pa.concat_tables(tables, promote_options="permissive")
    places = range(len(asked.findings))
    return [faults[place] for place in places] + [f for key, f in faults.items() if not isinstance(key, int)], kept


def _of_part(part: Scan, asked: _Asked) -> _Piece:
    """What one file, or whatever it is, shows."""
    faults: dict[int | _Key, Fault] = {}
    tables = [_kept(part.schema.empty_table(), asked)]
    rows = 0
    for batch in part:
        table = pa.Table.from_batches([batch])
        case = replace(asked.case, table=table)
        found = (*(pinpointed(case, finding) for finding in asked.findings), *rowwise(case, table))
        _add(faults, found, rows, asked)
        tables.append(_kept(table, asked))
        rows += batch.num_rows
    ordered = sorted(((k, f) for k, f in faults.items() if isinstance(k, int)), key=itemgetter(0))
    others = [fault for key, fault in faults.items() if not isinstance(key, int)]
    kept = pa.concat_tables(tables, promote_options="permissive")
    return _Piece(rows, (*(fault for _, fault in ordered), *others), kept)


def _add(faults: dict[int | _Key, Fault], found: tuple[Fault, ...], rows: int, asked: _Asked) -> None:
    """Join the Faults of a piece, before which so many rows lie, to those of the pieces before."""
    for place, fault in enumerate(found):
        finding = fault.finding
        key = place if place < len(asked.findings) else (finding.anomaly, finding.subject, fault.told)
        known = faults.get(key)
        room = None if asked.most is None or known is None or known.places is None else asked.most - known.places.size
        later = fault.after(rows, asked.most if known is None else room)
        faults[key] = later if known is None else known | later


def _kept(table: pa.Table, asked: _Asked) -> pa.Table:
    columns = {}
    for name in asked.kept:
        if name not in table.column_names:
            continue
        column = table[name]
        columns[name] = _hashes(whole(table, name)) if name in asked.hashed else column
    return pa.table(columns)


def _hashes(column: pa.Array) -> pa.Array:
    """Texts by their hashes: 8 bytes whatever they are; what is no value stays none. Others as they are."""
    if not is_text(column):
        return column
    absent = absent_in(column)
    return pa.array(hash_texts(column.fill_null(b"" if pa.types.is_binary(column.type) else "")), mask=absent)


def _whole(case: Case) -> Iterator[str]:
    """The columns that must be seen whole."""
    time = case.schema.time.column if case.schema.time is not None else ""
    needed = set(_texts(case))
    for column in case.profile.columns:
        expected = case.schema.column(column.name) or Expectation()
        declared = expected.stage not in UNCHECKED and (expected.tokens or expected.images)
        if (
            column.kind is Kind.TIME
            or column.name in (time, *needed)
            or declared
            or _once(case, column.name)
            or suspected(column)
        ):
            yield column.name


def _once(case: Case, name: str) -> bool:
    expected = case.schema.column(name)
    return expected is not None and expected.unique and expected.stage not in UNCHECKED


def _texts(case: Case) -> Iterator[str]:
    """Those of more different texts than a Profile keeps, each of which is asked about."""
    for expected in case.schema.columns:
        column = case.profile.column(expected.name)
        if column is not None and not column.frequent.exact and _asks(case, expected, column):
            yield expected.name


def _asks(case: Case, expected: Expectation, column: Statistics) -> bool:
    domain = case.schema.domain(expected)
    return column.kind is Kind.TEXT and bool(domain is not None or expected.holds or expected.truths)


__all__ = ["of_rows"]
