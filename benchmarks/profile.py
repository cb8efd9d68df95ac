"""How long does a profile take: 1 M and 10 M rows x 20 mixed columns of Parquet, and a small CSV as a whole process?

The peers compute the same statistics by hand, in one query: counts of missing, NaN, infinite, zero and negative values,
mean, deviation, range, eleven quantiles, distinct values, the ten most frequent values, lengths of texts. DuckDB's
quantiles, distinct and frequent values are sketches like ours; polars sorts for quantiles and counts every value.
Work is timed without imports, each in a process of its own, whose peak is the kernel's VmHWM.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import PEERS, SHORT, Line, Sample, interleave, peer

ROUNDS = 1 if SHORT else 3
MILLION = 1_000_000
MEASURED = """
import json, sys, time
path, workers = sys.argv[1], int(sys.argv[2])
{work}
status = open("/proc/self/status").read()
print(json.dumps([spent, int(status.partition("VmHWM:")[2].split()[0]) / 1024]))
"""
OURS = """
from keepfit.core.imports import do_without
do_without("pandas")
from keepfit.data.profile import profile
start = time.perf_counter()
found = profile(path, workers=workers)
spent = time.perf_counter() - start
assert found.rows % 1_000_000 == 0 and len(found.columns) == 20
"""
SHARED = """
from keepfit.core.imports import do_without
do_without("pandas")
from keepfit.data.profile import profile
from keepfit.data.spread import Processes
start = time.perf_counter()
found = profile(path, workers=Processes(workers) if workers > 1 else 1)
spent = time.perf_counter() - start
assert found.rows == 4_000_000
"""
CHECKED = """
from keepfit.core.imports import do_without
do_without("pandas")
from keepfit.data.anomalies import Case
from keepfit.data.check import examine
from keepfit.data.profile import profile
from keepfit.data.scan import scan
from keepfit.data.schema import infer
schema = infer(profile(path), label="")
start = time.perf_counter()
source = scan(path, encoded=True)
found = examine(Case(schema=schema, profile=profile(source, workers=workers)), source, most=10)
spent = time.perf_counter() - start
"""
DUCKDB = """
import duckdb
database = duckdb.connect()
database.execute("SET enable_progress_bar = false")
database.execute("SELECT 1").fetchall()
start = time.perf_counter()
parts = ["count(*)"]
for name, kind, *_ in database.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall():
    name = f'"{name}"'
    parts += [f"count({name})", f"approx_count_distinct({name})", f"approx_top_k({name}, 10)"]
    if kind in ("DOUBLE", "FLOAT", "BIGINT"):
        parts += [f"avg({name})", f"stddev_pop({name})", f"min({name})", f"max({name})"]
        parts += [f"approx_quantile({name}, [0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1])"]
        parts += [f"count_if({name} = 0)", f"count_if({name} < 0)"]
        if kind != "BIGINT":
            parts += [f"count_if(isnan({name}))", f"count_if(isinf({name}))"]
    elif kind == "VARCHAR":
        parts += [f"min(length({name}))", f"avg(length({name}))", f"max(length({name}))", f"count_if({name} = '')"]
    elif kind.startswith("TIMESTAMP"):
        parts += [f"min({name})", f"max({name})", f"approx_quantile(epoch_us({name}), [.1, .25, .5, .75, .9])"]
database.execute(f"SELECT {', '.join(parts)} FROM '{path}'").fetchall()
spent = time.perf_counter() - start
"""
POLARS = """
import polars as pl
start = time.perf_counter()
rows = pl.scan_parquet(path)
asked = [pl.len().alias("rows")]
for name, kind in rows.collect_schema().items():
    one = pl.col(name)
    found = [one.null_count(), one.approx_n_unique()]
    if kind.is_numeric():
        found += [one.mean(), one.std(), one.min(), one.max(), (one == 0).sum(), (one < 0).sum()]
        found += [one.quantile(place / 10) for place in range(1, 10)]
        if kind.is_float():
            found += [one.is_nan().sum(), one.is_infinite().sum()]
    elif kind == pl.String:
        length = one.str.len_chars()
        found += [length.min(), length.mean(), length.max(), (one == "").sum()]
    elif kind.is_temporal():
        found += [one.min(), one.max()]
    asked += [expression.alias(f"{name}_{place}") for place, expression in enumerate(found)]
