"""What a Profile tells, column by column."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from keepfit.core.nouns import Finding
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.comparisons import compared
from keepfit.data.anomalies.domains import distinct, meaning, numbers, texts, truths, unknown
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.anomalies.presence import absent, kind, missing, presence, still, valency
from keepfit.data.profile import Statistics
from keepfit.data.schema import UNCHECKED, Expectation

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


def of_columns(case: Case, but: Collection[str] = ()) -> Iterator[Finding]:
    """All Findings of all columns but some, in the Schema's order; then of columns it does not know."""
    for expected in case.schema.columns:
        if expected.name not in but:
            yield from of_column(case, expected)
    known = {expected.name for expected in case.schema.columns}
    for column in case.profile.columns:
        if column.name not in known:
            sentence = f"column '{column.name}' is not expected and ignored"
            yield case.tell(Anomaly.SCHEMA_NEW_COLUMN, column.name, sentence)


def of_column(case: Case, expected: Expectation) -> Iterator[Finding]:
    """All Findings of one column."""
    column = case.profile.column(expected.name)
    if column is None:
        gone = absent(case, expected)
        if gone is not None:
            yield gone
    elif expected.stage in UNCHECKED:
        return
    elif expected.name == case.schema.label:
        yield from _of_label(case, column, expected)
    else:
        for look in _OF_COLUMN:
            yield from look(case, column, expected)


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
