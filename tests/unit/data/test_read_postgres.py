"""A query of PostgreSQL is read as any table: by a real server, started for this test and gone after it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.data.check import check
from keepfit.data.profile import Kind, profile
from keepfit.data.read import read
from keepfit.data.scan import scan
from keepfit.data.schema import infer

_INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_LACKING = [
    *([] if shutil.which("initdb") or _INSTALLED else ["PostgreSQL's initdb and pg_ctl"]),
    *([] if importlib.util.find_spec("psycopg") else ["psycopg (pip install 'keepfit[postgres]')"]),
]
pytestmark = pytest.mark.skipif(bool(_LACKING), reason=f"not here: {', '.join(_LACKING)}")

RIDES = """
CREATE TABLE rides AS SELECT
  number, number * 0.5 AS fare, (number * 10)::numeric(12, 2) AS total,
  CASE WHEN number % 7 = 0 THEN NULL ELSE 'town ' || number % 3 END AS town, number % 2 = 0 AS paid,
  timestamptz '2026-01-01 00:00:00+00' + number * interval '1 minute' AS at, ARRAY[number, number + 1] AS stops
FROM generate_series(1, 50000) AS number
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server of our own: on a socket in a folder, run by somebody who is not root."""
    programs = _INSTALLED[-1] if _INSTALLED else Path(str(shutil.which("initdb"))).parent
    owner = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if owner:
            shutil.chown(folder, owner)

        def run(program: str, *words: str) -> None:
            command = [programs / program, "-D", f"{folder}/data", *words]
            subprocess.run(command, check=True, user=owner, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

        run("initdb", "--auth=trust", "--username=keepfit", "--encoding=UTF8", "--locale=C", "--no-sync")
        settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        run("pg_ctl", "--wait", "--log", f"{folder}/log", "-o", settings, "start")
        try:
            url = f"postgresql://keepfit@/postgres?host={folder}"
            _execute(url, RIDES)
            yield url
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")


def _execute(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute(statement)


def test_types_and_values(server: str) -> None:
    """Numbers, fractions, decimals, text, truths, times with a zone, lists and what is missing come as they are."""
    table = read(server, query="SELECT * FROM rides ORDER BY number LIMIT 20")
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")
    assert table.slice(6, 1).to_pylist() == [
        {
            "number": 7,
            "fare": Decimal("3.5"),
            "total": Decimal("70.00"),
            "town": None,
            "paid": False,
            "at": datetime(2026, 1, 1, 0, 7, tzinfo=UTC),
            "stops": [7, 8],
        }
    ]


def test_more_than_one_batch(server: str) -> None:
    """Rows are fetched as they are read, and read again when they are asked for again: profiled, then checked."""
    scanned = scan(server, query="SELECT * FROM rides ORDER BY number")
    assert [batch.num_rows for batch in scanned] == [20_000, 20_000, 10_000]
    found = profile(scanned)
    town = found.column("town")
    assert town is not None
    assert (found.rows, town.missing, town.kind) == (50_000, 50_000 // 7, Kind.TEXT)
    assert check(scanned, infer(found)) == ()


@pytest.mark.parametrize(
    ("statement", "words"),
    [("SELECT * FROM trips", "trips"), ("SELEC 1", "syntax error"), ("DROP TABLE rides", "syntax error")],
)
def test_refusals(server: str, statement: str, words: str) -> None:
    """What the server says is told; a statement that is no query is not run."""
    with pytest.raises(DataInvalid, match=words):
        read(server, query=statement)
