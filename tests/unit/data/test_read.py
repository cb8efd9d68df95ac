"""Reading: what people really have on disk, and the exact row of what is broken."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.core.errors import DataInvalid, NotFound
from keepfit.data.read import read


@pytest.fixture
def file(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str | bytes, name: str = "rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def kinds(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def test_types_from_all_rows(file) -> None:  # type: ignore[no-untyped-def]
    """A column's type is told from every row, not from the first block."""
    late = "n,f,s,b,t,z\n" + "1,1,1,true,2013-01-01,2013-01-01T00:00:00Z\n" * 200_000
    table = read(file(late + "2,2.5,x,False,2013-01-02 10:30:00,2013-01-01T02:00:00+02:00\n" * 4))
    told = {"n": "int64", "f": "double", "s": "string", "b": "bool", "t": "timestamp[us]", "z": "timestamp[us, tz=UTC]"}
    assert kinds(table) == told
    assert table["z"][-1].as_py() == datetime(2013, 1, 1, tzinfo=UTC)
    assert table["f"][-1].as_py() == 2.5


def test_padding_and_bom(file) -> None:  # type: ignore[no-untyped-def]
    """A byte-order mark and blanks around names and fields are not data."""
    table = read(file(b"\xef\xbb\xbfday , temp  , town\n1  , 0.5 , Rome \n2,0.25,  Oslo\n"))
    assert table.to_pydict() == {"day": [1, 2], "temp": [0.5, 0.25], "town": ["Rome", "Oslo"]}


def test_missing(file) -> None:  # type: ignore[no-untyped-def]
    """Empty is missing everywhere; NA and its kin are missing among numbers and times, and text among text."""
    table = read(file("n,f,t,s,e\n1,NA,2013-01-01,NA,\n?,0.5,,Oslo,\n,nan,null,,\n"))
    assert table.to_pydict() == {
        "n": [1, None, None],
        "f": [None, 0.5, None],
        "t": [datetime(2013, 1, 1), None, None],  # noqa: DTZ001 - the file has no zone
        "s": ["NA", "Oslo", None],
        "e": [None, None, None],
    }


def test_names_are_not_numbers(file) -> None:  # type: ignore[no-untyped-def]
    """Whole numbers too long for int64, and hexadecimal marks, stay text: as numbers they would change."""
    table = read(file("a,b\n123456789012345678901,0x10\n5,0x1f\n"))
    assert table.to_pydict() == {"a": ["123456789012345678901", "5"], "b": ["0x10", "0x1f"]}


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters(file, mark: str) -> None:  # type: ignore[no-untyped-def]
    """Semicolons, tabs and bars separate as well as commas."""
    assert read(file(f"a{mark}b\n1{mark}x,y\n")).to_pydict() == {"a": [1], "b": ["x,y"]}


def test_quotes(file) -> None:  # type: ignore[no-untyped-def]
    """Quoted fields may hold commas, quotes and line ends."""
    assert read(file('a,b\n"x,\ny",1\n"say ""hi""",2\n')).to_pydict() == {"a": ["x,\ny", 'say "hi"'], "b": [1, 2]}


def test_row_numbers_are_no_column(file) -> None:  # type: ignore[no-untyped-def]
    """A nameless column that only counts rows is left out, with an empty name or with none; others get a name."""
    assert read(file(",a\n0,x\n1,y\n2,z\n")).column_names == ["a"]
    assert read(file("a,b\n1,x,0.5\n2,y,0.5\n3,z,0.5\n")).column_names == ["a", "b"]
    assert read(file(",a\n7,x\n1,y\n")).column_names == ["unnamed_1", "a"]


