"""Check: a table held against a Schema. An ERROR means that nothing may be learnt from it."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

import pyarrow as pa

from keepfit.core.nouns import Finding, FindingKind, Severity
from keepfit.data.profile import Kind, Profile, Statistics, profile
from keepfit.data.schema import Expectation, Schema

_MISSING_SLACK = 0.05
_BY_CHANCE = 1e-3


def check(table: pa.Table, schema: Schema) -> tuple[Finding, ...]:
    """All that is out of line, in the Schema's order of columns.

    ERROR: no rows, a column that is absent or of another type, numbers without end, labels that are missing, of a
    class never seen, or all the same. WARNING: more values missing, numbers out of range, categories never seen, a
    varying column that became constant or the reverse. INFO: columns nobody asked for.
    """
    return compare(profile(table), schema)


def compare(found: Profile, schema: Schema) -> tuple[Finding, ...]:
    """`check` for data of which only the Profile is at hand."""
    if not found.rows:
        return (_finding("rows", Severity.ERROR, 0, 1, "the data has no rows"),)
    findings: list[Finding] = []
    for expected in schema.columns:
        column = found.column(expected.name)
        if column is None:
            sentence = f"column '{expected.name}' is absent; expected {expected.kind}"
            findings.append(_finding(expected.name, Severity.ERROR, 0, 1, sentence))
        elif expected.name == schema.label:
            findings += _of_label(column, expected)
        else:
            findings += _of_feature(column, expected)
    known = {expected.name for expected in schema.columns}
    extra = [column.name for column in found.columns if column.name not in known]
    findings += [_finding(name, Severity.INFO, 1, 0, f"column '{name}' is not expected and ignored") for name in extra]
    return tuple(findings)


def _finding(
    subject: str,
    severity: Severity,
    measured: float,
    expected: float,
    sentence: str,
    kind: FindingKind = FindingKind.ANOMALY,
) -> Finding:
    return Finding(subject, kind, severity, float(measured), float(expected), sentence)


def _of_label(column: Statistics, expected: Expectation) -> Iterator[Finding]:
    what = f"the label '{column.name}'"
    if column.missing:
        sentence = f"{what} is missing in {column.missing} of {column.rows} rows"
        yield _finding(column.name, Severity.ERROR, column.missing_share, 0, sentence)
    yield from _type(column, expected)
    yield from _endless(column, expected)
    yield from _unknown(column, expected, Severity.ERROR)
    yield from _range(column, expected)
    if column.constant:
        sentence = f"{what} is {column.constant} in all {column.rows} rows; nothing can be learnt from one class"
        yield _finding(column.name, Severity.ERROR, 1, 2, sentence)


def _of_feature(column: Statistics, expected: Expectation) -> Iterator[Finding]:
    yield from _type(column, expected)
    yield from _missing(column, expected)
    yield from _endless(column, expected)
    yield from _range(column, expected)
    yield from _unknown(column, expected, Severity.WARNING)
    yield from _still(column, expected)


def _type(column: Statistics, expected: Expectation) -> Iterator[Finding]:
    fits = column.kind in (expected.kind, Kind.NOTHING) or expected.kind is Kind.NOTHING
    if not fits and (column.kind, expected.kind) != (Kind.INTEGER, Kind.FLOAT):
        sentence = f"column '{column.name}' is {column.kind}; expected {expected.kind}"
        yield _finding(column.name, Severity.ERROR, 0, 1, sentence)


def _missing(column: Statistics, expected: Expectation) -> Iterator[Finding]:
    share = column.missing_share
    noise = 3 * sqrt(expected.missing * (1 - expected.missing) / column.rows)
    if share > expected.missing + _MISSING_SLACK + noise:
        sentence = (
            f"column '{column.name}' is missing in {share:.1%} of the rows; expected about {expected.missing:.1%}"
        )
        yield _finding(column.name, Severity.WARNING, share, expected.missing, sentence)


def _endless(column: Statistics, expected: Expectation) -> Iterator[Finding]:
    if column.infinite and not expected.infinite:
        sentence = f"column '{column.name}' has {column.infinite} infinite values; expected finite numbers"
        yield _finding(column.name, Severity.ERROR, column.infinite, 0, sentence)


def _range(column: Statistics, expected: Expectation) -> Iterator[Finding]:
    if column.minimum is None or column.maximum is None or expected.minimum is None or expected.maximum is None:
        return
    if expected.constant is not None:
        return  # a constant that varies is told of as such
    between = f"expected {expected.minimum:.6g} to {expected.maximum:.6g}"
    if column.minimum < expected.minimum:
        sentence = f"column '{column.name}' goes down to {column.minimum:.6g}; {between}"
        yield _finding(column.name, Severity.WARNING, column.minimum, expected.minimum, sentence)
    if column.maximum > expected.maximum:
        sentence = f"column '{column.name}' goes up to {column.maximum:.6g}; {between}"
        yield _finding(column.name, Severity.WARNING, column.maximum, expected.maximum, sentence)


def _unknown(column: Statistics, expected: Expectation, severity: Severity) -> Iterator[Finding]:
    if expected.domain is None or column.values is None or column.kind is not expected.kind:
        return
    new = [(value, count) for value, count in column.values if value not in set(expected.domain)]
    if new:
        share = sum(count for _, count in new) / column.rows
        told = ", ".join(repr(value) for value, _ in new[:3]) + (", ..." if len(new) > 3 else "")
        sentence = f"column '{column.name}' has {len(new)} values never seen before in {share:.1%} of the rows: {told}"
        yield _finding(column.name, severity, share, 0, sentence)


def _still(column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """A constant woke up, or a varying column went still: told where chance alone would hardly do that."""
    now = column.constant
    if expected.constant is not None and now is None:
        usual = dict(column.values or ()).get(expected.constant, 0) if expected.constant else column.missing
        odd = column.rows - usual
        chance = (column.rows / (column.rows + expected.rows)) ** odd
        sentence = (
            f"column '{column.name}' was always {expected.constant or 'missing'} and is not in "
            f"{odd / column.rows:.1%} of the rows now"
        )
        kind = FindingKind.ALIVE
    elif expected.constant is None and now is not None:
        chance = expected.usual**column.rows
        sentence = f"column '{column.name}' varied and is now {now or 'missing'} in all {column.rows} rows"
        kind = FindingKind.DEAD
    else:
        return
    if chance < _BY_CHANCE:
        yield _finding(column.name, Severity.WARNING, chance, _BY_CHANCE, sentence, kind)
