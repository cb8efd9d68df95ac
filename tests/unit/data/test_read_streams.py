"""Reading in parts: the same rows and types as at once, whatever they lie in, and broken rows left out when asked."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from keepfit.core.errors import DataInvalid, MissingExtra, NotFound
from keepfit.data import jsonlines, streamed
from keepfit.data import scan as scanning
from keepfit.data.profile import profile
from keepfit.data.read import read
from keepfit.data.scan import scan


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few kilobytes are read as those of gigabytes are."""
    monkeypatch.setattr(scanning, "_WHOLE", 1 << 10)
    monkeypatch.setattr(streamed, "_BLOCK", 1 << 12)
    monkeypatch.setattr(jsonlines, "_BLOCK", 1 << 12)


def lines(count: int, late: str = "") -> str:
    rows = [
        f' {i} ,{i / 4},{"true" if i % 2 else "False"},2024-01-{i % 28 + 1:02d},w{i % 5},,"a\nb"' for i in range(count)
    ]
    return "\ufeffi, f,b,t,s,e,q\n" + "\n".join(rows) + "\n" + late


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize("packed", [False, True])
def test_parts_are_the_whole(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CSV file in parts has the rows and types of the same file at once, also where the last row widens a type."""
    text = lines(3000, '0.5,NA,true,2024-02-01 10:30:00,5,,"x"\n')
    path = tmp_path / ("rows.csv.gz" if packed else "rows.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    parts = scan(path)
    assert len(list(parts)) > 1
    table = parts.table().combine_chunks()
    monkeypatch.setattr(scanning, "_WHOLE", 1 << 30)
    assert table.equals(read(path))
    assert table.schema.types == [
        pa.float64(), pa.float64(), pa.bool_(), pa.timestamp("us"), pa.string(), pa.null(), pa.string()
    ]  # fmt: skip


@pytest.mark.usefixtures("in_small_parts")
def test_row_numbers_and_names_in_parts(tmp_path: Path) -> None:
    """Read in parts too, a nameless column of row numbers is left out, numbers too long and hexadecimal stay text."""
    path = tmp_path / "rows.csv"
    path.write_text(",n,h\n" + "".join(f"{i},{10**19 + i},0x{i:x}\n" for i in range(500)))
    assert [str(one.type) for one in read(path).schema] == ["string", "string"]


@pytest.mark.usefixtures("in_small_parts")
@pytest.mark.parametrize(
    ("late", "message"),
    [
        ("1,2,3\n", r"row 3001 \(line 6002\): expected 7 fields, found 3"),
        (
            "oops,1,true,2024-01-01,w,,x\n",
            r"row 3001 \(line 6002\): column 'i': expected a number as in the other 3002",
        ),
    ],
)
def test_broken_rows_in_parts(tmp_path: Path, late: str, message: str) -> None:
    """Far into a file, a broken row is told with its row, line and reason; it can be skipped and is counted."""
    path = tmp_path / "rows.csv"
    path.write_text(lines(3000, late + lines(2).partition("\n")[2]))
    with pytest.raises(DataInvalid, match=message):
        read(path)
    found = scan(path, skip_broken=True)
    assert found.table().num_rows == 3002
    assert found.table()["i"].type == pa.int64()
    assert found.skipped == 1
    assert profile(scan(path, skip_broken=True)).skipped == 1


BROKEN = "a,b\n1,x\n2\n3,y\nfour,z\n" + "".join(f"{i},w\n" for i in range(5, 60)) + '60,"open\n'


def test_broken_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    """Rows with too few fields, a slip among numbers, bytes that are not UTF-8, an open quote: the others are read."""
    path = tmp_path / "rows.csv"
    path.write_bytes(BROKEN.encode().replace(b"9,w\n", b"9,\xff\n", 1))
    found = scan(path, skip_broken=True)
    assert found.table()["a"].to_pylist() == [1, 3, *(i for i in range(5, 60) if i != 9)]
    assert found.skipped == 4
    told = " ".join(found.reasons)
    for reason in ("1 lines are not UTF-8", "expected 2 fields, found 1", "found 'four'", "never closed"):
        assert reason in told
    assert read(path, skip_broken=True).num_rows == 56


@pytest.mark.usefixtures("in_small_parts")
def test_json_lines_in_parts(tmp_path: Path) -> None:
    """Objects far apart make one table; a broken one is told with its row and line, or skipped and counted."""
    rows = [{"i": i, "s": f"t{i}"} for i in range(2000)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows) + '{"i": 0.5, "late": true}\n')
    table = read(path)
    assert table.num_rows == 2001
    assert table.schema.field("i").type == pa.float64()
    assert table["late"].to_pylist()[-2:] == [None, True]
    with path.open("a") as file:
        file.write('{"i": \n{"i": "one"}\n[1]\n{"i": 7}\n')
    with pytest.raises(DataInvalid, match=r"row 2002 \(line 4002\): not JSON"):
        read(path)
    found = scan(path, skip_broken=True)
    assert found.table().num_rows == 2002
    assert found.skipped == 3


def test_columnar_files(tmp_path: Path) -> None:
    """Parquet, Feather and Arrow, columns chosen, many row groups, texts encoded or not: the same rows."""
    table = pa.table({"i": range(5000), "s": ["a", "b"] * 2500, "id": [f"id{i:09d}" for i in range(5000)]})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=700)
    pyarrow.feather.write_feather(table, tmp_path / "rows.feather", chunksize=700)
    for name in ("rows.parquet", "rows.feather"):
        assert read(tmp_path / name).equals(table)
        assert read(tmp_path / name, columns=["id", "i"]).equals(table.select(["id", "i"]))
        assert scan(tmp_path / name).table().num_rows == 5000
    encoded = next(iter(scan(tmp_path / "rows.parquet", encoded=True)))
    assert [pa.types.is_dictionary(one.type) for one in encoded.schema] == [False, True, False]
    assert scan(tmp_path / "rows.parquet").rows == 5000


def test_folders(tmp_path: Path) -> None:
    """A folder is its data files in order of name; hidden files and others are not data."""
    for name, text in (("b.csv", "x\n2\n"), ("a.csv", "x\n1.5\n"), ("_SUCCESS", ""), (".x.csv", "no"), ("note.md", "")):
        (tmp_path / name).write_text(text)
    assert read(tmp_path)["x"].to_pylist() == [1.5, 2.0]
    (tmp_path / "sub").mkdir()
    with pytest.raises(DataInvalid, match="directory without data files"):
        read(tmp_path / "sub")


def test_files_of_several_forms(tmp_path: Path) -> None:
    """Files with other columns, types and forms make one table; what does not fit together is refused."""
    (tmp_path / "a.csv").write_text("x,s\n1,a\n")
    (tmp_path / "b.jsonl").write_text('{"x": 2.5, "n": 1}\n')
    pq.write_table(pa.table({"x": [3]}), tmp_path / "c.parquet")
    assert read(tmp_path / "*").to_pydict() == {"x": [1, 2.5, 3], "s": ["a", None, None], "n": [None, 1, None]}
    pq.write_table(pa.table({"x": ["text"]}), tmp_path / "d.parquet")
    with pytest.raises(DataInvalid, match="disagree about a column's type"):
        read(tmp_path / "*")


def test_patterns(tmp_path: Path) -> None:
    """{DATE} and {SPAN} stand for the newest, or for a range; as numbers and dates, not as text."""
    for day in ("2024-01-31", "2024-02-01", "2024-13-99"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "part-1.csv").write_text(f"day\n{day[-2:]}\n")
    for span in (2, 9, 10):
        (tmp_path / f"span-{span}.csv").write_text(f"n\n{span}\n")
    dates, numbers = tmp_path / "{DATE}" / "*.csv", tmp_path / "span-{SPAN}.csv"
    assert read(dates)["day"].to_pylist() == [1]
    assert read(numbers)["n"].to_pylist() == [10]
    assert read(numbers, spans=("2", "9"))["n"].to_pylist() == [2, 9]
    assert read(dates, spans=("20240101", "2024-12-31"))["day"].to_pylist() == [31, 1]
    with pytest.raises(NotFound, match="there is 2024-01-31 to 2024-02-01"):
        read(dates, spans=("2023-01-01", "2023-12-31"))
    with pytest.raises(DataInvalid, match="'new' is not a whole number"):
        read(numbers, spans=("new", "9"))
    with pytest.raises(DataInvalid, match="a range was asked for"):
        read(tmp_path / "span-2.csv", spans=("1", "2"))


def test_urls(tmp_path: Path) -> None:
    """Files behind an fsspec URL are read as those on disk: one, a glob, a folder, a pattern, every form."""
    memory = fsspec.filesystem("memory")
    table = pa.table({"n": [1, 2], "s": ["a", "b"]})
    pq.write_table(table, tmp_path / "x.parquet")
    for name, data in (
        ("day-2024-01-01.csv", b"n,s\n1,a\n"),
        ("day-2024-01-02.csv", b"n,s\n2,b\n"),
        ("rows.csv.gz", gzip.compress(b"n,s\n1,a\n2,b\n")),
        ("rows.parquet", (tmp_path / "x.parquet").read_bytes()),
    ):
        memory.pipe(f"/urls/{name}", data)
    for name in ("rows.parquet", "rows.csv.gz", "day-*.csv"):
        assert read(f"memory://urls/{name}").equals(table), name
    assert read("memory://urls/day-{DATE}.csv")["n"].to_pylist() == [2]
    assert read("memory://urls/").num_rows == 6
    with pytest.raises(NotFound):
        read("memory://urls/none.csv")
    with pytest.raises(DataInvalid, match="cannot be opened"):
        read("nosuch://x")


def test_sqlite(tmp_path: Path) -> None:
    """A query's rows come in batches; a column that is empty at first takes its type later."""
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (i INTEGER, late REAL, s TEXT)")
        rows = ((i, i / 2 if i >= 20_500 else None, f"s{i % 3}") for i in range(45_000))
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    database.close()
    found = scan(f"sqlite:///{path}", query="SELECT * FROM t ORDER BY i")
    assert found.table().num_rows == 45_000
    table = read(f"sqlite:///{path}", query="SELECT * FROM t WHERE i > 20490 ORDER BY i", columns=["late", "i"])
    assert table["late"].null_count == 9
    measured = profile(found)
    late = measured.column("late")
    assert late is not None
    assert (late.missing, late.maximum) == (20_500, 44_999 / 2)
    with pytest.raises(DataInvalid, match=r"the query failed: .*no such table: missing"):
        read(f"sqlite:///{path}", query="SELECT * FROM missing")
    with pytest.raises(DataInvalid, match="expected a query as well"):
        read(f"sqlite:///{path}")


def test_duckdb(tmp_path: Path) -> None:
    """DuckDB is asked where it is installed; where not, the message says which extra has it."""
    path = tmp_path / "x.duckdb"
    try:
        import duckdb
    except ImportError:
        with pytest.raises(MissingExtra, match=r"keepfit\[duckdb\]"):
            read(f"duckdb:///{path}", query="SELECT 1")
        return
    with duckdb.connect(str(path)) as database:
        database.execute("CREATE TABLE t AS SELECT range AS i, 'x' AS s FROM range(50000)")
    assert profile(scan(f"duckdb:///{path}", query="SELECT * FROM t")).rows == 50_000


class Frame:
    """Speaks Arrow's C stream and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def test_whatever_speaks_arrow() -> None:
    """An object that only has __arrow_c_stream__ is read and profiled."""
    table = pa.table({"x": [1, 2, 3]})
    assert read(Frame(table)).equals(table)
    assert profile(Frame(table)).columns == profile(table).columns


def test_texts_as_polars_has_them() -> None:
    """Texts as views, alone, in lists and behind a dictionary, are texts like others."""
    plain = pa.array(["a", "b", None, "a"])
    views = pa.table(
        {
            "s": plain.cast(pa.string_view()),
            "c": pa.DictionaryArray.from_arrays([0, 1, None, 0], pa.array(["a", "b"]).cast(pa.string_view())),
            "l": pa.ListArray.from_arrays([0, 1, 1, 2, 4], pa.array(["a", "b", "c", "d"]).cast(pa.string_view())),
            "y": pa.array([b"a", b"b", None, b"a"]).cast(pa.binary_view()),
        }
    )
    for source in (views, Frame(views)):
        found = profile(source, slices=["s"], label="s")
        assert [column.values for column in found.columns if column.name != "l"] == [(("a", 2), ("b", 1))] * 3
        assert found.columns[2].elements is not None
        assert found.columns[2].elements.distinct.count == 4
        assert len(found.slices) == 3
        assert read(source)["c"].to_pylist() == plain.to_pylist()


MEASURE = """
import sys
from pathlib import Path
from keepfit.core.imports import do_without
do_without("pandas")
from keepfit.data.profile import profile
found = profile(sys.argv[1])
status = Path("/proc/self/status").read_text()  # the peak of this program only, unlike getrusage's
print(found.rows, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_memory_stays_the_same(tmp_path: Path) -> None:
    """A file four times as large takes no more memory, as CSV and as Parquet."""
    table = pa.table({f"x{i}": np.random.default_rng(i).normal(size=100_000) for i in range(5)})
    for form in ("csv", "parquet"):
        peaks = []
        for times in (4, 16):
            path = tmp_path / f"rows-{times}.{form}"
            if form == "csv":
                text = table.to_pandas().to_csv(index=False).encode()
                head, _, body = text.partition(b"\n")
                path.write_bytes(head + b"\n" + body * times)
            else:
                with pq.ParquetWriter(path, table.schema) as writer:
                    for _ in range(times):
                        writer.write_table(table)
            done = subprocess.run(
                [sys.executable, "-c", MEASURE, str(path)], check=True, capture_output=True, text=True
            )
            rows, peak = map(int, done.stdout.split())
            assert rows == 100_000 * times
            peaks.append(peak)
        assert peaks[1] < 1.2 * peaks[0], (form, peaks)


def test_real_files(shared_data: Path) -> None:
    """Real files in parts are what they are at once."""
    for name in ("bike_sharing/hour.csv", "nyc_yellow_2018/*.csv", "chicago_taxi/*.csv"):
        at_once = read(shared_data / name)
        limit, scanning._WHOLE = scanning._WHOLE, 0
        try:
            assert read(shared_data / name).equals(at_once), name
        finally:
            scanning._WHOLE = limit
