"""`keepfit check` and `keepfit schema` as processes: what they print, write and exit with."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from keepfit.data.read import read
from keepfit.data.schema import read_schema


def keepfit(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepfit.edge.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"{i},{'ab'[i % 2]},{i % 5}\n" for i in range(100))
    (tmp_path / "good.csv").write_text("i,town,tip\n" + rows)
    (tmp_path / "bad.csv").write_text("i,town,tip\n" + rows + "900,c,1\n")
    (tmp_path / "less.csv").write_text("i,town\n1,a\n2,b\n")
    done = keepfit("schema", "infer", "good.csv", "-o", "s.yaml", "--label", "", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_warnings_pass(folder: Path) -> None:
    """Good data passes in silence; warnings are told with their rows, and do not fail."""
    assert keepfit("check", "good.csv", "-s", "s.yaml", folder=folder).stdout == "100 rows, 0 findings\n"
    done = keepfit("check", "bad.csv", "-s", "s.yaml", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING INT_TYPE_BIG_INT: column 'i' goes up to 900" in done.stdout
    assert "rows 101" in done.stdout


def test_errors_fail(folder: Path) -> None:
    """An ERROR is exit code 1, in text and in JSON, but not in an environment where it is none."""
    assert keepfit("check", "less.csv", "-s", "s.yaml", folder=folder).returncode == 1
    done = keepfit("check", "less.csv", "-s", "s.yaml", "--json", folder=folder)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["rows"] == 2
    (finding,) = told["findings"]
    assert (finding["subject"], finding["anomaly"], finding["severity"]) == ("tip", "SCHEMA_MISSING_COLUMN", "error")
    schema = (folder / "s.yaml").read_text().replace("  tip:\n", "  tip:\n    not_in: [SERVING]\n")
    (folder / "s.yaml").write_text(schema)
    assert keepfit("check", "less.csv", "-s", "s.yaml", "-e", "SERVING", folder=folder).returncode == 0
    assert keepfit("check", "less.csv", "-s", "s.yaml", "-e", "TRAINING", folder=folder).returncode == 1


def test_quarantine(folder: Path) -> None:
    """The rows with findings are written out, with their numbers and the reasons."""
    done = keepfit("check", "bad.csv", "-s", "s.yaml", "--quarantine", "q.csv", folder=folder)
    assert done.returncode == 0, done.stderr
    (row,) = read(folder / "q.csv").to_pylist()
    assert (row["i"], row["_row"]) == (900, 101)
    assert row["_why"] == "INT_TYPE_BIG_INT i; ENUM_TYPE_UNEXPECTED_STRING_VALUES town"


def test_accept(folder: Path) -> None:
    """Only what is named is accepted, it is shown, and nothing changes without a name."""
    before = (folder / "s.yaml").read_text()
    assert keepfit("schema", "accept", "bad.csv", "-s", "s.yaml", folder=folder).returncode == 2
    done = keepfit("schema", "accept", "bad.csv", "-s", "s.yaml", "--finding", "tip", folder=folder)
    assert done.returncode == 2
    assert "town:ENUM_TYPE_UNEXPECTED_STRING_VALUES" in done.stderr
    assert (folder / "s.yaml").read_text() == before
    done = keepfit("schema", "accept", "bad.csv", "-s", "s.yaml", "--finding", "town", folder=folder)
    assert done.stdout == "town: domain - -> with ['c']\n"
    (folder / "old.yaml").write_text(before)
    assert keepfit("schema", "diff", "old.yaml", "s.yaml", folder=folder).stdout == done.stdout
    done = keepfit("check", "bad.csv", "-s", "s.yaml", folder=folder)
    assert "town" not in done.stdout
    assert "INT_TYPE_BIG_INT" in done.stdout


def test_never_silently(folder: Path) -> None:
    """A schema that is there is not inferred over; a schema for TFDV is written as one."""
    done = keepfit("schema", "infer", "bad.csv", "-o", "s.yaml", folder=folder)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert keepfit("schema", "infer", "good.csv", "-o", "s.pbtxt", "--strict", folder=folder).returncode == 0
    assert (folder / "s.pbtxt").read_text().startswith('feature {\n  name: "i"\n  type: INT\n')
    assert read_schema(folder / "s.pbtxt").domains == {}


def test_span(folder: Path) -> None:
    """Rows outside of the span that they should be of are told."""
    (folder / "t.csv").write_text("at\n2024-01-01 10:00:00\n2024-02-01 00:00:00\n")
    (folder / "t.yaml").write_text("time: {column: at}\nlabel: ''\ncolumns:\n  at: {kind: time}\n")
    done = keepfit("check", "t.csv", "-s", "t.yaml", "--span", "2024-01-01..2024-02-01", folder=folder)
    assert done.returncode == 1
    assert "OUTSIDE_SPAN" in done.stdout
    assert "rows 2\n" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("columns:\n  i: {knd: integer}\n", "'knd'"),
        ("columns:\n  i: {kind: whole}\n", "whole"),
        ("columns:\n  town: {kind: text, domain: [no, a]}\n", "quotes"),
        ("columns: [i]\n", "a mapping"),
        ("columns: {", "not YAML"),
    ],
)
def test_schema_with_a_mistake(folder: Path, text: str, words: str) -> None:
    """A mistake in a schema file is told, never passed over."""
    (folder / "wrong.yaml").write_text(text)
    done = keepfit("check", "good.csv", "-s", "wrong.yaml", folder=folder)
    assert done.returncode == 2
    assert "wrong.yaml" in done.stderr
    assert words in done.stderr


def test_files_are_shared(folder: Path) -> None:
    """Several processes share the files, and say what one says; so does --html, where a page is asked for."""
    pq.write_table(read(folder / "good.csv"), folder / "p1.parquet")
    pq.write_table(read(folder / "bad.csv"), folder / "p2.parquet")
    alone = keepfit("check", "p*.parquet", "-s", "s.yaml", "--json", folder=folder)
    shared = keepfit("check", "p*.parquet", "-s", "s.yaml", "--json", "--workers", "2", folder=folder)
    assert (shared.stdout, shared.stderr) == (alone.stdout, "")
    (big, town) = json.loads(alone.stdout)["findings"]
    assert (big["rows"], town["rows"]) == ([201], [201])
    refused = keepfit("check", "p*.parquet", "-s", "s.yaml", "--ray", "192.0.2.1:6379", folder=folder)
    assert refused.returncode != 0
    assert "without a token" in refused.stderr


def test_pages(folder: Path) -> None:
    """Findings, a schema and changes as pages, which say all that the text says, and nothing that a page would run."""
    (folder / "bad.csv").write_text((folder / "bad.csv").read_text().replace("900,c,1", "900,<b>,1"))
    done = keepfit("check", "bad.csv", "-s", "s.yaml", "--html", "check.html", folder=folder)
    assert done.stdout == "wrote check.html\n"
    page = (folder / "check.html").read_text()
    for told in ("101 rows held against s.yaml", "INT_TYPE_BIG_INT", "goes up to 900", "&lt;b&gt;", 'scope="row"'):
        assert told in page
    assert "<b>" not in page
    done = keepfit("schema", "infer", "good.csv", "--html", "schema.html", "--json", folder=folder)
    assert set(json.loads(done.stdout)["columns"]) == {"i", "town", "tip"}
    assert "domain: [" in (folder / "schema.html").read_text()
    (folder / "new.yaml").write_text((folder / "s.yaml").read_text().replace("rows: 100", "rows: 101", 1))
    assert keepfit("schema", "diff", "s.yaml", "new.yaml", "--html", "diff.html", folder=folder).returncode == 0
    assert "<td>100</td><td>101</td>" in (folder / "diff.html").read_text()


def test_a_bar_for_people_only(folder: Path) -> None:
    """Long work shows a bar where standard error is a terminal, and only there; it is gone in the end."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "keepfit.edge.cli", "check", "good.csv", "-s", "s.yaml"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=theirs) as process:
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
        assert process.stdout is not None
        assert process.stdout.read() == b"100 rows, 0 findings\n"
    os.close(ours)
    assert process.returncode == 0
    assert b"rows" in seen
