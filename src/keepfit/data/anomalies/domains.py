"""Domains: values that a column should not have."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.nouns import Finding, Severity
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import NUMBERS, Kind, Statistics
from keepfit.data.schema import Expectation
from keepfit.data.schema.inferring import MEANINGS, meaning_of

_SHOWN = 3


def numbers(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """Infinite numbers, NaN, and numbers out of range."""
    if column.infinite and not expected.infinite:
        sentence = f"column '{column.name}' has {column.infinite} infinite values; expected finite numbers"
        pair = (column.infinite, 0)
        yield case.tell(Anomaly.FLOAT_TYPE_HAS_INF, column.name, sentence, pair, count=column.infinite)
    if column.nan and not expected.nan:
        sentence = f"column '{column.name}' has {column.nan} NaN; expected none"
        yield case.tell(Anomaly.FLOAT_TYPE_HAS_NAN, column.name, sentence, (column.nan, 0), count=column.nan)
    if column.minimum is not None and column.maximum is not None and expected.constant is None:
        yield from _range(case, column, expected, (column.minimum, column.maximum))


def _range(case: Case, column: Statistics, expected: Expectation, found: tuple[float, float]) -> Iterator[Finding]:
    low, high = expected.minimum, expected.maximum
    whole = (expected.holds or expected.kind) is Kind.INTEGER
    shown = [f"{bound:.6g}" if bound is not None else "any" for bound in (low, high)]
    between = f"expected {shown[0]} to {shown[1]}"
    if low is not None and found[0] < low:
        anomaly = Anomaly.INT_TYPE_SMALL_INT if whole else Anomaly.FLOAT_TYPE_SMALL_FLOAT
        sentence = f"column '{column.name}' goes down to {found[0]:.6g}; {between}"
        yield case.tell(anomaly, column.name, sentence, (found[0], low))
    if high is not None and found[1] > high:
        anomaly = Anomaly.INT_TYPE_BIG_INT if whole else Anomaly.FLOAT_TYPE_BIG_FLOAT
        sentence = f"column '{column.name}' goes up to {found[1]:.6g}; {between}"
        yield case.tell(anomaly, column.name, sentence, (found[1], high))


def texts(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """Bytes that are no text; text that should hold numbers and does not, or numbers out of range."""
    if column.invalid and expected.images is None and expected.semantic != "image":
        sentence = f"column '{column.name}' has {column.invalid} texts that are not UTF-8"
        pair = (column.invalid, 0)
        yield case.tell(Anomaly.ENUM_TYPE_INVALID_UTF8, column.name, sentence, pair, count=column.invalid)
    if expected.holds not in (Kind.INTEGER, Kind.FLOAT) or column.kind is not Kind.TEXT:
        return
    whole = expected.holds is Kind.INTEGER
    found, wrong = [], []
    for value in values_of(case, column):
        try:
            found.append(int(value) if whole else float(value))
        except ValueError:
            wrong.append(value)
    if wrong:
        anomaly = Anomaly.INT_TYPE_NOT_INT_STRING if whole else Anomaly.FLOAT_TYPE_STRING_NOT_FLOAT
        sentence = f"column '{column.name}' has texts that are no {expected.holds}: {_told(wrong)}"
        yield case.tell(anomaly, column.name, sentence, (len(wrong), 0))
    if found:
        yield from _range(case, column, expected, (min(found), max(found)))


def truths(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """What is neither true nor false."""
    if expected.truths is None or not column.present:
        return
    low, high = column.minimum, column.maximum
    if column.kind is Kind.TEXT:
        known = {expected.truths.true, expected.truths.false} - {""}
        odd = [value for value in values_of(case, column) if value not in known]
        if odd:
            sentence = f"column '{column.name}' has {_told(odd)}; expected one of {sorted(known)}"
            yield case.tell(Anomaly.BOOL_TYPE_UNEXPECTED_STRING, column.name, sentence, (len(odd), 0))
    elif column.kind is Kind.INTEGER and low is not None and high is not None:
        for anomaly, value, beyond in (
            (Anomaly.BOOL_TYPE_BIG_INT, high, high > 1),
            (Anomaly.BOOL_TYPE_SMALL_INT, low, low < 0),
        ):
            if beyond:
                sentence = f"column '{column.name}' has {value:g}; expected 0 or 1"
                yield case.tell(anomaly, column.name, sentence, (value, high > 1))
    elif column.kind is Kind.FLOAT:
        odd_floats = [value for value in column.frequent.values if value not in (0, 1)]
        if odd_floats or column.nan or not column.frequent.exact:
            sentence = f"column '{column.name}' has values other than 0 and 1, as {_told(odd_floats or ['NaN'])}"
            yield case.tell(Anomaly.BOOL_TYPE_UNEXPECTED_FLOAT, column.name, sentence, (len(odd_floats), 0))


def unknown(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """Values that are not in the domain."""
    domain = case.schema.domain(expected)
    if domain is None or column.kind not in (Kind.TEXT, Kind.BOOLEAN) or column.kind is not expected.kind:
        return
    known = set(domain)
    if column.values is not None:
        new = [(value, count) for value, count in column.values if value not in known]
    else:
        new = _new_in_table(case, column.name, domain)
    rows = sum(count for _, count in new)
    total = column.rows if expected.rows else column.present
    if not new or rows / total <= expected.outside:
        return
    is_label = column.name == case.schema.label
    sentence = (
        f"column '{column.name}' has {len(new)} values never seen before in {rows / column.rows:.1%} of the rows: "
        f"{_told([value for value, _ in new])}"
    )
    yield case.tell(
        Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES,
        column.name,
        sentence,
        (rows / column.rows, expected.outside),
        severity=Severity.ERROR if is_label else None,
        count=rows,
    )


def _new_in_table(case: Case, name: str, domain: tuple[str, ...]) -> list[tuple[str, int]]:
    if case.table is None:
        return []
    values = case.table[name].cast(pa.string()).drop_null()
    new = values.filter(pc.invert(pc.is_in(values, pa.array(domain, pa.string()))))
    counted = new.filter(pc.not_equal(new, "")).value_counts().to_pylist()
    return [(one["values"], one["counts"]) for one in counted]


def distinct(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """Too many or too few different values; a value twice in a column where each may stand once."""
    count = column.distinct.count
    if expected.distinct is not None and column.kind not in (Kind.TEXT, Kind.INTEGER, Kind.BOOLEAN, Kind.NOTHING):
        sentence = f"column '{column.name}' is {column.kind}; different values are counted of texts and whole numbers"
        yield case.tell(Anomaly.FEATURE_TYPE_NO_UNIQUE, column.name, sentence)
    elif expected.distinct is not None:
        least, most = expected.distinct.least, expected.distinct.most
        if most is not None and count > most:
            sentence = f"column '{column.name}' has {count} different values; expected at most {most:g}"
            yield case.tell(Anomaly.FEATURE_TYPE_HIGH_UNIQUE, column.name, sentence, (count, most))
        if least is not None and count < least:
            sentence = f"column '{column.name}' has {count} different values; expected at least {least:g}"
            yield case.tell(Anomaly.FEATURE_TYPE_LOW_UNIQUE, column.name, sentence, (count, least))


def meaning(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """A column that is all addresses, and of which the Schema does not say so."""
    said = expected.semantic or expected.pattern or expected.holds or expected.tokens or expected.images
    if column.kind is not Kind.TEXT or said or case.schema.domain(expected) is not None or expected.truths:
        return
    name = meaning_of(column)
    if name:
        sentence = f"column '{column.name}' looks like {name} throughout; say 'semantic: {name}' to have it checked"
        yield case.tell(Anomaly.SEMANTIC_DOMAIN_UPDATE, column.name, sentence)


def form_of(expected: Expectation) -> str:
    """The regular expression a text must match, empty for none."""
    return expected.pattern or MEANINGS.get(expected.semantic, "")


def values_of(case: Case, column: Statistics) -> list[str]:
    """The different texts of a column: all where they are known, else the frequent ones."""
    if column.frequent.exact or case.table is None:
        return [str(value) for value in column.frequent.values]
    return [value for value in pc.unique(case.table[column.name]).to_pylist() if value]


def _told(values: list[str] | list[str | int | float]) -> str:
    return ", ".join(repr(value) for value in values[:_SHOWN]) + (", ..." if len(values) > _SHOWN else "")


__all__ = ["NUMBERS", "distinct", "form_of", "meaning", "numbers", "texts", "truths", "unknown", "values_of"]
