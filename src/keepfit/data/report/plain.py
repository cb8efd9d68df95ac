"""A Profile as JSON: numbers to read, and everything needed to have the Profile back."""

from __future__ import annotations

from typing import Any

import msgspec

from keepfit.core.errors import DataInvalid, SpecInvalid
from keepfit.core.registry import from_plain, to_plain
from keepfit.data.profile import NUMBERS, Kind, Profile, Statistics, histogram
from keepfit.data.report.words import SHARES, moment

_FORM = 1
_MARK = "keepfit_profile"


def to_json(found: Profile) -> bytes:
    """The Profile as JSON; `from_json` gives it back unchanged."""
    plain = {_MARK: _FORM, "summary": summary(found), "profile": to_plain(found)}
    return msgspec.json.format(msgspec.json.encode(plain), indent=1)


def is_profile(data: bytes) -> bool:
    """Whether bytes are a Profile as `to_json` writes it."""
    return data[:64].lstrip().startswith(b"{") and f'"{_MARK}"'.encode() in data[:64]


def from_json(data: bytes) -> Profile:
    """The Profile behind `to_json`; DataInvalid where the bytes are none."""
    try:
        plain = msgspec.json.decode(data)
        if plain[_MARK] != _FORM:
            raise DataInvalid(f"the profile has form {plain[_MARK]}; expected {_FORM}: profile the data again")
        return from_plain(Profile, plain["profile"])
    except (msgspec.DecodeError, SpecInvalid, KeyError, TypeError) as error:
        raise DataInvalid(f"not a profile as `keepfit profile --json` prints it: {error}") from error


def summary(found: Profile) -> dict[str, Any]:
    """What people read in a Profile, as plain data."""
    told: dict[str, Any] = {"rows": found.rows, "columns": [_column(column) for column in found.columns]}
    if found.skipped:
        told["skipped"] = found.skipped
    if found.weight:
        told["weight"] = found.weight
    if found.slices:
        told["slices"] = [{"column": one.column, "value": one.value, **summary(one.profile)} for one in found.slices]
    if found.correlations is not None:
        names, matrix = found.correlations.names, found.correlations.matrix()
        told["correlations"] = {
            a: {b: None if value != value else value for b, value in zip(names, row.tolist(), strict=True)}
            for a, row in zip(names, matrix, strict=True)
        }
    if found.relation is not None:
        told["label"] = {
            "column": found.relation.names[0],
            "entropy_nats": found.relation.entropy(),
            "mutual_information_nats": dict(found.relation.information()),
        }
    return told


def _column(column: Statistics) -> dict[str, Any]:
    told: dict[str, Any] = {"name": column.name, "kind": str(column.kind), "rows": column.rows}
    told |= {"present": column.present, "missing": column.missing, "missing_share": column.missing_share}
    told |= {
        name: getattr(column, name)
        for name in ("nan", "empty", "infinite", "zeros", "negatives", "invalid")
        if getattr(column, name)
    }
    if column.kind not in (Kind.TENSOR, Kind.OTHER):
        told["distinct"] = {"count": column.distinct.count, "relative_error": column.distinct.error}
        told["top"] = [{"value": value, "count": count} for value, count in column.frequent.top(10)]
        told["top_count_error"] = column.frequent.shortfall
    if column.kind in NUMBERS and column.finite:
        told |= _numbers(column)
    if column.lengths.count:
        told["lengths"] = {**to_plain(column.lengths), "mean": column.lengths.mean}
    if column.valency.count:
        told["valency"] = {**to_plain(column.valency), "mean": column.valency.mean}
    if column.elements is not None:
        told["elements"] = _column(column.elements)
    if column.weighted is not None:
        one = column.weighted
        told["weighted"] = {
            "present": one.present,
            "missing": one.missing,
            "mean": one.moments.mean,
            "deviation": one.moments.deviation,
            "quantiles": dict(zip(map(str, SHARES), one.quantiles.at(SHARES), strict=False)),
        }
    return told


def _numbers(column: Statistics) -> dict[str, Any]:
    edges, counts = histogram(column)
    told: dict[str, Any] = {"mean": column.mean, "deviation": column.deviation}
    told |= {"minimum": column.minimum, "maximum": column.maximum}
    told["quantiles"] = dict(zip(map(str, SHARES), column.at(SHARES), strict=True))
    told["quantiles_rank_error"] = column.quantiles.error
    told["histogram"] = {"edges": edges, "counts": counts}
    if column.kind is Kind.TIME:
        told |= {"first": moment(column.minimum), "last": moment(column.maximum)}
    return told
