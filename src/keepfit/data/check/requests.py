"""Requests: a single row checked against the Schema, quickly enough for every request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf, isinf, isnan
from typing import Any

from keepfit.core.nouns import Finding
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.domains import form_of
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import Kind, Profile
from keepfit.data.schema import UNCHECKED, Expectation, Schema

Checker = Callable[[Mapping[str, Any]], tuple[Finding, ...]]
Fault = tuple[Anomaly, str] | None
Look = Callable[[Any], Fault]

_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.FLOAT: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.TEXT: (str, bytes),
    Kind.TENSOR: (list, tuple),
}


def checker(schema: Schema, *, environment: str = "") -> Checker:
    """A function that checks one row (names to values); what needs many rows to tell is not looked at.

    Whether values are missing counts only where every row must have one (`required: 1`, or none missing of those learnt
    from). Made once, used for every request: a few comparisons a column.
    """
    case = Case(schema=schema, profile=Profile(0, ()), environment=environment)
    looks = tuple(
        (column.name, _needed(column), _looks(column, schema.domain(column)))
        for column in schema.columns
        if column.stage not in UNCHECKED and schema.holds(column, environment) and column.name != schema.label
    )

    def check(row: Mapping[str, Any]) -> tuple[Finding, ...]:
        found: list[Finding] = []
        for name, needed, each in looks:
            value = row.get(name)
            if value is None:
                if needed:
                    told = f"column '{name}' has no value" if name in row else f"column '{name}' is absent"
                    absent = Anomaly.FEATURE_TYPE_NOT_PRESENT if name in row else Anomaly.SCHEMA_MISSING_COLUMN
                    found.append(case.tell(absent, name, told, (0, 1), count=1))
                continue
            for look in each:
                fault = look(value)
                if fault is not None:
                    found.append(case.tell(fault[0], name, f"column '{name}' {fault[1]}", count=1))
                    break
        return tuple(found)

    return check


def _needed(column: Expectation) -> bool:
    return column.required == 1 or (column.required is None and column.missing == 0)


def _looks(column: Expectation, domain: tuple[str, ...] | None) -> tuple[Look, ...]:
    looks = [_kind(column)] if column.kind in _TYPES else []
    if column.kind in (Kind.INTEGER, Kind.FLOAT):
        looks.append(_number(column))
    if column.kind is Kind.TEXT and domain is not None and not column.outside:
        looks.append(_member(frozenset(domain)))
    if form_of(column):
        looks.append(_form(re.compile(form_of(column))))
    if column.kind is Kind.TENSOR and column.lengths:
        looks.append(_length(column))
    return tuple(looks)


def _kind(column: Expectation) -> Look:
    kind = column.kind or Kind.OTHER
    types = _TYPES[kind]
    truth = bool in types

    def look(value: Any) -> Fault:
        if isinstance(value, types) and (truth or value.__class__ is not bool):
            return None
        return Anomaly.UNEXPECTED_DATA_TYPE, f"is {type(value).__name__}; expected {kind}"

    return look


def _number(column: Expectation) -> Look:
    low = -inf if column.minimum is None or column.constant is not None else column.minimum
    high = inf if column.maximum is None or column.constant is not None else column.maximum
    whole = column.kind is Kind.INTEGER
    small = Anomaly.INT_TYPE_SMALL_INT if whole else Anomaly.FLOAT_TYPE_SMALL_FLOAT
    big = Anomaly.INT_TYPE_BIG_INT if whole else Anomaly.FLOAT_TYPE_BIG_FLOAT

    def look(value: Any) -> Fault:
        if low <= value <= high and value not in (inf, -inf):
            return None
        if isnan(value):
            return None if column.nan else (Anomaly.FLOAT_TYPE_HAS_NAN, "is NaN")
        if isinf(value):
            return None if column.infinite else (Anomaly.FLOAT_TYPE_HAS_INF, "is infinite; expected a finite number")
        return small if value < low else big, f"is {value:.6g}; expected {low:.6g} to {high:.6g}"

    return look


def _member(known: frozenset[str]) -> Look:
    def look(value: Any) -> Fault:
        if value in known or not value:
            return None
        return Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES, f"is {value!r:.80}, never seen before"

    return look


def _form(form: re.Pattern[str]) -> Look:
    def look(value: Any) -> Fault:
        if not isinstance(value, str) or form.fullmatch(value):
            return None
        return Anomaly.PATTERN_MISMATCH, f"is {value!r:.80}; expected it to match {form.pattern!r}"

    return look


def _length(column: Expectation) -> Look:
    bounds = column.lengths[0]
    least = 0 if bounds.least is None else bounds.least
    most = inf if bounds.most is None else bounds.most

    def look(value: Any) -> Fault:
        if least <= len(value) <= most:
            return None
        few = Anomaly.FEATURE_TYPE_LOW_NUMBER_VALUES
        anomaly = few if len(value) < least else Anomaly.FEATURE_TYPE_HIGH_NUMBER_VALUES
        return anomaly, f"has {len(value)} values; expected {least:g} to {most:g}"

    return look
