"""`keepfit profile` as a process: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.data.profile import profile
from keepfit.data.report.plain import from_json

COMMAND = [sys.executable, "-m", "keepfit.edge.cli", "profile"]


def keepfit(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"{i},{i / 10},{'ab'[i % 2]},{1 + i % 3}\n" for i in range(100))
    (tmp_path / "rows.csv").write_text("i,x,town,w\n" + rows)
    return tmp_path


def test_a_table_for_people(folder: Path) -> None:
    """Every column is a line with its kind, missing values, range and shape; slices and the rest follow when asked."""
    done = keepfit("rows.csv", "--slice", "town", "--label", "town", "--correlations", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "rows.csv: 100 rows, 4 columns" in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("x "))
    for told in ("float", "0 %", "100", "9.9", "4.95", "█"):
        assert told in line
    for told in ("by town", "correlations, the", "+1.000", "what tells of town"):
        assert told in done.stdout
    assert done.stderr == ""


def test_json_comes_back(folder: Path) -> None:
    """What --json prints has the numbers to read and the whole profile, and is taken as DATA in place of the data."""
    done = keepfit("rows.csv", "--json", "--weight", "w", folder=folder)
    plain = json.loads(done.stdout)
    x = next(column for column in plain["summary"]["columns"] if column["name"] == "x")
    assert (x["mean"], x["quantiles"]["0.5"], x["distinct"]["count"]) == (pytest.approx(4.95), 4.9, 100)
    assert sum(x["histogram"]["counts"]) == 100
    assert from_json(done.stdout.encode()) == profile(folder / "rows.csv", weight="w")
    (folder / "kept.json").write_text(done.stdout)
    assert keepfit("kept.json", "--json", folder=folder).stdout == done.stdout


def test_a_page(folder: Path) -> None:
    """--html writes one page, with two profiles side by side when there is something to stand beside."""
    (folder / "more.csv").write_text("i,x,town\n5,1e3,<c>\n")
    done = keepfit("rows.csv", "--against", "more.csv", "--html", "page.html", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "wrote page.html\n"
    page = (folder / "page.html").read_text()
    assert "Profile of rows.csv beside more.csv" in page
    assert "&lt;c&gt;" in page
    assert "<c>" not in page


def test_broken_rows(folder: Path) -> None:
    """A broken row ends it with one line and exit code 2; with --skip-broken it is told and counted."""
    with (folder / "rows.csv").open("a") as file:
        file.write("1,2\n")
    refused = keepfit("rows.csv", folder=folder)
    assert refused.returncode == 2
    assert refused.stderr == "keepfit: rows.csv, row 101 (line 102): expected 4 fields, found 2\n"
    done = keepfit("rows.csv", "--skip-broken", folder=folder)
    assert done.returncode == 0
    assert "100 rows, 4 columns, 1 broken rows left out" in done.stdout
    assert done.stderr == "left out: rows.csv, row 101 (line 102): expected 4 fields, found 2\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["none.csv"], 1, "keepfit: none.csv: no such file"),
        (["rows.csv", "--label", "z"], 2, "keepfit: no column 'z' for the label; there are: i, x, town, w"),
        (["rows.csv", "--weight", "town"], 2, "keepfit: column 'town' cannot be the weight; expected numbers"),
        (["rows.csv", "--spans", "1..2"], 2, "keepfit: rows.csv: expected {SPAN} or {DATE}"),
        (["rows.csv", "--query", "SELECT 1"], 2, "keepfit: rows.csv: cannot be queried"),
        (["stream:flights"], 1, "keepfit: no records of 'flights'"),
    ],
)
def test_refusals(folder: Path, words: list[str], code: int, message: str) -> None:
    """What cannot be profiled is refused with one line that says what there is, and an exit code."""
    done = keepfit(*words, folder=folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_a_database_and_a_pattern(folder: Path) -> None:
    """A query's answer and the newest of dated files are profiled as any file."""
    with sqlite3.connect(folder / "x.db") as database:
        database.execute("CREATE TABLE t AS SELECT 1 AS a UNION SELECT 2")
    database.close()
    done = keepfit("sqlite:///x.db", "--query", "SELECT a FROM t", folder=folder)
    assert "sqlite:///x.db: 2 rows, 1 columns" in done.stdout
    for day, rows in (("2024-01-01", 1), ("2024-01-02", 2)):
        (folder / f"{day}.csv").write_text("n\n" + "5\n" * rows)
    assert "2 rows" in keepfit("{DATE}.csv", folder=folder).stdout
    assert "3 rows" in keepfit("{DATE}.csv", "--spans", "2024-01-01..2024-01-02", folder=folder).stdout


def test_a_span_of_a_stream(folder: Path) -> None:
    """Records of a Stream are profiled, all of them or those of a Span."""
    from keepfit.core.places import Places
    from keepfit.store.streams import SegmentWriter

    start = datetime(2026, 1, 1, tzinfo=UTC)
    schema = pa.schema(
        {"_id": pa.string(), "_time": pa.timestamp("us", "UTC"), "_version": pa.int32(), "x": pa.int64()}
    )
    rows = [{"_id": str(i), "_time": start + timedelta(hours=i), "_version": 1, "x": i} for i in range(100)]
    writer = SegmentWriter(Places(folder / ".keepfit").stream("flights"), "one")
    writer.append(pa.RecordBatch.from_pylist(rows, schema))
    writer.close()
    done = keepfit("stream:flights", folder=folder)
    assert "stream:flights: 100 rows" in done.stdout, done.stderr
    some = keepfit("stream:flights", "--spans", "2026-01-02..2026-01-03", folder=folder)
    assert "stream:flights: 24 rows" in some.stdout


def test_a_bar_for_people_only(folder: Path) -> None:
    """A progress bar is drawn where standard error is a terminal, and nowhere else."""
    pq.write_table(pa.table({"x": range(400_000)}), folder / "rows.parquet")
    assert keepfit("rows.parquet", folder=folder).stderr == ""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, "rows.parquet"], cwd=folder, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the terminal is gone with the process
                break
            if not piece:
                break
            seen += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"rows" in seen


def test_only_what_is_needed_is_imported(folder: Path) -> None:
    """A small file is profiled without pandas, scipy, scikit-learn or the control API's client."""
    command = [sys.executable, "-X", "importtime", "-m", "keepfit.edge.cli", "profile", "rows.csv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
    assert "pyarrow" in imported
    assert not imported & {"pandas.core", "scipy", "sklearn", "httpx", "sqlalchemy", "fsspec"}
