"""JSON Lines: one object per line, one row per object."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
from pyarrow import json as arrow_json

from keepfit.core.errors import DataInvalid
from keepfit.data.skips import Skips
from keepfit.data.sources import File

_BLOCK = 32 << 20  # bytes read at once; a file of more is read twice, once for its types

Kinds = dict[str, tuple[str, int]]
"""For each column what its values are, and the row that said so first."""


@dataclass(frozen=True)
class _Block:
    """Whole lines of a file, and how many rows and lines lie before them."""

    path: str
    data: bytes
    rows: int = 0
    lines: int = 0


def decode(data: bytes, path: str, skips: Skips | None = None) -> pa.Table:
    """The rows of a JSON Lines file; DataInvalid says which row is none, or where a column changes its type."""
    block = _Block(path, _begun(data, path))
    return _decoded(block, {}, skips or Skips(), None)


def scan(file: File, skips: Skips) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    """The columns of a file, told from all its rows, and its batches."""
    blocks = _blocks(file)
    first = next(blocks)
    second = next(blocks, None)
    if second is None:
        table = _decoded(first, {}, skips, None)
        return table.schema, partial(_of_table, table)
    kinds: Kinds = {}
    passed = Skips(allowed=skips.allowed)
    schema = pa.schema([])
    for block in (first, second, *blocks):
        found = _decoded(block, kinds, passed, None).schema
        schema = pa.unify_schemas([schema, found], promote_options="permissive")

    return schema, partial(_batches, file, kinds, schema, skips)


def _of_table(table: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches())


def _batches(file: File, kinds: Kinds, schema: pa.Schema, skips: Skips) -> Iterator[pa.RecordBatch]:
    skips.clear()
    for block in _blocks(file):
        yield from _decoded(block, kinds, skips, schema).to_batches()


def _begun(data: bytes, path: str) -> bytes:
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise DataInvalid(f"{path}: the file is empty; expected one JSON object per line")
    if data.lstrip()[:1] == b"[":
        raise DataInvalid(f"{path}: expected one JSON object per line, found one array; write each row on its own line")
    return data


def _blocks(file: File) -> Iterator[_Block]:
    """The file cut where lines end."""
    rows = lines = 0
    try:
        with file.unpacked() as stream:
            data = _begun(stream.read(_BLOCK), str(file))
            while data:
                more = stream.read(_BLOCK)
                end = data.rfind(b"\n") + 1 if more else len(data)
                if not end:  # one line longer than a block
                    data += more
                    continue
                yield _Block(str(file), data[:end], rows, lines)
                rows += sum(1 for line in data[:end].split(b"\n") if line.strip()) if more else 0
                lines += data.count(b"\n", 0, end)
                data = data[end:] + more
    except (pa.ArrowException, OSError, EOFError) as error:
        raise DataInvalid(f"{file}: cannot be read: {error}") from error


def _decoded(block: _Block, kinds: Kinds, skips: Skips, schema: pa.Schema | None) -> pa.Table:
    try:
        return _parsed(block.data, schema)
    except pa.ArrowInvalid as error:
        reason = str(error)
    sound = b"\n".join(_sound(block, kinds, skips))
    if not skips.allowed:
        raise DataInvalid(f"{block.path}: cannot be read as JSON Lines: {reason}")
    try:
        return _parsed(sound, schema)
    except pa.ArrowInvalid as error:
        raise DataInvalid(f"{block.path}: cannot be read as JSON Lines: {error}") from error


def _parsed(data: bytes, schema: pa.Schema | None) -> pa.Table:
    options = arrow_json.ReadOptions(block_size=max(len(data), 1 << 20))  # one block: types are told from all rows
    asked = arrow_json.ParseOptions(explicit_schema=schema)
    return arrow_json.read_json(io.BytesIO(data), read_options=options, parse_options=asked)


def _sound(block: _Block, kinds: Kinds, skips: Skips) -> Iterator[bytes]:
    """The lines that are objects whose values are what those before them were; the others are told."""
    row = block.rows
    for number, text in enumerate(block.data.split(b"\n"), start=block.lines + 1):
        if not text.strip():
            continue
        row += 1
        reason = _reason(text, row, kinds)
        if reason is None:
            yield text
        else:
            skips.broken(f"{block.path}, row {row} (line {number}): {reason}")


def _reason(text: bytes, row: int, kinds: Kinds) -> str | None:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return f"not JSON: {error}"
    if not isinstance(found, dict):
        return f"expected an object, found a {_kind(found)}"
    told = {name: (_kind(value), row) for name, value in found.items() if value is not None}
    for name, (kind, _) in told.items():
        was, first = kinds.get(name, (kind, row))
        if was != kind:
            return f"column '{name}': expected a {was} as in row {first}, found the {kind} {found[name]!r}"
    for name, one in told.items():
        kinds.setdefault(name, one)
    return None


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
