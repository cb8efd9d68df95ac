"""Training-serving skew row by row: what was logged at serving time against the same transform run offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Finding, FindingKind, Measurement, Severity

_EXAMPLES = 5

MISMATCH = "TRAINING_SERVING_MISMATCH"
"""The anomaly of recorded values that are wrong: nothing that a model should learn from."""

_UNITS = {
    1.609344: "miles and kilometres",
    0.3048: "feet and metres",
    0.9144: "yards and metres",
    2.54: "inches and centimetres",
    0.45359237: "pounds and kilograms",
    28.349523: "ounces and grams",
    3.785412: "gallons and litres",
    1.852: "nautical miles and kilometres",
    3.6: "metres per second and kilometres per hour",
    60.0: "minutes and seconds, or hours and minutes",
    3600.0: "hours and seconds",
    86400.0: "days and seconds",
    100.0: "parts and per cent",
    1000.0: "units and thousands",
    1024.0: "units and binary thousands",
    1_000_000.0: "units and millions",
}
"""What is taken for another often enough to be named."""


@dataclass(frozen=True)
class Mismatch:
    """One column of the joined rows: how many differ, and examples of (id, logged, offline).

    `factor` is what most of the differing numbers were multiplied by, 0 where there is no such factor.
    """

    column: str
    rows: int
    differing: int
    examples: tuple[tuple[str, str, str], ...] = ()
    factor: float = 0.0

    @property
    def rate(self) -> float:
        """The share of the joined rows that differ."""
        return self.differing / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Joined:
    """Both sides by record id: a Mismatch per common column, Findings, and the ids that only one side has."""

    rows: int
    only_logged: int
    only_offline: int
    mismatches: tuple[Mismatch, ...]
    findings: tuple[Finding, ...]


def join(logged: Any, offline: Any, on: str, *, tolerance: float = 1e-6, allowed: float = 0.0) -> Joined:
    """Compare logged features with offline ones, record by record; Arrow tables or DataFrames that speak Arrow.

    Numbers differ where they are further apart than `tolerance` of the larger one. A column with a share of differing
    rows above `allowed` is a Finding. DataInvalid where `on` is missing, empty or repeated on a side.

    >>> logged = pa.table({"id": ["a", "b"], "km": [1.0, 1.609344]})
    >>> join(logged, pa.table({"id": ["b", "a"], "km": [1.0, 1.0]}), "id").findings[0].sentence[:63]
    'km: 50.0% of 2 rows differ from the offline value; those are 1.'
    """
    sides = {"logged": _table(logged), "offline": _table(offline)}
    places = {name: _places(table, on, name) for name, table in sides.items()}
    both = [key for key in places["logged"] if key in places["offline"]]
    rows = {
        name: table.take(pa.array([places[name][key] for key in both], pa.int64())) for name, table in sides.items()
    }
    names = [name for name in rows["logged"].column_names if name != on and name in rows["offline"].column_names]
    mismatches = tuple(
        _mismatch(name, both, rows["logged"][name], rows["offline"][name], tolerance=tolerance) for name in names
    )
    findings = tuple(_finding(one, allowed) for one in mismatches if one.rate > allowed)
    alone = [len(places[name]) - len(both) for name in ("logged", "offline")]
    return Joined(len(both), alone[0], alone[1], mismatches, findings)


def measured(monitor: str, found: Joined, names: tuple[str, ...]) -> tuple[Measurement, ...]:
    """A Measurement per feature: the share of rows that differ, with a note on a feature that was not compared."""
    compared = {one.column: one for one in found.mismatches}
    return tuple(_measurement(monitor, name, compared.get(name), found) for name in names)


def _measurement(monitor: str, name: str, one: Mismatch | None, found: Joined) -> Measurement:
    rate = one.rate if one else 0.0
    note = (
        "" if one and one.rows else "offline has no such column" if found.rows else "offline has none of these records"
    )
    return Measurement(
        monitor=monitor,
        subject=name,
        statistic=rate,
        p_value=0.0 if rate else 1.0,
        effect=rate,
        threshold=0.0,
        n_reference=found.rows,
        n_window=found.rows + found.only_logged,
        fired=rate > 0,
        note=note,
    )


def _table(source: Any) -> pa.Table:
    return source if isinstance(source, pa.Table) else pa.table(source)


def _places(table: pa.Table, on: str, side: str) -> dict[Any, int]:
    if on not in table.column_names:
        raise DataInvalid(f"{side}: expected a column {on!r} to join on, found {', '.join(table.column_names)}")
    keys = table[on].to_pylist()
    found = {key: row for row, key in enumerate(keys)}
    if None in found or len(found) < len(keys):
        raise DataInvalid(f"{side}: expected {on!r} in every row and never twice; keep one row per record")
    return found


def _mismatch(name: str, keys: list[Any], logged: pa.Array, offline: pa.Array, *, tolerance: float) -> Mismatch:
    numeric = all(_is_number(side.type) for side in (logged, offline))
    old, new = (_values(side, numeric) for side in (offline, logged))
    if numeric:
        with np.errstate(invalid="ignore"):
            apart = np.abs(new - old) > tolerance * np.maximum(np.abs(old), np.abs(new))
        differs = np.where(
            np.isfinite(old) & np.isfinite(new), apart, ~((old == new) | (np.isnan(old) & np.isnan(new)))
        )
    else:
        differs = np.array([a != b for a, b in zip(old.tolist(), new.tolist(), strict=True)], dtype=bool)
    where = np.flatnonzero(differs)
    examples = tuple((str(keys[row]), str(logged[row]), str(offline[row])) for row in where[:_EXAMPLES].tolist())
    return Mismatch(name, len(keys), where.size, examples, _factor(old[where], new[where]) if numeric else 0.0)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _values(column: pa.Array, numeric: bool) -> NDArray[Any]:
    if numeric:
        return np.asarray(pc.cast(column, pa.float64()).to_numpy())
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values


def _factor(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """The ratio that nine tenths of the differing rows share to a hundredth: a unit mistaken for another."""
    known = np.isfinite(old) & np.isfinite(new) & (old != 0)
    if not known.any():
        return 0.0
    ratios = new[known] / old[known]
    middle = float(np.median(ratios))
    shared = np.abs(ratios - middle) <= 0.01 * abs(middle)
    return middle if middle and shared.sum() >= 0.9 * old.size else 0.0


def _unit(factor: float) -> str:
    """Which units have that ratio, either way round."""
    for ratio, names in _UNITS.items():
        if any(abs(factor * one - 1) < 1e-3 for one in (ratio, 1 / ratio)):
            return f" ({names}?)"
    return ""


def _finding(one: Mismatch, allowed: float) -> Finding:
    factor = f"; those are {one.factor:.4g} times it{_unit(one.factor)}" if one.factor else ""
    key, logged, offline = one.examples[0]
    sentence = (
        f"{one.column}: {one.rate:.1%} of {one.rows} rows differ from the offline value{factor}; "
        f"{key}: {logged} for {offline}"
    )
    return Finding(
        one.column,
        FindingKind.SKEW,
        Severity.WARNING,
        one.rate,
        allowed,
        sentence,
        anomaly=MISMATCH,
        count=one.differing,
    )