BROKEN = [
    ("a,b\n1,2\n3,4,5\n6,7\n", "row 2 (line 3): expected 2 fields, found 3"),
    ("a,b\n1,2\n3\n", "row 2 (line 3): expected 2 fields, found 1"),
    ('a,b\n\n"x\ny",2\n\n3\n4,5\n6\n', "row 2 (line 6): expected 2 fields, found 1; 1 more rows are broken"),
    ('a,b\n1,2\n3,"4\n5,6\n', "row 2 (line 3): a quote is opened and never closed"),
    (b"a,b\n1,2\n\n3,\xff\n", "row 2 (line 4): expected UTF-8 text, found the byte 0xff"),
    (
        "x\n" + "1\n" * 30 + "oops\n" + "2\n" * 9,
        "row 31 (line 32): column 'x': expected a number as in the other 39 rows",
    ),
    ("x,y\n" + "1,a\n" * 99 + "1.5.2,a\n", "row 100 (line 101): column 'x': expected a number"),
    ("t\n" + "2013-01-31\n" * 40 + "2013-02-31\n", "row 41 (line 42): column 't': expected a time"),
    ("", "the file is empty"),
    ("a,b,a\n1,2,3\n", "the columns ['a'] appear more than once"),
    ("9.4,1.1,4.4\n8.9,1.2,4.5\n", "expected the columns' names in the first line"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[message[:40] for _, message in BROKEN])
def test_broken_rows(file, text: str | bytes, message: str) -> None:  # type: ignore[no-untyped-def]
    """A broken file is refused with its name, the row (without the header), the line and the reason."""
    with pytest.raises(DataInvalid) as caught:
        read(file(text))
    assert "rows.csv" in str(caught.value)
    assert message in str(caught.value)


def test_text_among_numbers_is_no_slip(file) -> None:  # type: ignore[no-untyped-def]
    """A column in which text comes again and again is text: nothing is refused."""
    table = read(file("code\n" + "250\n" * 100 + "V45\n" * 2 + "E12\n" * 3))
    assert kinds(table) == {"code": "string"}


LINES = [
    ('{"a": 1}\n\n{"a": \n', "row 2 (line 3): not JSON"),
    ('{"a": 1}\n[1]\n', "row 2 (line 2): expected an object, found a list"),
    ('{"a": 1, "b": "x"}\n{"a": 2}\n{"a": "x"}\n', "row 3 (line 3): column 'a': expected a number as in row 1"),
    ('{"a": null}\n{"a": true}\n{"a": 3}\n', "row 3 (line 3): column 'a': expected a boolean as in row 2"),
    ("\n", "the file is empty"),
    ('[{"a": 1}]', "expected one JSON object per line, found one array"),
]


@pytest.mark.parametrize(("text", "message"), LINES, ids=[message[:40] for _, message in LINES])
def test_broken_lines(file, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    """A broken JSON line is refused with its row, its line and the reason."""
    with pytest.raises(DataInvalid) as caught:
        read(file(text, "rows.jsonl"))
    assert message in str(caught.value)


def test_json_lines(file) -> None:  # type: ignore[no-untyped-def]
    """Objects become rows; what one object lacks is missing."""
    table = read(file('{"a": 1, "s": "x"}\n{"a": 2.5, "b": true}\n', "rows.jsonl"))
    assert table.to_pydict() == {"a": [1.0, 2.5], "s": ["x", None], "b": [None, True]}


def test_binary_forms(tmp_path: Path) -> None:
    """Parquet, Arrow files and streams, and compressed CSV are told by what is in them."""
    table = pa.table({"a": [1, 2], "s": ["x", None]})
    pq.write_table(table, tmp_path / "data.bin")
    with pa.ipc.new_file(tmp_path / "data.arrow", table.schema) as sink:
        sink.write_table(table)
    with pa.ipc.new_stream(tmp_path / "data.arrows", table.schema) as sink:
        sink.write_table(table)
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(b"a,s\n1,x\n2,\n"))
    for name in ("data.bin", "data.arrow", "data.arrows", "data.csv.gz"):
        assert read(tmp_path / name).equals(table), name


@pytest.mark.parametrize("content", [b"PAR1 and nothing else", b"hello\nworld\n", b""])
def test_broken_parquet(file, content: bytes) -> None:  # type: ignore[no-untyped-def]
    """A file that is not what its name says is refused by name."""
    with pytest.raises(DataInvalid, match=r"data\.parquet"):
        read(file(content, "data.parquet"))


def test_globs(file, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Files of a glob are read in order of name, under one type per column; a broken row names its own file."""
    file("a,s\n1,7\n", "m1.csv")
    file("a,s\n2.5,x\n", "m2.csv")
    assert read(tmp_path / "m*.csv").to_pydict() == {"a": [1.0, 2.5], "s": ["7", "x"]}
    assert read(str(tmp_path / "m*.csv"), columns=["s"]).column_names == ["s"]
    file("a,s\n" + "3,y\n" * 40 + "oops,y\n", "m3.csv")
    with pytest.raises(DataInvalid, match=r"m3\.csv, row 41 \(line 42\)"):
        read(tmp_path / "m*.csv")


def test_what_is_not_there(file, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Absent files, directories, absent columns and other objects are refused with what to do."""
    with pytest.raises(NotFound, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(DataInvalid, match="is a directory"):
        read(tmp_path)
    with pytest.raises(DataInvalid, match=r"has no columns \['z'\]; it has \['a'\]"):
        read(file("a\n1\n"), columns=["z"])
    with pytest.raises(DataInvalid, match="cannot read a int"):
        read(5)


def test_anything_that_speaks_arrow() -> None:
    """A DataFrame, or any object with Arrow's C stream, is a table."""
    assert read(pd.DataFrame({"a": [1, 2]})).to_pydict() == {"a": [1, 2]}
    assert read(pa.table({"a": [1]}).to_reader()).to_pydict() == {"a": [1]}


def test_real_files(shared_data: Path) -> None:
    """The traps of real files: padded fields, a BOM, nameless columns, columns without any value."""
    bikes = read(shared_data / "bike_sharing" / "hour.csv")
    assert kinds(bikes)["cnt"] == "int64"
    assert kinds(bikes)["temp"] == "double"
    beijing = read(shared_data / "beijing_pm25" / "*.csv")
    assert beijing.column_names[0] == "No"
    assert beijing["pm2.5"].null_count == 2067
    occupancy = read(shared_data / "occupancy" / "datatest2.txt")
    assert occupancy.column_names[0] == "date"
    assert occupancy.num_rows == 9752
    assert read(shared_data / "elec2" / "*.csv").column_names[0] == "date"
