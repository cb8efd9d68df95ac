"""Data larger than the memory a process may have is profiled and checked: what is kept does not grow with the rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS, COLUMNS, GROUP = 2_500_000, 16, 125_000
BUDGET = 300 * 2**20
"""Bytes: the libraries alone take a good third of it."""

RUN = """
import sys
from pathlib import Path
from keepfit.edge.cli import main
try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(peak.split()[1], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of more than the budget, of numbers that do not compress; one of them is out of range."""
    path = tmp_path_factory.mktemp("large") / "rows.parquet"
    random = np.random.default_rng(0)
    schema = pa.schema([(f"c{place}", pa.float64()) for place in range(COLUMNS)])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, ROWS, GROUP):
            values = random.random((COLUMNS, GROUP))
            values[3, 7] = 99.0 if start == 10 * GROUP else 0.5
            writer.write_table(pa.table(list(values), schema=schema))
    assert path.stat().st_size > BUDGET
    columns = "".join(f"  c{place}: {{kind: float, minimum: 0.0, maximum: 1.0}}\n" for place in range(COLUMNS))
    path.with_name("schema.yaml").write_text(f"label: ''\nrules: [c0 <= 2]\ncolumns:\n{columns}")
    return path


@pytest.mark.parametrize("command", [["profile"], ["check", "--schema", "schema.yaml"]], ids=["profile", "check"])
def test_memory_does_not_grow_with_the_file(large: Path, command: list[str]) -> None:
    """The peak of the whole process stays below the size of the file, and nothing is overlooked."""
    words = [sys.executable, "-c", RUN, *command, large.name, "--json"]
    done = subprocess.run(words, cwd=large.parent, capture_output=True, text=True, check=False, timeout=300)
    told = json.loads(done.stdout)
    peak = int(done.stderr.split()[-1]) * 1024
    assert peak <= BUDGET, f"{peak / 2**20:.0f} MB"
    if command[0] == "profile":
        assert told["summary"]["rows"] == ROWS
    else:
        (finding,) = told["findings"]
        assert (finding["subject"], finding["rows"]) == ("c3", [10 * GROUP + 8])
