"""Changes: a Schema evolves by accepting Findings, one by one, and every change can be shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keepfit.core.errors import Conflict
from keepfit.core.nouns import Finding
from keepfit.data.profile import Profile, Statistics
from keepfit.data.schema.expectations import Between, Expectation, Schema, Stage
from keepfit.data.schema.inferring import expectation


@dataclass(frozen=True)
class Change:
    """One thing that two Schemas say differently; empty text where one says nothing."""

    subject: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.what} {self.before or '-'} -> {self.after or '-'}"


def diff(old: Schema, new: Schema) -> tuple[Change, ...]:
    """What a new Schema says that the old one does not, and the reverse."""
    found = list(_differing("schema", replace(old, columns=()), replace(new, columns=())))
    names = [column.name for column in old.columns]
    names += [column.name for column in new.columns if column.name not in set(names)]
    for name in names:
        before, after = old.column(name), new.column(name)
        if before is None or after is None:
            there = ("absent", "expected") if before is None else ("expected", "absent")
            found.append(Change(name, "column", *there))
        else:
            found += _differing(name, before, after)
    return tuple(found)


def _differing(subject: str, old: Any, new: Any) -> Sequence[Change]:
    found = []
    for one in dataclasses.fields(old):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if before == after:
            continue
        if isinstance(before, tuple) and isinstance(after, tuple) and all(isinstance(v, str) for v in before + after):
            gone, come = sorted(set(before) - set(after)), sorted(set(after) - set(before))
            before, after = ", ".join(gone) and f"without {gone}", ", ".join(come) and f"with {come}"
        found.append(Change(subject, one.name, _worded(before), _worded(after)))
    return found


def _worded(value: Any) -> str:
    return "" if value in (None, (), {}) else str(value)


def accept(schema: Schema, findings: Sequence[Finding], profile: Profile, *, environment: str = "") -> Schema:
    """The Schema under which these Findings, made on the profiled data, would not have been made.

    A column that is missing is from now on not in the `environment`, or without one deprecated. Conflict where a
    Finding cannot be accepted, because it is about the data and not about one column's expectations.
    """
    for finding in findings:
        schema = _accepted(schema, finding, profile, environment)
    return schema


def _accepted(schema: Schema, finding: Finding, profile: Profile, environment: str) -> Schema:
    found, expected = profile.column(finding.subject), schema.column(finding.subject)
    if finding.anomaly in ("SCHEMA_MISSING_COLUMN", "FEATURE_TYPE_NOT_PRESENT") and expected is not None:
        if environment:
            return _with(schema, replace(expected, not_in=(*expected.not_in, environment)))
        return _with(schema, replace(expected, stage=Stage.DEPRECATED))
    if finding.anomaly == "SCHEMA_NEW_COLUMN" and found is not None:
        return replace(schema, columns=(*schema.columns, expectation(found)))
    loosen = _LOOSENED.get(finding.anomaly)
    if loosen is None or found is None or expected is None:
        raise Conflict(
            f"{finding.anomaly} of '{finding.subject}' cannot be accepted by itself; edit the schema, or mend the data"
        )
    if expected.domain_of and finding.anomaly == "ENUM_TYPE_UNEXPECTED_STRING_VALUES":
        values = (*schema.domains.get(expected.domain_of, ()), *_values(found))
        return replace(schema, domains={**schema.domains, expected.domain_of: tuple(sorted(set(values)))})
    return _with(schema, loosen(expected, found))


def _with(schema: Schema, changed: Expectation) -> Schema:
    return replace(schema, columns=tuple(changed if c.name == changed.name else c for c in schema.columns))


def _values(found: Statistics) -> tuple[str, ...]:
    return tuple(str(value) for value in found.frequent.values)


def _wider_range(expected: Expectation, found: Statistics) -> Expectation:
    lows = [low for low in (expected.minimum, found.minimum) if low is not None]
    highs = [high for high in (expected.maximum, found.maximum) if high is not None]
    low = None if expected.minimum is None else min(lows)
    return replace(expected, minimum=low, maximum=None if expected.maximum is None else max(highs))


def _scarcer(expected: Expectation, found: Statistics) -> Expectation:
    share = 1 - found.missing_share
    return replace(
        expected,
        missing=None if expected.missing is None else max(expected.missing, found.missing_share),
        required=None if expected.required is None else min(expected.required, share),
        required_rows=None if expected.required_rows is None else min(expected.required_rows, found.present),
    )


def _longer(expected: Expectation, found: Statistics) -> Expectation:
    valency, first = found.valency, (*expected.lengths, Between())[0]
    least = None if first.least is None else min(first.least, valency.shortest)
    most = None if first.most is None else max(first.most, valency.longest)
    return replace(expected, shape=None, lengths=(Between(least, most), *expected.lengths[1:]))


def _other_distinct(expected: Expectation, found: Statistics) -> Expectation:
    asked = expected.distinct or Between()
    count = found.distinct.count
    least = None if asked.least is None else min(asked.least, count)
    return replace(expected, distinct=Between(least, None if asked.most is None else max(asked.most, count)))


def _relearnt(expected: Expectation, found: Statistics) -> Expectation:
    fresh = expectation(found)
    return replace(expected, kind=fresh.kind, rows=fresh.rows, constant=fresh.constant, usual=fresh.usual)


def _retyped(expected: Expectation, found: Statistics) -> Expectation:
    fresh = expectation(found)
    return replace(fresh, only_in=expected.only_in, not_in=expected.not_in, severity=expected.severity)


def _more_values(expected: Expectation, found: Statistics) -> Expectation:
    return replace(expected, domain=tuple(sorted({*(expected.domain or ()), *_values(found)})))


_LOOSENED: dict[str, Callable[[Expectation, Statistics], Expectation]] = {
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": _more_values,
    "FLOAT_TYPE_BIG_FLOAT": _wider_range,
    "FLOAT_TYPE_SMALL_FLOAT": _wider_range,
    "INT_TYPE_BIG_INT": _wider_range,
    "INT_TYPE_SMALL_INT": _wider_range,
    "FLOAT_TYPE_HAS_INF": lambda expected, _: replace(expected, infinite=True),
    "FLOAT_TYPE_HAS_NAN": lambda expected, _: replace(expected, nan=True),
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": _scarcer,
    "FEATURE_TYPE_LOW_NUMBER_PRESENT": _scarcer,
    "FEATURE_TYPE_HIGH_NUMBER_VALUES": _longer,
    "FEATURE_TYPE_LOW_NUMBER_VALUES": _longer,
    "INVALID_FEATURE_SHAPE": _longer,
    "FEATURE_TYPE_HIGH_UNIQUE": _other_distinct,
    "FEATURE_TYPE_LOW_UNIQUE": _other_distinct,
    "UNEXPECTED_DATA_TYPE": _retyped,
    "VALUES_REPEATED": lambda expected, _: replace(expected, unique=False),
    "PATTERN_MISMATCH": lambda expected, _: replace(expected, pattern=""),
    "FEATURE_ALIVE": _relearnt,
    "FEATURE_DEAD": _relearnt,
    "EMPTY_COLUMN": lambda expected, _: replace(expected, missing=1.0),
}
