"""Suites of others: pandera's schemas and Great Expectations' suites as a Schema, saying what was not understood."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf, nextafter
from pathlib import Path
from typing import Any

from keepfit.core.errors import DataInvalid, NotFound
from keepfit.core.nouns import Severity
from keepfit.data.profile import Kind
from keepfit.data.schema import Between, Expectation, Schema
from keepfit.data.schema.files import load_yaml

Asked = Mapping[str, Any]

_TYPES = (
    (r"u?int(eger)?(\d+)?(type|_)?|long|bigint|smallint", Kind.INTEGER),
    (r"float(\d+)?|double(type)?|real|decimal.*|number", Kind.FLOAT),
    (r"bool(ean)?(_|type)?", Kind.BOOLEAN),
    (r"str(ing)?(\[.*\]|type|_)?|object|text|category|varchar", Kind.TEXT),
    (r"datetime(64)?.*|timestamp.*|date(type)?", Kind.TIME),
)


@dataclass(frozen=True)
class Suite:
    """What a suite of others says as a Schema, and each thing it says that a Schema has no words for."""

    schema: Schema
    not_understood: tuple[str, ...]


def read_suite(path: Path) -> Suite:
    """The suite in a file: pandera's YAML or JSON, or Great Expectations' JSON."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such suite") from error
    try:
        plain = json.loads(text) if text.lstrip().startswith("{") else load_yaml(text)
    except (json.JSONDecodeError, DataInvalid) as error:
        raise DataInvalid(f"{path}: {error}") from error
    if isinstance(plain, dict) and isinstance(plain.get("expectations"), list):
        return from_expectations(plain)
    if isinstance(plain, dict) and isinstance(plain.get("columns"), dict):
        return from_pandera(plain)
    raise DataInvalid(f"{path}: is neither a suite of Great Expectations ('expectations') nor of pandera ('columns')")


class _Columns:
    """Expectations by column while a suite is read."""

    def __init__(self) -> None:
        self.found: dict[str, Expectation] = {}
        self.rules: list[str] = []
        self.count: Between | None = None
        self.odd: list[str] = []

    def ask(self, name: str, **asked: Any) -> None:
        self.found[name] = replace(self.found.get(name, Expectation(name=name)), **asked)

    def bound(self, name: str, low: float | None, high: float | None) -> None:
        """The narrowest of all bounds asked for."""
        said = self.found.get(name, Expectation())
        lows = [one for one in (said.minimum, low) if one is not None]
        highs = [one for one in (said.maximum, high) if one is not None]
        self.ask(name, minimum=max(lows, default=None), maximum=min(highs, default=None))

    def suite(self, severity: dict[str, Severity] | None = None) -> Suite:
        # only what was said is held to: infinite numbers and empty columns are nobody's concern here
        columns = tuple(replace(c, infinite=True, required_rows=c.required_rows or 0) for c in self.found.values())
        schema = Schema(
            columns,
            label="",
            rules=tuple(self.rules),
            count=self.count,
            severity={"*": Severity.ERROR, "FEATURE_MISSING_TYPE": Severity.INFO, **(severity or {})},
        )
        return Suite(schema, tuple(self.odd))


def from_expectations(plain: Asked) -> Suite:
    """A suite of Great Expectations, before 1.0 and after."""
    columns = _Columns()
    for one in plain["expectations"]:
        name = str(one.get("expectation_type") or one.get("type") or "")
        asked = one.get("kwargs") or {}
        understand = _EXPECTED.get(name)
        try:
            understood = understand is not None and understand(columns, asked)
        except (KeyError, TypeError, ValueError):
            understood = False
        if not understood:
            columns.odd.append(f"{name} {json.dumps(asked, sort_keys=True, default=str)}")
    return columns.suite({"SCHEMA_NEW_COLUMN": Severity.INFO})


def _mostly(asked: Asked) -> float:
    return float(asked.get("mostly", 1.0))


def _exists(columns: _Columns, asked: Asked) -> bool:
    columns.ask(asked["column"], required_rows=1)
    return True


def _not_null(columns: _Columns, asked: Asked) -> bool:
    columns.ask(asked["column"], required=_mostly(asked))
    return True


def _in_set(columns: _Columns, asked: Asked) -> bool:
    values = asked["value_set"]
    if not values or not all(isinstance(value, str) for value in values):
        return False
    columns.ask(
        asked["column"], kind=Kind.TEXT, domain=tuple(dict.fromkeys(values)), outside=round(1 - _mostly(asked), 12)
    )
    return True


def _between(columns: _Columns, asked: Asked) -> bool:
    low, high = asked.get("min_value"), asked.get("max_value")
    if _mostly(asked) < 1 or not all(isinstance(end, int | float | None) for end in (low, high)):
        return False
    low = None if low is None else _beyond(low, inf, strict=asked.get("strict_min"))
    high = None if high is None else _beyond(high, -inf, strict=asked.get("strict_max"))
    columns.bound(asked["column"], low, high)
    return True


def _beyond(bound: float, towards: float, *, strict: Any) -> float:
    return nextafter(float(bound), towards) if strict else float(bound)


def _regex(columns: _Columns, asked: Asked) -> bool:
    if _mostly(asked) < 1:
        return False
    columns.ask(asked["column"], kind=Kind.TEXT, pattern=_searched(asked["regex"]))
    return True


def _searched(regex: str) -> str:
    """Others search for a pattern anywhere; ours is of the whole text."""
    re.compile(regex)
    return f"[\\s\\S]*(?:{regex})[\\s\\S]*"


