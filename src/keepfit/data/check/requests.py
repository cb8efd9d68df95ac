"""Requests: a Schema compiled into what every single row must be, quickly checked at every request."""

from __future__ import annotations

from keepfit.core.nouns import Severity
from keepfit.core.requirements import Requirement, Requirements, RowRule
from keepfit.core.rows import Checker
from keepfit.core.rows import checker as checker_of
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.domains import form_of
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import Kind, Profile
from keepfit.data.rules import Rule
from keepfit.data.schema import Expectation, Schema

_PRESENCE = (Anomaly.SCHEMA_MISSING_COLUMN, Anomaly.FEATURE_TYPE_NOT_PRESENT)
_TOLD: dict[Kind, tuple[Anomaly, ...]] = {
    Kind.INTEGER: (Anomaly.INT_TYPE_BIG_INT, Anomaly.INT_TYPE_SMALL_INT),
    Kind.FLOAT: (
        Anomaly.FLOAT_TYPE_BIG_FLOAT,
        Anomaly.FLOAT_TYPE_SMALL_FLOAT,
        Anomaly.FLOAT_TYPE_HAS_NAN,
        Anomaly.FLOAT_TYPE_HAS_INF,
    ),
    Kind.TEXT: (Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES, Anomaly.PATTERN_MISMATCH),
    Kind.TENSOR: (Anomaly.FEATURE_TYPE_LOW_NUMBER_VALUES, Anomaly.FEATURE_TYPE_HIGH_NUMBER_VALUES),
}
"""The anomalies that a single value of a kind can have, beside being of another kind, or absent."""


def checker(schema: Schema, *, environment: str = "") -> Checker:
    """A function that checks one row (names to values); what needs many rows to tell is not looked at."""
    return checker_of(requirements(schema, environment=environment))


def requirements(schema: Schema, *, environment: str = "") -> Requirements:
    """What a Schema asks of every single row in an environment, rules too; of the label nothing, it comes later.

    A value that was never missing in what the Schema was learnt from, but is not `required`, is missed as a WARNING.
    """
    case = Case(schema=schema, profile=Profile(0, ()), environment=environment)
    here = [column for column in schema.columns if column.name != schema.label and schema.holds(column, environment)]
    absent = {column.name for column in schema.columns} - {column.name for column in here} | {schema.label}
    rules = [rule for rule in map(Rule, schema.rules) if absent.isdisjoint(rule.columns)]
    severity = case.severity(Anomaly.ROW_RULE_BROKEN, "").value
    return Requirements(
        tuple(_required(case, column) for column in here),
        tuple(RowRule(rule.text, rule.columns, rule.expression, severity) for rule in rules),
    )


def _required(case: Case, column: Expectation) -> Requirement:
    domain = case.schema.domain(column)
    ranged = column.constant is None
    return Requirement(
        name=column.name,
        kind=column.kind or "",
        absent=_absent(column),
        nan=column.nan,
        infinite=column.infinite,
        least=column.minimum if ranged else None,
        most=column.maximum if ranged else None,
        domain=domain if column.kind is Kind.TEXT and not column.outside else None,
        pattern=form_of(column),
        lengths=(column.lengths[0].least, column.lengths[0].most) if column.lengths else None,
        severity=_severity(case, column),
    )


def _absent(column: Expectation) -> str:
    if column.required == 1:
        return Anomaly.FEATURE_TYPE_NOT_PRESENT
    learnt = column.required is None and column.missing == 0
    return Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT if learnt else ""


def _severity(case: Case, column: Expectation) -> dict[str, str]:
    kind = column.kind or Kind.OTHER
    anomalies = (Anomaly.UNEXPECTED_DATA_TYPE, *_PRESENCE, *_TOLD.get(kind, ()))
    found = {one.value: case.severity(one, column.name) for one in anomalies}
    few = Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT
    found[few.value] = case.severity(few, column.name, Severity.WARNING)
    return {anomaly: severity.value for anomaly, severity in found.items() if severity is not Severity.ERROR}