rows.select(asked).collect()
for name in rows.collect_schema().names():
    rows.select(pl.col(name).value_counts(sort=True).head(10)).collect()
spent = time.perf_counter() - start
"""


def _table(seed: int) -> pa.Table:
    """A million rows: ten columns of floats, four of whole numbers, five of text, one of truths and times each."""
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {f"f{i}": random.normal(i, 1 + i, MILLION) for i in range(7)}
    columns["f7"] = pa.array(random.exponential(3, MILLION), mask=random.random(MILLION) < 0.05)
    columns["f8"] = random.lognormal(0, 1, MILLION).astype(np.float32)
    for i in range(4):
        columns[f"i{i}"] = random.integers(0, 10 ** (2 * i + 1), MILLION)
    columns["truth"] = random.random(MILLION) < 0.3
    columns["at"] = np.datetime64("2026-01-01", "us") + random.integers(0, 365 * 86_400_000_000, MILLION)
    for i, many in enumerate((5, 300, 3000, 20_000)):
        words = np.array([f"value-{place:06d}" for place in range(many)])
        columns[f"s{i}"] = pa.array(words[np.minimum(random.zipf(1.3, MILLION) - 1, many - 1)])
    columns["id"] = pa.array([f"id{number:012x}" for number in random.integers(0, 2**48, MILLION)])
    return pa.table(columns)


def _parquet(millions: int) -> Path:
    """The rows as a file, made once."""
    path = PEERS / f"profile-{millions}m.parquet"
    if not path.exists():
        PEERS.mkdir(exist_ok=True)
        making = path.with_suffix(".making")
        with pq.ParquetWriter(making, _table(0).schema) as writer:
            for seed in range(millions):
                writer.write_table(_table(seed), row_group_size=122_880)
        making.rename(path)
    return path


def _files() -> str:
    """The same million rows four times, as a glob."""
    folder = PEERS / "profile-files"
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(4):
        link = folder / f"{place}.parquet"
        if not link.exists():
            link.symlink_to(_parquet(1))
    return f"{folder}/*.parquet"


def _csv(rows: int) -> Path:
    path = PEERS / f"profile-{rows}.csv"
    if not path.exists():
        PEERS.mkdir(exist_ok=True)
        table = _table(0).slice(0, rows)
        path.write_text("\n".join([",".join(table.column_names), *(_csv_row(row) for row in table.to_pylist())]) + "\n")
    return path


def _csv_row(row: dict[str, object]) -> str:
    return ",".join("" if value is None else str(value) for value in row.values())


def _whole(path: Path) -> float:
    """Seconds of `keepfit profile FILE` as a process, interpreter included."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "keepfit.edge.cli", "profile", str(path)], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


