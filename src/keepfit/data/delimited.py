"""Text tables with a header: CSV and its kin. Types are told from all rows, and what is broken is told by its row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from keepfit.core.errors import DataInvalid

_MISSING = pa.array(["NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "?", "-", "\\N"])
_TRUTH = {"true", "false"}
_ORDERED = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
_SLIPS, _SLIP_SHARE, _SURE = 3, 0.05, 20


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


def parse(data: bytes, path: str) -> Sheet:
    """The cells of a delimited file; DataInvalid says which row breaks the form, and how."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    _require_utf8(data, path)
    header, width, delimiter = _header(data, path)
    names = _names(header, width, path)
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
    if broken:
        number, found = broken[0]
        more = f"; {len(broken) - 1} more rows are broken" if len(broken) > 1 else ""
        raise DataInvalid(f"{sheet.at(number - 1)}: expected {width} fields, found {found}{more}")
    if data.count(b'"') % 2:
        raise DataInvalid(f"{sheet.at(table.num_rows - 1)}: a quote is opened and never closed")
    return sheet


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


def _header(data: bytes, path: str) -> tuple[list[str], int, str]:
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
    return not _misfits(pa.array(header), pa.float64(), at_most=1)


def _names(header: list[str], width: int, path: str) -> list[str]:
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


def typed(sheets: Sequence[Sheet]) -> pa.Table:
    """The rows of all sheets under the types which every value of a column admits; text where none does.

    A column of numbers or times with one to three slips in it is refused, naming the first: a typing error would
    otherwise turn the whole column into text.
    """
    whole = pa.concat_tables([sheet.table for sheet in sheets], promote_options="default")
    columns = {}
    for name in whole.column_names:
        column = pc.utf8_trim_whitespace(whole[name]).combine_chunks()
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        told = _typed(column)
        if told.type == pa.string():
            _refuse_slips(name, told, sheets)
        if not (name.startswith("unnamed_") and _count_rows(told, sheets)):
            columns[name] = told
    return pa.table(columns)


def _typed(column: pa.Array) -> pa.Array:
    if column.null_count == len(column):
        return pa.nulls(len(column)) if len(column) else column
    if len(head := pc.unique(column.slice(0, 100)).drop_null()) <= 2 and _are_truths(head):
        every = pc.unique(column).drop_null()
        if len(every) <= 2 and _are_truths(every):
            return column.cast(pa.bool_())
    known = _without_marks(column)
    if known.null_count == len(known):
        return column
    for kind in _ORDERED:
        if not _misfits(known, kind, at_most=1) and not _loses_digits(known, kind):
            return known.cast(kind)
    return column


def _are_truths(values: pa.Array) -> bool:
    return {str(value).lower() for value in values.to_pylist()} <= _TRUTH


def _without_marks(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_in(column, value_set=_MISSING), pa.scalar(None, pa.string()), column)


def _loses_digits(column: pa.Array, kind: pa.DataType) -> bool:
    """Hexadecimal marks are no numbers, and whole numbers beyond int64 are names: as floats they would be rounded."""
    if kind == pa.int64():
        return bool(pc.any(pc.match_substring_regex(column, "^[+-]?0[xX]")).as_py())
    return kind == pa.float64() and bool(pc.all(pc.match_substring_regex(column, "^[+-]?[0-9]+$")).as_py())


def _misfits(column: pa.Array, kind: pa.DataType, *, at_most: int, offset: int = 0) -> list[int]:
    """The indices, at most so many, of values that are not of a type; found by halving."""
    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        if len(column) == 1 or at_most == 1:
            return [offset]
        half = len(column) // 2
        found = _misfits(column.slice(0, half), kind, at_most=at_most, offset=offset)
        if len(found) >= at_most:
            return found[:at_most]
        rest = column.slice(half)
        return found + _misfits(rest, kind, at_most=max(2, at_most - len(found)), offset=offset + half)
    return []


def _refuse_slips(name: str, column: pa.Array, sheets: Sequence[Sheet]) -> None:
    known = _without_marks(column)
    count = len(known) - known.null_count
    if count < _SURE:
        return
    for kind, called in ((pa.float64(), "a number"), (pa.timestamp("us"), "a time"), (_ORDERED[3], "a time")):
        slips = _misfits(known, kind, at_most=_SLIPS + 1)
        if 0 < len(slips) <= min(_SLIPS, count * _SLIP_SHARE):
            row = slips[0]
            for sheet in sheets:
                if row < sheet.table.num_rows:
                    break
                row -= sheet.table.num_rows
            raise DataInvalid(
                f"{sheet.at(row)}: column '{name}': expected {called} as in the other {count - len(slips)} rows, "
                f"found {column[slips[0]].as_py()!r}; mend the row, leave the field empty, or read the file with a "
                "function of your own if the column is text"
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
