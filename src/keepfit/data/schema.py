"""Schema: expectations on values, learnt from a Profile and kept as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import LABEL
from keepfit.data.profile import Kind, Profile, Statistics

_SLACK = 0.5


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What is expected of one column.

    `missing` is the share of rows that may be missing; `minimum` and `maximum` bound its finite numbers; `domain`
    holds all values of text, None where there are too many to tell; `usual` is the largest share one value had, 1 for
    a constant (then `constant` is it). `rows` says on how many rows all this rests.
    """

    name: str
    kind: Kind
    rows: int
    missing: float = 0.0
    infinite: bool = False
    minimum: float | None = None
    maximum: float | None = None
    domain: tuple[str, ...] | None = None
    constant: str | None = None
    usual: float = 0.0


@dataclass(frozen=True)
class Schema:
    """Expectations on the columns of a Dataset; the one called `label` is held to more."""

    columns: tuple[Expectation, ...]
    label: str = LABEL


def infer(profile: Profile, *, label: str = LABEL) -> Schema:
    """Expect of later data what the profiled data showed; numbers may leave its range by half the range's width."""
    return Schema(tuple(_expected(column) for column in profile.columns), label)


def _expected(column: Statistics) -> Expectation:
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        slack = _SLACK * (high - low)
        low, high = low - slack, high + slack
    domain = None
    if column.kind in (Kind.TEXT, Kind.BOOLEAN) and column.values is not None:
        domain = tuple(sorted(value for value, _ in column.values))
    top = column.values[0][1] if column.values else 0
    return Expectation(
        name=column.name,
        kind=column.kind,
        rows=column.rows,
        missing=column.missing_share,
        infinite=column.infinite > 0,
        minimum=low,
        maximum=high,
        domain=domain,
        constant=column.constant,
        usual=max(top, column.missing) / column.rows if column.rows else 0.0,
    )
