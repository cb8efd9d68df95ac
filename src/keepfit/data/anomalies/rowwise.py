"""Row by row: what a Profile cannot tell, because it is about rows, and about columns together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Severity
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.domains import form_of
from keepfit.data.anomalies.faults import Fault, Mask, absent_in, is_text, truths_of, whole
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.rules import Rule
from keepfit.data.schema import UNCHECKED, Expectation, Sparse, WeightedBy


def rowwise(case: Case, table: pa.Table) -> Iterator[Fault]:
    """Patterns, lengths of text, rules between columns, sparse and weighted features: what every row shows by itself.

    A Fault in no row is told as well, so that every piece of a table has the same ones.
    """
    for expected in case.schema.columns:
        if expected.name in table.column_names and expected.stage not in UNCHECKED:
            yield from _of_column(case, whole(table, expected.name), expected)
    for text in case.schema.rules:
        yield from _rule(case, table, Rule(text))
    for sparse in case.schema.sparse:
        if sparse.stage not in UNCHECKED:
            yield from _sparse(case, table, sparse)
    for weighted in case.schema.weighted:
        if weighted.stage not in UNCHECKED:
            yield from _weighted(case, table, weighted)


def asked_of_rows(case: Case) -> tuple[str, ...]:
    """What the Schema asks that cannot be told without the rows."""
    columns = case.schema.columns
    asked = [column.name for column in columns if form_of(column) or column.characters or column.unique]
    asked += [column.name for column in columns if column.tokens or column.images]
    named = [one.name for one in case.schema.sparse] + [one.name for one in case.schema.weighted]
    time = [case.schema.time.column] if case.schema.time is not None else []
    return tuple(dict.fromkeys([*asked, *case.schema.rules, *named, *time]))


def _of_column(case: Case, column: pa.Array, expected: Expectation) -> Iterator[Fault]:
    form = form_of(expected)
    if form and is_text(column):
        mask = ~truths_of(pc.match_substring_regex(column, f"^(?:{form})$")) & ~absent_in(column)
        told = f"does not match {form!r}" if expected.pattern else f"is no {expected.semantic}"
        yield from _fault(case, Anomaly.PATTERN_MISMATCH, expected.name, f"column '{expected.name}' {told}", mask)
    if expected.characters is not None and is_text(column):
        least, most = expected.characters.least, expected.characters.most
        lengths = pc.utf8_length(column)
        mask = truths_of(pc.less(lengths, 0 if least is None else least))
        mask |= truths_of(pc.greater(lengths, float("inf") if most is None else most))
        told = f"column '{expected.name}' is shorter than {least} or longer than {most} characters"
        yield from _fault(case, Anomaly.TEXT_LENGTH, expected.name, told, mask)


def repeated(case: Case, table: pa.Table) -> Iterator[Fault]:
    """Values that stand twice where each may stand once."""
    for expected in case.schema.columns:
        if expected.unique and expected.name in table.column_names and expected.stage not in UNCHECKED:
            column = whole(table, expected.name)
            told = f"column '{expected.name}' has values that stood before"
            yield from _fault(
                case, Anomaly.VALUES_REPEATED, expected.name, told, _repeated(column) & ~absent_in(column)
            )


def _repeated(column: pa.Array) -> Mask:
    """Every value that stood in a row before."""
    codes = np.asarray(column.dictionary_encode().indices.fill_null(-1))
    _, first = np.unique(codes, return_index=True)
    mask = np.ones(len(column), np.bool_)
    mask[first] = False
    return mask


def _fault(case: Case, anomaly: Anomaly, subject: str, told: str, mask: Mask) -> Iterator[Fault]:
    yield Fault.at(case.tell(anomaly, subject, told, (0, 0)), mask, told)


def _rule(case: Case, table: pa.Table, rule: Rule) -> Iterator[Fault]:
    absent = sorted(set(rule.columns) - set(table.column_names))
    if absent:
        sentence = f"the rule '{rule.text}' cannot be checked: there are no columns {absent}"
        yield Fault(case.tell(Anomaly.STATS_NOT_AVAILABLE, rule.text, sentence))
        return
    plain = {name: whole(table, name) for name in rule.columns}
    try:
        broken = truths_of(rule.broken(plain))
    except DataInvalid as error:  # a column of another kind than the rule is for: data to be told of
        yield Fault(case.tell(Anomaly.STATS_NOT_AVAILABLE, rule.text, str(error), severity=Severity.ERROR))
        return
    yield from _fault(case, Anomaly.ROW_RULE_BROKEN, rule.text, f"the rule '{rule.text}' is broken", broken)


def _counts(table: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How many values each row has; -1 where the row, or the column, has none."""
    if name not in table.column_names:
        return np.full(table.num_rows, -1, np.int64)
    column = whole(table, name)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return np.asarray(pc.fill_null(pc.list_value_length(column), -1)).astype(np.int64)
    return np.where(absent_in(column), -1, 1).astype(np.int64)


def _sparse(case: Case, table: pa.Table, sparse: Sparse) -> Iterator[Fault]:
    values = _counts(table, sparse.value)
    places = [_counts(table, name) for name in sparse.index]
    some = np.any([counts >= 0 for counts in (values, *places)], axis=0)
    told = f"the sparse feature '{sparse.name}'"
    mask = (values < 0) & some
    yield from _fault(case, Anomaly.SPARSE_FEATURE_MISSING_VALUE, sparse.name, f"{told} has no values", mask)
    mask = np.any([counts < 0 for counts in places], axis=0) & some
    yield from _fault(case, Anomaly.SPARSE_FEATURE_MISSING_INDEX, sparse.name, f"{told} has no index", mask)
    mask = np.any([(counts != values) & (counts >= 0) & (values >= 0) for counts in places], axis=0)
    told = f"{told} has other numbers of values than of indexes"
    yield from _fault(case, Anomaly.SPARSE_FEATURE_LENGTH_MISMATCH, sparse.name, told, mask)


def _weighted(case: Case, table: pa.Table, weighted: WeightedBy) -> Iterator[Fault]:
    values, weights = _counts(table, weighted.value), _counts(table, weighted.weight)
    told = f"the weighted feature '{weighted.name}'"
    cases: tuple[tuple[Anomaly, str, Callable[[], Mask]], ...] = (
        (Anomaly.WEIGHTED_FEATURE_MISSING_VALUE, "has weights without values", lambda: (values < 0) & (weights >= 0)),
        (Anomaly.WEIGHTED_FEATURE_MISSING_WEIGHT, "has values without weights", lambda: (weights < 0) & (values >= 0)),
        (
            Anomaly.WEIGHTED_FEATURE_LENGTH_MISMATCH,
            "has other numbers of values than of weights",
            lambda: (values != weights) & (values >= 0) & (weights >= 0),
        ),
    )
    for anomaly, what, mask in cases:
        yield from _fault(case, anomaly, weighted.name, f"{told} {what}", mask())
