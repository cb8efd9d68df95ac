"""JSON Lines: one object per line, one row per object."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
from pyarrow import json as arrow_json

from keepfit.core.errors import DataInvalid


def decode(data: bytes, path: str) -> pa.Table:
    """The rows of a JSON Lines file; DataInvalid says which row is none, or where a column changes its type."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise DataInvalid(f"{path}: the file is empty; expected one JSON object per line")
    if data.lstrip()[:1] == b"[":
        raise DataInvalid(f"{path}: expected one JSON object per line, found one array; write each row on its own line")
    try:
        options = arrow_json.ReadOptions(block_size=max(len(data), 1 << 20))  # one block: types are told from all rows
        return arrow_json.read_json(io.BytesIO(data), read_options=options)
    except pa.ArrowInvalid as error:
        _explain(data, path)
        raise DataInvalid(f"{path}: cannot be read as JSON Lines: {error}") from error


def _explain(data: bytes, path: str) -> None:
    """Raise for the first row that is broken, or that disagrees with the rows before it."""
    kinds: dict[str, tuple[str, int]] = {}
    for row, line, found in _objects(data, path):
        for name, value in found.items():
            if value is None:
                continue
            kind = _kind(value)
            was, first = kinds.setdefault(name, (kind, row))
            if was != kind:
                raise DataInvalid(
                    f"{path}, row {row} (line {line}): column '{name}': expected a {was} as in row {first}, "
                    f"found the {kind} {value!r}"
                )


def _objects(data: bytes, path: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    row = 0
    for number, text in enumerate(data.split(b"\n"), start=1):
        if not text.strip():
            continue
        row += 1
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise DataInvalid(f"{path}, row {row} (line {number}): not JSON: {error}") from error
        if not isinstance(found, dict):
            raise DataInvalid(f"{path}, row {row} (line {number}): expected an object, found a {_kind(found)}")
        yield row, number, found


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "object"
