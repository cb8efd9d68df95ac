"""Requirements: what the values of a single request must be, compiled from a Schema and carried by a Bundle.

The process that serves a Bundle knows nothing of schemas; it only compares.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What the value of one column must be in every row; what is None or empty is not held to.

    `kind` is integer, float, boolean, text or tensor; `absent` the anomaly that a missing value is (null, NaN, empty
    text), empty where one may be missing; `least` and `most` bound numbers, `lengths` the elements of a list; text must
    be in the `domain` and match the `pattern`. `severity` has the severity of each anomaly that is no error.
    """

    name: str
    kind: str = ""
    absent: str = ""
    nan: bool = True
    infinite: bool = False
    least: float | None = None
    most: float | None = None
    domain: tuple[str, ...] | None = None
    pattern: str = ""
    lengths: tuple[float | None, float | None] | None = None
    severity: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RowRule:
    """A rule between the values of a row: its text, the columns, and an expression of them as c0, c1, … in order."""

    text: str
    columns: tuple[str, ...]
    expression: str
    severity: str = "error"


@dataclass(frozen=True)
class Requirements:
    """The Requirements of all columns, in order, and the rules between them."""

    columns: tuple[Requirement, ...] = ()
    rules: tuple[RowRule, ...] = ()
