"""Schema files: YAML that people read and edit; only what differs from the defaults is written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from keepfit.core.errors import DataInvalid, MissingExtra, NotFound, SpecInvalid
from keepfit.core.registry import from_plain, to_plain
from keepfit.data.schema.expectations import Schema


def read_schema(path: Path) -> Schema:
    """The Schema in a file: YAML, JSON, or `.pbtxt` as TFDV writes it; DataInvalid says what in it is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such schema; make one with: keepfit schema infer DATA -o {path}") from error
    try:
        if path.suffix == ".pbtxt":
            from keepfit.data.metadata import schema_of

            return schema_of(text)
        return from_plain_schema(json.loads(text)) if path.suffix == ".json" else from_yaml(text)
    except (DataInvalid, json.JSONDecodeError) as error:
        raise DataInvalid(f"{path}: {error}") from error


def write_schema(schema: Schema, path: Path) -> None:
    """Write a Schema as its file's name says."""
    if path.suffix == ".pbtxt":
        from keepfit.data.metadata import schema_text

        text = schema_text(schema)
    else:
        text = json.dumps(plain_schema(schema), indent=2) + "\n" if path.suffix == ".json" else to_yaml(schema)
    path.write_text(text, encoding="utf-8")


def to_yaml(schema: Schema) -> str:
    """A Schema as YAML."""
    return str(_yaml().safe_dump(plain_schema(schema), sort_keys=False, allow_unicode=True, width=120))


def from_yaml(text: str) -> Schema:
    """The Schema that YAML says; DataInvalid says what in it is wrong."""
    return from_plain_schema(load_yaml(text))


def load_yaml(text: str) -> Any:
    """What YAML says, as plain data."""
    yaml = _yaml()
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataInvalid(f"not YAML: {error}") from error


def plain_schema(schema: Schema) -> dict[str, Any]:
    """A Schema as plain data: columns by name, nothing that is as it would be anyway."""
    columns = {}
    for column in schema.columns:
        kept = _sparing(column)
        columns[kept.pop("name", "")] = kept
    return {**_sparing(dataclasses.replace(schema, columns=())), "columns": columns}


def from_plain_schema(plain: Any) -> Schema:
    """The inverse of `plain_schema`."""
    if not isinstance(plain, dict) or not isinstance(plain.get("columns"), dict):
        raise DataInvalid("a schema is a mapping with 'columns', a mapping of names to what is expected of them")
    columns = [{"name": str(name), **(asked or {})} for name, asked in plain["columns"].items()]
    _require_known(plain, columns)
    try:
        return from_plain(Schema, {**plain, "columns": columns})
    except SpecInvalid as error:
        raise DataInvalid(f"{error}; text that looks like a number or a truth (no, 1) must stand in quotes") from error


def _require_known(plain: dict[str, Any], columns: list[dict[str, Any]]) -> None:
    """What is misspelt would otherwise be expected of nothing, in silence."""
    from keepfit.data.schema.expectations import Expectation

    for where, given, noun in [
        ("the schema", plain, Schema),
        *((f"column '{c['name']}'", c, Expectation) for c in columns),
    ]:
        known = {one.name for one in dataclasses.fields(noun)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise DataInvalid(f"{where} says {unknown}; expected some of {sorted(known)}")


def _sparing(thing: Any) -> dict[str, Any]:
    kept = {}
    for one in dataclasses.fields(thing):
        value = getattr(thing, one.name)
        default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
        if value != default:
            kept[one.name] = _plain(value)
    return kept


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _sparing(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return to_plain(value)


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("yaml", "yaml") from error
    return yaml
