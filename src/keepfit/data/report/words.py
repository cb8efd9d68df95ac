"""How numbers of a Profile are written for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from keepfit.data.profile import NUMBERS, Kind, Statistics
from keepfit.data.profile.frequent import Value
from keepfit.data.profile.statistics import worded

SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""The quantiles that reports tell."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = {0.0: "minimum", 0.25: "quartile 1", 0.5: "median", 0.75: "quartile 3", 1.0: "maximum"}


def number(value: float) -> str:
    """A number in at most six digits, whole ones with commas.

    >>> number(1234567.0), number(0.000123456789), number(1.5)
    ('1,234,567', '0.000123457', '1.5')
    """
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.6g}"


def moment(micros: float | None) -> str:
    """A time in microseconds since 1970 as it is written; the number itself beyond the calendar."""
    if micros is None:
        return ""
    try:
        found = _EPOCH + timedelta(microseconds=int(micros))
    except OverflowError:
        return number(micros)
    return found.replace(tzinfo=None).isoformat(" ", "seconds" if found.microsecond == 0 else "microseconds")


def amount(column: Statistics, value: float) -> str:
    """A value of a column: a number or a time."""
    return moment(value) if column.kind is Kind.TIME else number(value)


def said(column: Statistics, value: Value) -> str:
    """One of a column's values, on one line."""
    if isinstance(value, str):
        return value if len(value) <= 60 else value[:59] + "…"
    return amount(column, value) if column.kind is Kind.TIME else worded(value)


def share(part: float, whole: float) -> str:
    """A part as a percentage; never 0 % for what is there, nor 100 % while something is not.

    >>> share(1, 1_000_000), share(0, 5), share(999_999, 1_000_000), share(1, 4)
    ('<0.01 %', '0 %', '>99.99 %', '25 %')
    """
    if not part or not whole:
        return "0 %"
    if part == whole:
        return "100 %"
    percent = 100 * part / whole
    if percent < 0.01 or percent > 99.99:
        return "<0.01 %" if percent < 50 else ">99.99 %"
    return f"{percent:.4g} %"


def distinct(column: Statistics) -> str:
    """How many different values there are, with ≈ where that is an estimate."""
    return f"{'' if column.distinct.exact else '≈ '}{column.distinct.count:,}"


def facts(column: Statistics) -> Iterator[tuple[str, str]]:
    """All that is known of a column but its values: what, and how much."""
    yield "kind", str(column.kind)
    yield "rows", f"{column.rows:,}"
    yield "missing", f"{column.missing:,} ({share(column.missing, column.rows)})"
    for name in ("nan", "empty", "infinite", "zeros", "negatives", "invalid"):
        count = getattr(column, name)
        if count:
            yield {"nan": "NaN", "invalid": "invalid UTF-8"}.get(name, name), f"{count:,}"
    if column.kind not in (Kind.TENSOR, Kind.OTHER, Kind.NOTHING):
        yield "distinct", distinct(column)
    if column.kind in NUMBERS and column.finite:
        yield "mean", amount(column, column.mean)
        if column.kind is not Kind.TIME:
            yield "standard deviation", number(column.deviation)
        for part, value in zip(SHARES, column.at(SHARES), strict=True):
            yield _NAMES.get(part, f"{part:.0%} quantile"), amount(column, value)
    for what, lengths in (("characters", column.lengths), ("elements", column.valency)):
        if lengths.count:
            yield what, f"{lengths.shortest:,} to {lengths.longest:,}, mean {number(lengths.mean)}"
    if column.weighted is not None:
        yield "weight present", number(column.weighted.present)
        if column.weighted.moments.weight:
            yield "weighted mean", amount(column, column.weighted.moments.mean)
            yield "weighted median", amount(column, column.weighted.quantiles.at([0.5])[0])