def _lengths(columns: _Columns, asked: Asked) -> bool:
    exact = asked.get("value")
    least, most = (exact, exact) if exact is not None else (asked.get("min_value"), asked.get("max_value"))
    columns.ask(asked["column"], kind=Kind.TEXT, characters=Between(least, most))
    return _mostly(asked) == 1


def _unique(columns: _Columns, asked: Asked) -> bool:
    columns.ask(asked["column"], unique=True)
    return _mostly(asked) == 1


def _typed(columns: _Columns, asked: Asked) -> bool:
    kinds = {_kind(str(name)) for name in asked.get("type_list") or [asked["type_"]]}
    if len(kinds) != 1 or None in kinds:
        return False
    columns.ask(asked["column"], kind=kinds.pop())
    return True


def _distinct(columns: _Columns, asked: Asked) -> bool:
    columns.ask(asked["column"], distinct=Between(asked.get("min_value"), asked.get("max_value")))
    return True


def _rows(columns: _Columns, asked: Asked) -> bool:
    exact = asked.get("value")
    columns.count = Between(asked.get("min_value", exact), asked.get("max_value", exact))
    return True


def _all_columns(columns: _Columns, asked: Asked) -> bool:
    for name in asked.get("column_set") or asked["column_list"]:
        columns.ask(name, required_rows=1)
    return True


def _greater(columns: _Columns, asked: Asked) -> bool:
    sign = ">=" if asked.get("or_equal") else ">"
    columns.rules.append(f"`{asked['column_A']}` {sign} `{asked['column_B']}`")
    return True


def _equal(columns: _Columns, asked: Asked) -> bool:
    columns.rules.append(f"`{asked['column_A']}` == `{asked['column_B']}`")
    return True


_EXPECTED: dict[str, Callable[[_Columns, Asked], bool]] = {
    "expect_column_to_exist": _exists,
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_match_regex": _regex,
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": _lengths,
    "expect_column_values_to_be_unique": _unique,
    "expect_column_values_to_be_of_type": _typed,
    "expect_column_values_to_be_in_type_list": _typed,
    "expect_column_unique_value_count_to_be_between": _distinct,
    "expect_table_row_count_to_be_between": _rows,
    "expect_table_row_count_to_equal": _rows,
    "expect_table_columns_to_match_set": _all_columns,
    "expect_table_columns_to_match_ordered_list": _all_columns,
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _equal,
}


def from_pandera(plain: Asked) -> Suite:
    """A pandera DataFrameSchema as its `to_yaml` or `to_json` writes it."""
    columns = _Columns()
    for name, said in plain["columns"].items():
        said = said or {}
        dtype = said.get("dtype")
        kind = _kind(str(dtype)) if dtype is not None else None
        if dtype is not None and kind is None:
            columns.odd.append(f"{name}: dtype {dtype}")
        if said.get("regex"):
            columns.odd.append(f"{name}: a column named by a pattern")
            continue
        needed = said.get("required", True)
        columns.ask(
            name,
            kind=kind,
            required=None if said.get("nullable") or not needed else 1.0,
            required_rows=1 if needed else 0,
            unique=bool(said.get("unique")),
            note=said.get("description") or "",
        )
        for check, asked in _checks(said.get("checks")):
            if not _checked(columns, name, check, asked):
                columns.odd.append(f"{name}: {check} {json.dumps(asked, default=str)}")
    for key in ("checks", "index", "unique"):
        if plain.get(key):
            columns.odd.append(f"{key} of the whole: {json.dumps(plain[key], default=str)}")
    return columns.suite(None if plain.get("strict") is True else {"SCHEMA_NEW_COLUMN": Severity.INFO})


def _checks(checks: Any) -> list[tuple[str, Any]]:
    """Names with what they ask, in the forms of all of pandera's versions."""
    if isinstance(checks, dict):
        return list(checks.items())
    found = []
    for one in checks or []:
        asked = dict(one)
        name = (asked.pop("options", None) or {}).get("check_name", "")
        found.append((name, asked["value"] if set(asked) == {"value"} else asked))
    return found


def _checked(columns: _Columns, name: str, check: str, asked: Any) -> bool:
    if isinstance(asked, dict):
        asked = {key: value for key, value in asked.items() if key != "options"}
        asked = asked["value"] if set(asked) == {"value"} else asked
    try:
        match check:
            case "greater_than_or_equal_to" | "greater_than":
                columns.bound(name, _beyond(asked, inf, strict=check == "greater_than"), None)
            case "less_than_or_equal_to" | "less_than":
                columns.bound(name, None, _beyond(asked, -inf, strict=check == "less_than"))
            case "in_range" | "between":
                low, high = (_beyond(asked[key], end, strict=asked.get(flag) is False) for key, end, flag in _ENDS)
                columns.bound(name, low, high)
            case "isin":
                return _in_set(columns, {"column": name, "value_set": asked})
            case "str_matches":  # pandera matches from the beginning
                columns.ask(name, pattern=f"(?:{asked})[\\s\\S]*")
            case "str_contains":
                columns.ask(name, pattern=_searched(asked))
            case "str_startswith":
                columns.ask(name, pattern=f"{re.escape(asked)}[\\s\\S]*")
            case "str_endswith":
                columns.ask(name, pattern=f"[\\s\\S]*{re.escape(asked)}")
            case "str_length":
                columns.ask(name, characters=Between(asked.get("min_value"), asked.get("max_value")))
            case _:
                return False
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    return True


_ENDS = (("min_value", inf, "include_min"), ("max_value", -inf, "include_max"))


def _kind(name: str) -> Kind | None:
    return next((kind for form, kind in _TYPES if re.fullmatch(form, name.lower())), None)
