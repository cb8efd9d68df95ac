"""Profile: the statistics of a Dataset; two Profiles join into that of both together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from keepfit.core.errors import DataInvalid
from keepfit.data.profile.correlations import Correlations
from keepfit.data.profile.relation import Relation
from keepfit.data.profile.statistics import Statistics

C = TypeVar("C", Correlations, Relation)

SLICES = 100
"""A column with more values than these makes no slices."""


@dataclass(frozen=True)
class Profile:
    """The statistics of a Dataset; `a | b` (or `a + b`) is the Profile of both together.

    `slices` has a Profile for each value of the columns it was sliced by, `weight` names the column of the rows'
    weights, `relation` tells of the label, `skipped` counts broken rows that were left out.
    """

    rows: int
    columns: tuple[Statistics, ...]
    slices: tuple[SliceProfile, ...] = ()
    weight: str = ""
    correlations: Correlations | None = None
    relation: Relation | None = None
    skipped: int = 0

    def column(self, name: str) -> Statistics | None:
        """The statistics of a column, or None where there is no such column."""
        return next((column for column in self.columns if column.name == name), None)

    def __or__(self, other: Profile) -> Profile:
        names = [column.name for column in self.columns]
        if names != [column.name for column in other.columns] or self.weight != other.weight:
            raise DataInvalid("profiles of different columns cannot be added; profile the same columns of both")
        pairs = zip(self.columns, other.columns, strict=True)
        return replace(
            self,
            rows=self.rows + other.rows,
            columns=tuple(old | new for old, new in pairs),
            slices=_sliced(self, other),
            correlations=_measured_in_both(self.rows, self.correlations, other.rows, other.correlations),
            relation=_measured_in_both(self.rows, self.relation, other.rows, other.relation),
            skipped=self.skipped + other.skipped,
        )

    def __add__(self, other: Profile) -> Profile:
        return self | other


@dataclass(frozen=True)
class SliceProfile:
    """The Profile of the rows in which `column` has `value`; empty text stands for a missing value."""

    column: str
    value: str
    profile: Profile


def _sliced(old: Profile, new: Profile) -> tuple[SliceProfile, ...]:
    found: dict[tuple[str, str], Profile] = {}
    counts: dict[str, int] = {}
    for part in (*old.slices, *new.slices):
        key = (part.column, part.value)
        if key in found:
            found[key] |= part.profile
            continue
        found[key] = part.profile
        counts[part.column] = counts.get(part.column, 0) + 1
        if counts[part.column] > SLICES:
            raise too_many(part.column)
    return tuple(SliceProfile(column, value, found[column, value]) for column, value in sorted(found))


def too_many(column: str) -> DataInvalid:
    """Says that a column has too many values to slice by."""
    return DataInvalid(
        f"column '{column}' has more than {SLICES} values; expected a column of few values to slice by, such as a "
        "country or an hour"
    )


def _measured_in_both(rows: int, old: C | None, others: int, new: C | None) -> C | None:
    """What only one part has measured says nothing of both together, unless the other part has no rows."""
    if old is None or new is None:
        return old if not others else new if not rows else None
    return old | new
