"""Spread: work over many files on several processes, and on a Ray cluster, gives the bytes that one process gives."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from keepfit.core.errors import Conflict, DataInvalid, Unavailable
from keepfit.data.anomalies import Case
from keepfit.data.check import examine
from keepfit.data.profile import Kind, profile
from keepfit.data.report.plain import to_json
from keepfit.data.scan import scan
from keepfit.data.schema import Expectation, Schema, TimeOrder
from keepfit.data.spread import Processes, Ray, Spread

SCHEMA = Schema(
    (
        Expectation(name="at", kind=Kind.TIME),
        Expectation(name="fare", kind=Kind.FLOAT, minimum=-3.0, maximum=3.0),
        Expectation(name="town", kind=Kind.TEXT, domain=("a", "b")),
        Expectation(name="trip", kind=Kind.TEXT, unique=True, pattern="t[0-9]+"),
    ),
    label="",
    rules=("fare <= 2.9",),
    time=TimeOrder(column="at"),
)


def rows(seed: int, count: int) -> pa.Table:
    random = np.random.default_rng(seed)
    trips = [f"t{number}" for number in range(seed * 1_000_000, seed * 1_000_000 + count)]
    trips[-1] = "t2000000"  # which stands in every file
    return pa.table(
        {
            "at": pa.array(np.datetime64("2026-01-01", "us") + np.arange(count) * 1_000_000),
            "fare": random.normal(size=count),
            "town": random.choice(["a", "b", "c"], count, p=[0.5, 0.499, 0.001]),
            "trip": trips,
        }
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("spread")
    for seed, count in enumerate((3000, 150_000, 10)):
        pq.write_table(rows(seed, count), folder / f"rows-{seed}.parquet")
    pyarrow.csv.write_csv(rows(3, 500), folder / "rows-3.csv")
    return str(folder / "rows-*")


def told(files: str, workers: Spread | None) -> tuple[str, Sequence[Any]]:
    """The Profile as JSON, and all findings with their rows."""
    scanned = scan(files, encoded=True)
    found = profile(scanned, label="town", correlate=True, workers=workers)
    faults = examine(Case(schema=SCHEMA, profile=found), scanned, most=5, workers=workers)
    return to_json(found), [fault.pinned(5) for fault in faults]


@pytest.fixture(scope="module")
def alone(files: str) -> tuple[str, Sequence[Any]]:
    found = told(files, None)
    assert profile(files).rows == 153_510
    kinds = {finding.anomaly for finding in found[1]}
    assert {"VALUES_REPEATED", "ROW_RULE_BROKEN", "FLOAT_TYPE_BIG_FLOAT", "REPEATED_STAMPS"} & kinds >= {
        "VALUES_REPEATED",
        "ROW_RULE_BROKEN",
        "FLOAT_TYPE_BIG_FLOAT",
    }
    return found


def test_processes(files: str, alone: tuple[str, Sequence[Any]]) -> None:
    """Two processes: no row lost, none counted twice, and the same bytes."""
    assert told(files, Processes(2)) == alone


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (pip install keepfit[ray])")
def test_ray(files: str, alone: tuple[str, Sequence[Any]]) -> None:
    """A local Ray cluster: the same bytes again."""
    assert told(files, Ray()) == alone


def test_an_error_comes_back(tmp_path: Path) -> None:
    """What is wrong with one file is raised as it would be by one process."""
    for number in range(3):
        pq.write_table(rows(number, 10), tmp_path / f"{number}.parquet")
    scanned = scan(tmp_path)
    damaged = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "1.parquet").write_bytes(damaged[:20] + bytes(400) + damaged[420:])
    with pytest.raises(DataInvalid, match=r"1\.parquet: cannot be read"):
        profile(scanned, workers=Processes(2))


def ends(thing: int) -> int:
    if thing == 1:
        import os

        os._exit(9)
    return thing


def test_a_process_that_ends_is_told() -> None:
    """A worker that is killed makes no result, and no silence."""
    with pytest.raises(Unavailable, match="ended before its work did"):
        list(Processes(2).map(ends, [0, 1, 2]))


def test_a_cluster_without_a_token_is_refused(monkeypatch: pytest.MonkeyPatch, files: str) -> None:
    """Nobody joins a cluster that asks for no token by mistake; and nothing is sent there before that is known."""
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(Conflict, match="without a token") as caught:
        profile(scan(files), workers=Ray("127.0.0.1:1"))
    assert caught.value.code == "no_token"
