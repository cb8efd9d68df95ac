"""Read tables: CSV, JSON Lines, Parquet, Arrow, globs of them, and whatever speaks Arrow's C stream."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.errors import DataInvalid, NotFound
from keepfit.data.delimited import Sheet, parse, typed
from keepfit.data.jsonlines import decode

_PARQUET, _ARROW = b"PAR1", b"ARROW1"
_CONTINUATION = b"\xff\xff\xff\xff"  # what an Arrow IPC stream begins with
_JSON = frozenset({".jsonl", ".ndjson", ".json"})


def read(source: Any, *, columns: Sequence[str] | None = None) -> pa.Table:
    """The table behind a path, a glob (files in order of name) or an object with `__arrow_c_stream__`.

    Files may be CSV (any of `, ; | TAB`, a BOM and padded fields are fine, types are told from all rows), JSON Lines,
    Parquet or Arrow IPC, also compressed. In CSV an empty field is missing; among numbers and times, NA, NaN, null,
    None, N/A and ? are missing as well. `columns` are the ones to keep, in this order.
    DataInvalid names the file and the row (counting from 1, without the header) which cannot be read, and why;
    NotFound a file that is not there.
    """
    table = _files(source) if isinstance(source, str | Path) else _object(source)
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise DataInvalid(f"{_shown(source)}: the columns {twice} appear more than once; rename them")
    if columns is None:
        return table
    absent = [name for name in columns if name not in table.column_names]
    if absent:
        raise DataInvalid(f"{_shown(source)}: has no columns {absent}; it has {table.column_names}")
    return table.select(list(columns))


def _shown(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else f"the {type(source).__name__}"


def _object(source: Any) -> pa.Table:
    if isinstance(source, pa.Table):
        return source
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    raise DataInvalid(
        f"cannot read a {type(source).__name__}; expected a path, a glob, a pyarrow Table or any object with "
        "__arrow_c_stream__ (pandas, polars, DuckDB, ...)"
    )


def _files(source: str | Path) -> pa.Table:
    parts = [_part(path) for path in _paths(source)]
    sheets = [part for part in parts if isinstance(part, Sheet)]
    if len(sheets) == len(parts):
        return typed(sheets)  # together, so that a column has one type over all files
    tables = [typed([part]) if isinstance(part, Sheet) else part for part in parts]
    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataInvalid(f"{source}: the files disagree about a column's type: {error}") from error


def _paths(source: str | Path) -> list[Path]:
    if Path(source).is_file():
        return [Path(source)]
    if Path(source).is_dir():
        raise DataInvalid(f"{source} is a directory; name the files in it with a glob such as {Path(source) / '*.csv'}")
    matches = glob.glob(str(source), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
    found = sorted(path for path in map(Path, matches) if path.is_file())
    if not found:
        raise NotFound(f"{source}: no such file, and no file matches it as a glob (looked from {Path.cwd()})")
    return found


def _part(path: Path) -> Sheet | pa.Table:
    """One file: text still to be typed, or a table."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
        if head[:4] == _PARQUET:
            return pq.read_table(path, partitioning=None)
        if head[:6] == _ARROW:
            with pa.memory_map(str(path)) as file:
                return pa.ipc.open_file(file).read_all()
        if head[:4] == _CONTINUATION:
            with pa.memory_map(str(path)) as file:
                return pa.ipc.open_stream(file).read_all()
        data = pa.input_stream(str(path), compression="detect").read()
    except (pa.ArrowException, OSError) as error:
        raise DataInvalid(f"{path}: cannot be read: {error}") from error
    suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
    if suffixes & {".parquet", ".arrow", ".feather", ".ipc"}:
        raise DataInvalid(f"{path}: is not what its name says; a Parquet or Arrow file begins otherwise")
    if suffixes & _JSON or data.lstrip()[:1] == b"{":
        return decode(data, str(path))
    return parse(data, str(path))
