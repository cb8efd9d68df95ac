"""Text tables larger than memory: read twice, once to tell the columns' types from all rows, once for the rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from keepfit.core.errors import DataInvalid
from keepfit.data.delimited import (
    CALLED,
    ORDERED,
    SLIP_SHARE,
    SLIPS,
    SURE,
    are_truths,
    header_of,
    loses_digits,
    misfits,
    names_of,
    slip_reason,
    tidy,
    without_marks,
)
from keepfit.data.skips import Skips
from keepfit.data.sources import File

_BLOCK = 1 << 20  # Arrow reads up to 32 of them ahead
_HEAD = 1 << 18


@dataclass(frozen=True)
class _Cells:
    """A block of cells as text: the file it is of, and how many rows of that file lie before it."""

    file: int
    row: int
    table: pa.Table


@dataclass
class _Told:
    """What the cells of a column seen so far admit; `slips` are the cells (file, row, text) that a type does not."""

    known: int = 0
    values: int = 0
    truths: bool = True
    hexadecimal: bool = False
    fractions: bool = False
    slips: dict[pa.DataType, list[tuple[int, int, str]]] = field(default_factory=lambda: {kind: [] for kind in ORDERED})
    last: tuple[int, int] | None = None
    counts: bool = True


class Streamed:
    """Delimited files as batches; every column has the type which all its values in all files admit."""

    def __init__(self, found: Sequence[File], skip_broken: bool) -> None:
        self._files = found
        self._allowed = skip_broken
        told = self._look()
        names = [name for name, seen in told.items() if not (name.startswith("unnamed_") and _row_numbers(seen))]
        self.schema = pa.schema([(name, _kind(told[name])) for name in names])
        self._bad: set[tuple[int, int]] = set()
        self._slipped: list[tuple[int, str]] = []
        for name in names:
            if self.schema.field(name).type == pa.string():
                self._refuse(name, told[name])

    def batches(self, place: int, skips: Skips) -> Iterator[pa.RecordBatch]:
        """The rows of one of the files."""
        skips.clear()
        for file, reason in self._slipped:
            if file == place:
                skips.broken(reason)
        for cells in self._cells(place, skips):
            table = cells.table
            bad = [row - cells.row for file, row in self._bad if file == cells.file]
            if any(0 <= row < table.num_rows for row in bad):
                keep = pa.array([place not in bad for place in range(table.num_rows)])
                table = table.filter(keep)
            yield from self._typed(table).to_batches()

    def _typed(self, table: pa.Table) -> pa.Table:
        columns = []
        for one in self.schema:
            if one.name not in table.column_names:
                columns.append(pa.nulls(table.num_rows, one.type))
                continue
            column = tidy(table[one.name])
            if one.type not in (pa.string(), pa.bool_(), pa.null()):
                column = without_marks(column)
            columns.append(pa.nulls(table.num_rows) if one.type == pa.null() else column.cast(one.type))
        return pa.table(columns, schema=self.schema)

    def _look(self) -> dict[str, _Told]:
        told: dict[str, _Told] = {}
        for place in range(len(self._files)):
            for cells in self._cells(place, Skips(allowed=self._allowed)):
                for name in cells.table.column_names:
                    _see(told.setdefault(name, _Told()), tidy(cells.table[name]), cells)
        return told

    def _cells(self, place: int, skips: Skips) -> Iterator[_Cells]:
        row = 0
        for table in _blocks(self._files[place], skips):
            yield _Cells(place, row, table)
            row += table.num_rows

    def _refuse(self, name: str, seen: _Told) -> None:
        for kind, called in CALLED:
            slips = seen.slips[kind]
            if seen.known >= SURE and 0 < len(slips) <= min(SLIPS, seen.known * SLIP_SHARE):
                for file, row, found in slips:
                    where = _at(self._files[file], row)
                    reason = slip_reason(where, name, called, seen.known - len(slips), found)
                    if not self._allowed:
                        raise DataInvalid(reason)
                    self._slipped.append((file, reason))
                    self._bad.add((file, row))
                place = self.schema.get_field_index(name)
                whole = kind == pa.float64() and seen.slips[pa.int64()] == slips and not seen.hexadecimal
                self.schema = self.schema.set(place, pa.field(name, pa.int64() if whole else kind))
                return


def _see(told: _Told, column: pa.Array, cells: _Cells) -> None:
    told.values += len(column) - column.null_count
    if told.truths:
        told.truths = are_truths(pc.unique(column).drop_null())
    known = without_marks(column)
    told.known += len(known) - known.null_count
    for kind, slips in told.slips.items():
        if len(slips) > SLIPS:
            continue
        for row in misfits(known, kind, at_most=SLIPS + 1 - len(slips)):
            slips.append((cells.file, cells.row + row, str(column[row])))
    told.hexadecimal |= loses_digits(known, pa.int64())
    told.fractions |= not loses_digits(known, pa.float64())
    _see_counting(told, known, cells)


def _see_counting(told: _Told, known: pa.Array, cells: _Cells) -> None:
    if not told.counts or not len(known) or told.slips[pa.int64()] or known.null_count:
        told.counts = told.counts and not len(known)
        return
    rows = known.cast(pa.int64())
    joined = told.last is None or told.last[0] != cells.file or rows[0].as_py() == told.last[1] + 1
    told.counts = joined and bool(pc.all(pc.equal(pc.pairwise_diff(rows).slice(1), 1)).as_py() is not False)
    told.last = (cells.file, rows[-1].as_py())


def _row_numbers(told: _Told) -> bool:
    return told.counts and told.known > 1 and _kind(told) == pa.int64()


def _kind(told: _Told) -> pa.DataType:
    if not told.values:
        return pa.null()
    if told.truths:
        return pa.bool_()
    if not told.known:
        return pa.string()
    for kind in ORDERED:
        loses = told.hexadecimal if kind == pa.int64() else not told.fractions if kind == pa.float64() else False
        if not told.slips[kind] and not loses:
            return kind
    return pa.string()


def _blocks(file: File, skips: Skips) -> Iterator[pa.Table]:
    """Tables of text; broken rows are told with their line."""
    with file.unpacked() as stream:
        head = stream.read(_HEAD)
    cut = head.rfind(b"\n") + 1 or len(head)
    header, width, delimiter = header_of(head[:cut].removeprefix(b"\xef\xbb\xbf"), str(file))
    broken: list[tuple[int, int]] = []

    def skip(row: arrow_csv.InvalidRow) -> str:
        if row.number > 1 or len(header) == width:
            broken.append((row.number - 1, row.actual_columns))
        return "skip"

    try:
        with file.unpacked() as stream, _opened(stream, width, delimiter, len(header) == width, skip) as reader:
            for batch in reader:
                _tell(file, broken, width, skips)
                yield pa.Table.from_batches([batch]).rename_columns(names_of(header, width, str(file)))
    except (pa.ArrowException, OSError, EOFError) as error:
        _tell(file, broken, width, skips)
        raise DataInvalid(f"{file}: cannot be read as a table of text: {error}") from error
    _tell(file, broken, width, skips)


def _opened(stream: object, width: int, delimiter: str, headed: bool, skip: object) -> arrow_csv.CSVStreamingReader:
    places = [str(place) for place in range(width)]
    return arrow_csv.open_csv(
        stream,
        read_options=arrow_csv.ReadOptions(
            column_names=places, skip_rows_after_names=int(headed), use_threads=False, block_size=_BLOCK
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
        convert_options=arrow_csv.ConvertOptions(
            column_types={place: pa.string() for place in places}, null_values=[""], strings_can_be_null=True
        ),
    )


def _tell(file: File, broken: list[tuple[int, int]], width: int, skips: Skips) -> None:
    for number, found in broken:
        skips.broken(f"{_at(file, number - 1)}: expected {width} fields, found {found}")
    broken.clear()


def _at(file: File, row: int) -> str:
    """`file, row N (line M)`, by reading the file up to there."""
    before = -1
    with file.unpacked() as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        reader = csv.reader(text)
        line = 0
        for fields in reader:
            if fields:
                before += 1
                if before == row + 1:
                    break
            line = reader.line_num
    return f"{file}, row {row + 1} (line {line + 1})"
