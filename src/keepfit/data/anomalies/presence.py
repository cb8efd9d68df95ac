"""Presence: columns and values that should be there, how many of them, and of what kind."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt

from keepfit.core.nouns import Finding, Severity
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import Kind, Statistics
from keepfit.data.schema import Between, Expectation

_MISSING_SLACK = 0.05
_BY_CHANCE = 1e-3


def absent(case: Case, expected: Expectation) -> Finding | None:
    """Tell of a column that is not there, if it should be."""
    if expected.optional or not case.schema.holds(expected, case.environment):
        return None
    sentence = f"column '{expected.name}' is absent; expected {expected.kind}"
    return case.tell(Anomaly.SCHEMA_MISSING_COLUMN, expected.name, sentence, (0, 1))


def kind(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """Another kind than expected; whole numbers pass for fractions, no values for anything."""
    if expected.kind is None:
        return
    inner = column.elements
    while inner is not None and inner.elements is not None:
        inner = inner.elements
    if (
        inner is not None
        and expected.elements not in (None, Kind.NOTHING, inner.kind)
        and inner.kind is not Kind.NOTHING
    ):
        sentence = f"column '{column.name}' has lists of {inner.kind}; expected lists of {expected.elements}"
        yield case.tell(Anomaly.UNEXPECTED_DATA_TYPE, column.name, sentence, (0, 1), count=column.present)
    fits = column.kind in (expected.kind, Kind.NOTHING) or expected.kind is Kind.NOTHING
    if not fits and (column.kind, expected.kind) != (Kind.INTEGER, Kind.FLOAT):
        sentence = f"column '{column.name}' is {column.kind}; expected {expected.kind}"
        yield case.tell(Anomaly.UNEXPECTED_DATA_TYPE, column.name, sentence, (0, 1), count=column.present)


def presence(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """Too few rows with a value, by what was learnt, give or take chance, or by what was declared, to the letter."""
    demanded = bool(expected.required or expected.required_rows)
    if demanded and not column.present and case.schema.holds(expected, case.environment):
        sentence = f"column '{column.name}' has no value in any of {column.rows} rows"
        yield case.tell(Anomaly.FEATURE_TYPE_NOT_PRESENT, column.name, sentence, (0, 1), count=column.missing)
        return
    share = 1 - column.missing_share
    if expected.required is not None and share < expected.required:
        sentence = f"column '{column.name}' has values in {share:.1%} of the rows; expected {expected.required:.1%}"
        measured = (share, expected.required)
        yield case.tell(
            Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT, column.name, sentence, measured, count=column.missing
        )
    if expected.required_rows is not None and column.present < expected.required_rows:
        sentence = f"column '{column.name}' has values in {column.present} rows; expected {expected.required_rows}"
        pair = (column.present, expected.required_rows)
        yield case.tell(Anomaly.FEATURE_TYPE_LOW_NUMBER_PRESENT, column.name, sentence, pair, count=column.missing)


def missing(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """More values missing than was learnt; an empty column where nothing was said of that."""
    share, usual = column.missing_share, expected.missing
    if usual is None:
        demanded = bool(expected.required or expected.required_rows)
        if not column.present and not demanded and expected.kind is not Kind.NOTHING and expected.required_rows is None:
            sentence = f"column '{column.name}' is empty in all {column.rows} rows"
            yield case.tell(Anomaly.EMPTY_COLUMN, column.name, sentence, (0, 1), count=column.missing)
        return
    noise = 3 * sqrt(usual * (1 - usual) / column.rows)
    if share > usual + _MISSING_SLACK + noise:
        sentence = f"column '{column.name}' is missing in {share:.1%} of the rows; expected about {usual:.1%}"
        yield case.tell(
            Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT,
            column.name,
            sentence,
            (share, usual),
            severity=Severity.WARNING,
            count=column.missing,
        )


def valency(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """Lists that are too long or too short, at any level, or nested otherwise; a shape that does not hold."""
    levels = list(_levels(column))
    if expected.lengths and len(levels) != len(expected.lengths):
        sentence = f"column '{column.name}' is nested {len(levels)} deep; expected {len(expected.lengths)}"
        pair = (len(levels), len(expected.lengths))
        yield case.tell(Anomaly.VALUE_NESTEDNESS_MISMATCH, column.name, sentence, pair)
    elif column.present:
        for found, asked in zip(levels, expected.lengths, strict=False):
            yield from _lengths(case, column, found, asked)
    if expected.shape is not None:
        reason = _misshapen(column, levels, expected.shape)
        if reason:
            sentence = f"column '{column.name}' {reason}; expected the shape {list(expected.shape)} in every row"
            yield case.tell(Anomaly.INVALID_FEATURE_SHAPE, column.name, sentence)


def _levels(column: Statistics) -> Iterator[tuple[int, int]]:
    if column.kind is not Kind.TENSOR:
        yield 1, 1
        return
    inner: Statistics | None = column
    while inner is not None and inner.kind is Kind.TENSOR:
        yield inner.valency.shortest, inner.valency.longest
        inner = inner.elements


def _lengths(case: Case, column: Statistics, found: tuple[int, int], asked: Between) -> Iterator[Finding]:
    if asked.least is not None and found[0] < asked.least:
        sentence = f"column '{column.name}' has rows of {found[0]} values; expected at least {asked.least:g}"
        yield case.tell(Anomaly.FEATURE_TYPE_LOW_NUMBER_VALUES, column.name, sentence, (found[0], asked.least))
    if asked.most is not None and found[1] > asked.most:
        sentence = f"column '{column.name}' has rows of {found[1]} values; expected at most {asked.most:g}"
        yield case.tell(Anomaly.FEATURE_TYPE_HIGH_NUMBER_VALUES, column.name, sentence, (found[1], asked.most))


def _misshapen(column: Statistics, levels: list[tuple[int, int]], shape: tuple[int, ...]) -> str:
    if column.missing and column.missing > column.nan:
        return f"is missing in {column.missing} rows"
    if any(shortest != longest for shortest, longest in levels):
        return f"has from {levels[0][0]} to {levels[0][1]} values in a row"
    if prod(shortest for shortest, _ in levels) != prod(shape):
        return f"has rows of shape {[shortest for shortest, _ in levels]}"
    return ""


def still(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """A constant woke up, or a varying column went still: told where chance alone would hardly do that."""
    now = column.constant
    if not expected.rows:
        return
    if expected.constant is not None and now is None:
        usual = dict(column.values or ()).get(expected.constant, 0) if expected.constant else column.missing
        odd = column.rows - usual
        chance = (column.rows / (column.rows + expected.rows)) ** odd
        sentence = (
            f"column '{column.name}' was always {expected.constant or 'missing'} and is not in "
            f"{odd / column.rows:.1%} of the rows now"
        )
        anomaly = Anomaly.FEATURE_ALIVE
    elif expected.constant is None and now is not None:
        chance, odd = expected.usual**column.rows, column.rows
        sentence = f"column '{column.name}' varied and is now {now or 'missing'} in all {column.rows} rows"
        anomaly = Anomaly.FEATURE_DEAD
    else:
        return
    if chance < _BY_CHANCE:
        yield case.tell(anomaly, column.name, sentence, (chance, _BY_CHANCE), count=odd)
