"""Text tables with a header: CSV and its kin. Types are told from all rows, and what is broken is told by its row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from keepfit.core.errors import DataInvalid
from keepfit.data.skips import Skips

_MISSING = ["NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "?", "-", "\\N"]
_TRUTH = {"true", "false"}
ORDERED = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
CALLED = ((pa.float64(), "a number"), (pa.timestamp("us"), "a time"), (pa.timestamp("us", "UTC"), "a time"))
_FIRST = 64
SLIPS, SLIP_SHARE, SURE = 3, 0.05, 20
"""Up to so many cells, and this share of at least so many, are typing errors and not text."""


@dataclass(frozen=True)
class Sheet:
    """A file's cells as text: every column a string column; `at` tells where a row lies in the file."""

    path: str
    table: pa.Table
    data: bytes

    def at(self, row: int) -> str:
        """`file, row N (line M)`, from a row's index."""
        line = _line_of(self.data, row + 1)
        return f"{self.path}, row {row + 1} (line {line})"


def parse(data: bytes, path: str, skips: Skips | None = None) -> Sheet:
    """The cells of a delimited file; DataInvalid says which row breaks the form, and how, unless it may be skipped."""
    skips = skips or Skips()
    data = data.removeprefix(b"\xef\xbb\xbf")
    data = _in_utf8(data, path, skips)
    header, width, delimiter = header_of(data, path)
    names = names_of(header, width, path)
    broken: list[tuple[int, int]] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        if row.number > 1:  # the header itself may be one short: the first column of row names has none
            broken.append((row.number - 1, row.actual_columns))
        return "skip"

    places = [str(place) for place in range(width)]
    options = arrow_csv.ConvertOptions(
        column_types={place: pa.string() for place in places}, null_values=[""], strings_can_be_null=True
    )
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(data),
            read_options=arrow_csv.ReadOptions(
                column_names=places, skip_rows_after_names=int(len(header) == width), use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        raise DataInvalid(f"{path}: cannot be read as a table of text: {error}") from error
    sheet = Sheet(path, table.rename_columns(names), data)
    _tell_broken(sheet, broken, width, skips)
    if data.count(b'"') % 2:
        skips.broken(f"{sheet.at(table.num_rows - 1)}: a quote is opened and never closed")
        return Sheet(path, sheet.table.slice(0, table.num_rows - 1), data)
    return sheet


def _tell_broken(sheet: Sheet, broken: Sequence[tuple[int, int]], width: int, skips: Skips) -> None:
    for number, found in broken[:1] if not skips.allowed else broken:
        more = f"; {len(broken) - 1} more rows are broken" if len(broken) > 1 and not skips.allowed else ""
        skips.broken(f"{sheet.at(number - 1)}: expected {width} fields, found {found}{more}")


def _in_utf8(data: bytes, path: str, skips: Skips) -> bytes:
    """The data without the lines that are not UTF-8, where these may be skipped."""
    if not skips.allowed:
        _require_utf8(data, path)
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        lines = data.split(b"\n")
        kept = [line for line in lines if _is_utf8(line)]
        skips.broken(f"{path}: {len(lines) - len(kept)} lines are not UTF-8 text", rows=len(lines) - len(kept))
        return b"\n".join(kept)
    return data


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _require_utf8(data: bytes, path: str) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        row = sum(1 for _ in _records(data[: error.start].decode())) - 1
        line = data.count(b"\n", 0, error.start) + 1
        where = f"row {max(row, 1)}" if row > 0 else "the header"
        raise DataInvalid(
            f"{path}, {where} (line {line}): expected UTF-8 text, found the byte 0x{data[error.start]:02x}; "
            "save the file as UTF-8"
        ) from error


def header_of(data: bytes, path: str) -> tuple[list[str], int, str]:
    """The names as written, how many fields a row has, and what stands between fields."""
    text = data.decode()
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    if not first:
        raise DataInvalid(f"{path}: the file is empty; expected a header and rows")
    delimiter = max(",;\t|", key=first.count)
    head = [fields for _, fields in islice(_records(text, delimiter), 6)]
    header = [name.strip() for name in head[0]]
    if _are_values(header):
        raise DataInvalid(
            f"{path}: expected the columns' names in the first line, found values: {header}; add a header"
        )
    row_names = len(head) > 2 and all(len(fields) == len(header) + 1 for fields in head[1:])
    return header, len(header) + row_names, delimiter


def _are_values(header: list[str]) -> bool:
    """Whether a header can only be a row: all numbers, and not the 0, 1, 2, ... that stand for no names."""
    if header == [str(place) for place in range(len(header))]:
        return False
    return not misfits(pa.array(header), pa.float64(), at_most=1)


def names_of(header: list[str], width: int, path: str) -> list[str]:
    padded = [""] * (width - len(header)) + header
    names = [name or f"unnamed_{place + 1}" for place, name in enumerate(padded)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataInvalid(f"{path}: the columns {twice} appear more than once in the header; rename them")
    return names


def _records(text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number (of a record's last line) and fields of every record that is not blank, the header among them."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for fields in reader:
        if fields:
            yield reader.line_num, fields


def _line_of(data: bytes, row: int) -> int:
    """The line on which a data row (from 1) begins."""
    before = 0
    for place, (line, _) in enumerate(_records(data.decode())):
        if place == row:
            break
        before = line
    lines = data.split(b"\n")
    while before < len(lines) - 1 and not lines[before].strip():
        before += 1
    return before + 1


def typed(sheets: Sequence[Sheet], skips: Skips | None = None) -> pa.Table:
    """The rows of all sheets under the types which every value of a column admits; text where none does.

    A column of numbers or times with one to three slips in it is refused, naming the first: a typing error would
    otherwise turn the whole column into text. Where broken rows may be skipped, such rows are.
    """
    skips = skips or Skips()
    whole = pa.concat_tables([sheet.table for sheet in sheets], promote_options="default")
    trimmed = pa.table({name: tidy(whole[name]) for name in whole.column_names})
    if not skips.allowed:
        return _typed_table(trimmed, sheets, skips)
    slips = sorted({row for name in trimmed.column_names for row in _slips_of(name, trimmed[name], sheets, skips)})
    if slips:
        keep = np.ones(trimmed.num_rows, np.bool_)
        keep[slips] = False
        trimmed = trimmed.filter(pa.array(keep))
    return _typed_table(trimmed, sheets, skips)


def tidy(column: pa.ChunkedArray) -> pa.Array:
    """Cells without the blanks around them; an empty one is missing."""
    column = pc.utf8_trim_whitespace(column).combine_chunks()
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _slips_of(name: str, column: pa.ChunkedArray, sheets: Sequence[Sheet], skips: Skips) -> list[int]:
    cells = column.combine_chunks()
    return _tell_slips(name, cells, sheets, skips) if _typed(cells).type == pa.string() else []


def _typed_table(trimmed: pa.Table, sheets: Sequence[Sheet], skips: Skips) -> pa.Table:
    columns = {}
    for name in trimmed.column_names:
        told = _typed(trimmed[name].combine_chunks())
        if told.type == pa.string() and not skips.allowed:
            _tell_slips(name, told, sheets, skips)
        if not (name.startswith("unnamed_") and _count_rows(told, sheets)):
            columns[name] = told
    return pa.table(columns)


def _typed(column: pa.Array) -> pa.Array:
    if column.null_count == len(column):
        return pa.nulls(len(column)) if len(column) else column
    if len(head := pc.unique(column.slice(0, 100)).drop_null()) <= 2 and are_truths(head):
        every = pc.unique(column).drop_null()
        if len(every) <= 2 and are_truths(every):
            return column.cast(pa.bool_())
    known = without_marks(column)
    if known.null_count == len(known):
        return column
    for kind in ORDERED:
        if not misfits(known, kind, at_most=1) and not loses_digits(known, kind):
            return known.cast(kind)
    return column


def are_truths(values: pa.Array) -> bool:
    """Whether they are all true or false."""
    return {str(value).lower() for value in values.to_pylist()} <= _TRUTH


@cache
def _missing() -> pa.Array:
    return pa.array(_MISSING)  # not when this is imported: the first array of a process imports pandas


def without_marks(column: pa.Array) -> pa.Array:
    """Cells among numbers or times, where NA and its kin are missing."""
    return pc.if_else(pc.is_in(column, value_set=_missing()), pa.scalar(None, pa.string()), column)


def loses_digits(column: pa.Array, kind: pa.DataType) -> bool:
    """Hexadecimal marks are no numbers, and whole numbers beyond int64 are names: as floats they would be rounded."""
    if kind == pa.int64():
        return bool(pc.any(pc.match_substring_regex(column, "^[+-]?0[xX]")).as_py())
    return kind == pa.float64() and bool(pc.all(pc.match_substring_regex(column, "^[+-]?[0-9]+$")).as_py())


def misfits(column: pa.Array, kind: pa.DataType, *, at_most: int, offset: int = 0) -> list[int]:
    """The indices, at most so many, of values that are not of a type; found by halving."""
    if not offset and len(column) > 4 * _FIRST:  # most columns of text show it at once
        first = misfits(column.slice(0, _FIRST), kind, at_most=at_most)
        if len(first) >= at_most:
            return first[:at_most]
    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        if len(column) == 1 or at_most == 1:
            return [offset]
        half = len(column) // 2
        found = misfits(column.slice(0, half), kind, at_most=at_most, offset=offset)
        if len(found) >= at_most:
            return found[:at_most]
        rest = column.slice(half)
        return found + misfits(rest, kind, at_most=max(2, at_most - len(found)), offset=offset + half)
    return []


def _tell_slips(name: str, column: pa.Array, sheets: Sequence[Sheet], skips: Skips) -> list[int]:
    """Refuse, or skip, the rows of the few cells that keep a column from being numbers or times."""
    known = without_marks(column)
    count = len(known) - known.null_count
    if count < SURE:
        return []
    for kind, called in CALLED:
        slips = misfits(known, kind, at_most=SLIPS + 1)
        if 0 < len(slips) <= min(SLIPS, count * SLIP_SHARE):
            for slip in slips:
                row, among = slip, count - len(slips)
                for sheet in sheets:
                    if row < sheet.table.num_rows:
                        break
                    row -= sheet.table.num_rows
                skips.broken(slip_reason(sheet.at(row), name, called, among, column[slip].as_py()))
            return slips
    return []


def slip_reason(where: str, name: str, called: str, among: int, found: str) -> str:
    """What is said of a cell that is not what all others of its column are."""
    return (
        f"{where}: column '{name}': expected {called} as in the other {among} rows, found {found!r}; mend the row, "
        "leave the field empty, or read the file with a function of your own if the column is text"
    )


def _count_rows(column: pa.Array, sheets: Sequence[Sheet]) -> bool:
    """Whether a nameless column is only the rows' numbers, file by file."""
    if column.type != pa.int64() or column.null_count or len(column) < 2:
        return False
    start = 0
    for sheet in sheets:
        rows = column.slice(start, sheet.table.num_rows)
        if len(rows) and not pc.all(pc.equal(pc.pairwise_diff(rows).slice(1), 1)).as_py():
            return False
        start += sheet.table.num_rows
    return True