class _Peaks:
    """Times work in processes of their own, and keeps the largest memory each needed."""

    def __init__(self) -> None:
        self.megabytes: dict[str, list[float]] = {}

    def timed(self, name: str, python: Path | str, work: str, path: Path | str, workers: int = 2) -> float:
        command = [str(python), "-c", MEASURED.format(work=work), str(path), str(workers)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        spent, peak = json.loads(done.stdout.splitlines()[-1])
        self.megabytes.setdefault(name, []).append(peak)
        return float(spent)

    def sample(self, name: str) -> Sample:
        return Sample(tuple(self.megabytes[name]))


def run() -> list[Line]:
    """Time ours, DuckDB and polars in turn; then ten times the rows, small files, and one worker."""
    python = peer("frames", "duckdb==2.0.0", "polars==2.1.0")
    small, large, peaks = _parquet(1), _parquet(10), _Peaks()
    found = interleave(
        ROUNDS,
        {
            "ours": lambda: peaks.timed("ours", sys.executable, OURS, small),
            "duckdb": lambda: peaks.timed("duckdb", python, DUCKDB, small),
            "polars": lambda: peaks.timed("polars", python, POLARS, small),
            "one worker": lambda: peaks.timed("one worker", sys.executable, OURS, small, 1),
            "ten million": lambda: peaks.timed("ten million", sys.executable, OURS, large),
            "four files": lambda: peaks.timed("four files", sys.executable, SHARED, _files(), 1),
            "shared": lambda: peaks.timed("shared", sys.executable, SHARED, _files()),
            "checked": lambda: peaks.timed("checked", sys.executable, CHECKED, small),
        },
    )
    quicker = min(("duckdb", "polars"), key=lambda name: found[name].median)
    slower = "polars" if quicker == "duckdb" else "duckdb"
    return [
        _against(found["ours"], found[quicker], quicker, asked=True),
        _against(found["ours"], found[slower], slower, asked=False),
        *_memory(peaks),
        *_grown(found["ours"], found["ten million"], found["one worker"]),
        *_shared(found, peaks),
        *_small(),
    ]


def _against(ours: Sample, theirs: Sample, name: str, *, asked: bool) -> Line:
    return Line(
        what="1 M x 20, Parquet",
        ours=ours,
        peer=theirs,
        peer_is=f"s, {name}",
        ratio=theirs.median / ours.median,
        unit="s",
        reach="at most 1.5 times the quicker peer" if asked else "",
        reached=ours.median <= 1.5 * theirs.median if asked else None,
    )


def _memory(peaks: _Peaks) -> list[Line]:
    ours, large = peaks.sample("ours"), peaks.sample("ten million")
    return [
        Line(
            what="peak memory, 1 M",
            ours=ours,
            peer=peaks.sample("duckdb"),
            peer_is="MB, duckdb",
            unit="MB",
            reach="at most 500 MB",
            reached=ours.median <= 500,
        ),
        Line(
            what="peak memory, 10 M",
            ours=large,
            peer=ours,
            peer_is="MB, 1 M",
            ratio=large.median / ours.median,
            unit="MB",
            reach="the same within 10 %",
            reached=abs(large.median / ours.median - 1) <= 0.1,
        ),
    ]


def _grown(ours: Sample, large: Sample, alone: Sample) -> list[Line]:
    return [
        Line(
            what="10 M x 20",
            ours=large,
            peer=ours,
            peer_is="s, 1 M",
            ratio=large.median / ours.median,
            unit="s",
            reach="at most 10.5 times the 1 M",
            reached=large.median <= 10.5 * ours.median,
        ),
        Line(
            what="two workers",
            ours=ours,
            peer=alone,
            peer_is="s, one worker",
            ratio=alone.median / ours.median,
            unit="s",
            reach="never slower than one",
            reached=ours.median <= alone.median,
        ),
    ]


def _shared(found: dict[str, Sample], peaks: _Peaks) -> list[Line]:
    alone, shared = found["four files"], found["shared"]
    return [
        Line(
            what="four files of 1 M, two processes",
            ours=shared,
            peer=alone,
            peer_is="s, one process with one thread",
            ratio=alone.median / shared.median,
            unit="s",
            reach="never slower than one",
            reached=shared.median <= alone.median,
        ),
        Line(
            what="1 M x 20, profiled and checked",
            ours=found["checked"],
            peer=found["ours"],
            peer_is="s, only profiled",
            ratio=found["ours"].median / found["checked"].median,
            unit="s",
        ),
        Line(
            what="peak memory, checked",
            ours=peaks.sample("checked"),
            unit="MB",
            reach="at most 500 MB",
            reached=peaks.sample("checked").median <= 500,
        ),
    ]


def _small() -> list[Line]:
    limits = {100: 0.5, 10_000: 0.7}
    found = interleave(5, {str(rows): (lambda rows=rows: _whole(_csv(rows))) for rows in limits})  # type: ignore[misc]
    return [
        Line(
            what=f"{rows:,} rows of CSV, whole process",
            ours=found[str(rows)],
            unit="s",
            reach=f"at most {most} s",
            reached=found[str(rows)].median <= most,
        )
        for rows, most in limits.items()
    ]
