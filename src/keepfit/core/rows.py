"""Rows: one row at a time held against Requirements, in a few comparisons a value."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from math import inf, isinf
from typing import Any

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Finding, FindingKind, Severity
from keepfit.core.requirements import Requirement, Requirements, RowRule

Checker = Callable[[Mapping[str, Any]], tuple[Finding, ...]]
Fault = tuple[str, str] | None
"""The anomaly of a value, and what is said of it."""

Look = Callable[[Any], Fault]

_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "float": (int, float),
    "boolean": (bool,),
    "text": (str, bytes),
    "tensor": (list, tuple),
}


def checker(requirements: Requirements) -> Checker:
    """A function that checks one row (names to values); made once, used for every request.

    >>> check = checker(Requirements((Requirement(name="fare", kind="float", least=0.0),)))
    >>> [finding.sentence for finding in check({"fare": -2.5})]
    ["column 'fare' is -2.5; expected at least 0"]
    """
    looks = tuple((one.name, one, look(one)) for one in requirements.columns)
    rules = tuple((rule, broken(rule)) for rule in requirements.rules)

    def check(row: Mapping[str, Any]) -> tuple[Finding, ...]:
        found: list[Finding] = []
        for name, requirement, wrong in looks:
            value = row.get(name)
            if value is not None:
                fault = wrong(value)
            elif name not in row and requirement.absent:
                fault = ("SCHEMA_MISSING_COLUMN", "is absent")
            else:
                fault = _absent(requirement)
            if fault is not None:
                found.append(finding(requirement, fault))
        found += [told(rule) for rule, breaks in rules if breaks([row.get(name) for name in rule.columns])]
        return tuple(found)

    return check


def told(rule: RowRule, *, count: int = 1) -> Finding:
    """What is told of so many rows that break a rule."""
    severity, sentence = Severity(rule.severity), f"the rule '{rule.text}' is broken"
    return Finding(rule.text, FindingKind.ANOMALY, severity, float(count), 0.0, sentence, "ROW_RULE_BROKEN", count)


_SHAPES = (ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant, ast.Load)
_COMPARED = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_RECKONED = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.And, ast.Or, ast.Not)


def broken(rule: RowRule) -> Callable[[Sequence[Any]], bool]:
    """A function that says whether the values of the rule's columns break it; no row that lacks one does.

    SpecInvalid for an expression that does more than compare and reckon: it comes from a Bundle, and is run.

    >>> broken(RowRule("a <= b", ("a", "b"), "c0 <= c1"))([3, 2])
    True
    """
    tree = ast.parse(rule.expression, mode="eval")
    strange = next((node for node in ast.walk(tree) if not isinstance(node, (*_SHAPES, *_COMPARED, *_RECKONED))), None)
    if strange is not None:
        raise SpecInvalid(f"the rule '{rule.text}' has {type(strange).__name__}; expected columns, numbers, texts")
    code, names = compile(tree, "<rule>", "eval"), [f"c{place}" for place in range(len(rule.columns))]

    def breaks(values: Sequence[Any]) -> bool:
        if any(value is None or value == "" or value != value for value in values):
            return False
        try:
            return not eval(code, {"__builtins__": {}}, dict(zip(names, values, strict=True)))  # noqa: S307  # see above
        except (ArithmeticError, TypeError):  # nothing that can be compared: the columns' kinds tell that
            return False

    return breaks


def finding(requirement: Requirement, fault: tuple[str, str], *, count: int = 1) -> Finding:
    """What is told of a fault in so many rows."""
    anomaly, said = fault
    severity = Severity(requirement.severity.get(anomaly, Severity.ERROR))
    sentence = f"column '{requirement.name}' {said}"
    return Finding(requirement.name, FindingKind.ANOMALY, severity, float(count), 0.0, sentence, anomaly, count)


def look(requirement: Requirement) -> Look:
    """A function that says the first thing that is wrong with a value of a column, None where nothing is."""
    looks = tuple(_looks(requirement))
    if len(looks) == 1:
        return looks[0]

    def first(value: Any) -> Fault:
        for one in looks:
            fault = one(value)
            if fault is not None:
                return fault
        return None

    return first


def _looks(requirement: Requirement) -> list[Look]:
    kind = requirement.kind
    looks = [_kind(kind)] if kind in _TYPES else []
    if kind in ("integer", "float"):
        looks.append(_number(requirement))
    if kind == "text" and requirement.absent:
        looks.append(_filled(requirement))
    if kind == "text" and requirement.domain is not None:
        looks.append(_member(frozenset(requirement.domain)))
    if requirement.pattern:
        looks.append(_form(re.compile(requirement.pattern)))
    if kind == "tensor" and requirement.lengths is not None:
        looks.append(_length(*requirement.lengths))
    return looks


def _absent(requirement: Requirement) -> Fault:
    return (requirement.absent, "has no value") if requirement.absent else None


def _kind(kind: str) -> Look:
    types = _TYPES[kind]
    truth = bool in types

    def wrong(value: Any) -> Fault:
        if isinstance(value, types) and (truth or value.__class__ is not bool):
            return None
        return "UNEXPECTED_DATA_TYPE", f"is {type(value).__name__}; expected {kind}"

    return wrong


def _number(requirement: Requirement) -> Look:
    low = -inf if requirement.least is None else requirement.least
    high = inf if requirement.most is None else requirement.most
    prefix = "INT_TYPE" if requirement.kind == "integer" else "FLOAT_TYPE"
    size = "INT" if requirement.kind == "integer" else "FLOAT"
    expected = between(requirement.least, requirement.most)

    def wrong(value: Any) -> Fault:
        if low <= value <= high and value not in (inf, -inf):
            return None
        if value != value:
            return ("FLOAT_TYPE_HAS_NAN", "is NaN") if not requirement.nan else _absent(requirement)
        if isinf(value):
            told = "is infinite; expected a finite number"
            return None if requirement.infinite else ("FLOAT_TYPE_HAS_INF", told)
        anomaly = f"{prefix}_SMALL_{size}" if value < low else f"{prefix}_BIG_{size}"
        return anomaly, f"is {value:.6g}; expected {expected}"

    return wrong


def between(least: float | None, most: float | None) -> str:
    """Bounds in words.

    >>> between(0.0, None), between(None, 9.5), between(0.0, 9.5)
    ('at least 0', 'at most 9.5', '0 to 9.5')
    """
    if least is None or most is None:
        return f"at least {least:.6g}" if least is not None else f"at most {most:.6g}" if most is not None else "any"
    return f"{least:.6g} to {most:.6g}"


def _filled(requirement: Requirement) -> Look:
    return lambda value: None if value else _absent(requirement)


def _member(known: frozenset[str]) -> Look:
    def wrong(value: Any) -> Fault:
        if value in known or not value:
            return None
        return "ENUM_TYPE_UNEXPECTED_STRING_VALUES", f"is {value!r:.80}, never seen before"

    return wrong


def _form(form: re.Pattern[str]) -> Look:
    def wrong(value: Any) -> Fault:
        if not isinstance(value, str) or not value or form.fullmatch(value):
            return None
        return "PATTERN_MISMATCH", f"is {value!r:.80}; expected it to match {form.pattern!r}"

    return wrong


def _length(least: float | None, most: float | None) -> Look:
    low, high = least or 0, inf if most is None else most

    def wrong(value: Any) -> Fault:
        if low <= len(value) <= high:
            return None
        anomaly = "FEATURE_TYPE_LOW_NUMBER_VALUES" if len(value) < low else "FEATURE_TYPE_HIGH_NUMBER_VALUES"
        return anomaly, f"has {len(value)} values; expected {between(least, most)}"

    return wrong
