"""How long does a drift report take, and what does an event cost a detector of sequences?

Both sides hold eight columns of numbers for every two of text; one in four moved. Work is timed without imports and
without making the tables, each in a process of its own on one core. evidently 0.7 runs its `DataDriftPreset` on data
frames of the same rows; the plain loop is scipy's `ks_2samp` per column of numbers and `chi2_contingency` over pandas'
counts per column of text. Detectors of sequences follow the same errors, whose rate changes now and then, as river's
do, one `update` per event; the alarms must be the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Line, Sample, either, interleave, peer
from keepfit.watch import detectors

ROUNDS = either(3, 1)
ROWS, COLUMNS = either(100_000, 5_000), 50
MANY_ROWS, MANY_COLUMNS = either(1_000_000, 20_000), either(100, 20)
EVENTS = either(50_000, 3_000)
LOST = 1.2
"""Times river's own cost of an event that ours may have."""

MEASURED = """
import json, os, sys, time
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
rows, columns = int(sys.argv[1]), int(sys.argv[2])
{before}
import numpy as np, pyarrow as pa
def numbers(random, rows, i, moved):
    if i % 10 == 4:
        return random.lognormal(0.5 * moved, 1, rows)
    if i % 10 == 5:
        return random.integers(0, 1000 + 200 * moved, rows)
    if i % 10 == 6:
        return pa.array(random.normal(0, 1, rows), mask=random.random(rows) < 0.05 + 0.2 * moved)
    return random.normal(i + moved * (1 + i), 1 + i, rows)
def text(random, rows, i, moved):
    many = (5, 300)[i % 10 - 8]
    words = pa.array([f"value-{{place:06d}}" for place in range(many)])
    return words.take(pa.array(np.minimum(random.zipf(1.3 + moved, rows) - 1, many - 1)))
def made(seed):
    random = np.random.default_rng(seed)
    kinds = [text if i % 10 > 7 else numbers for i in range(columns)]
    return pa.table({{f"c{{i}}": kinds[i](random, rows, i, seed * (i % 4 == 0)) for i in range(columns)}})
a, b = made(0), made(1)
{work}
print(json.dumps(spent))
"""
WITHOUT_PANDAS = """
from keepfit.core.imports import do_without
do_without("pandas")
"""
OURS = """
from keepfit.watch.tables import drift
start = time.perf_counter()
found = drift(a, b)
spent = time.perf_counter() - start
assert len(found.measurements) == columns and len(found.findings) == (columns + 3) // 4, found.findings
"""
SCIPY = """
import pandas as pd
from scipy import stats
a, b = a.to_pandas(), b.to_pandas()
start = time.perf_counter()
found = []
for name in a.columns:
    if pd.api.types.is_numeric_dtype(a[name]):
        found.append(stats.ks_2samp(a[name].dropna(), b[name].dropna(), method="asymp").pvalue)
    else:
        counts = pd.concat([a[name].value_counts(), b[name].value_counts()], axis=1).fillna(0)
        found.append(stats.chi2_contingency(counts.T).pvalue)
spent = time.perf_counter() - start
assert len(found) == columns
"""
EVIDENTLY = """
from evidently import Report
from evidently.presets import DataDriftPreset
a, b = a.to_pandas(), b.to_pandas()
start = time.perf_counter()
found = Report([DataDriftPreset()]).run(b, a).dict()
spent = time.perf_counter() - start
assert len(found["metrics"]) >= columns
"""


def _spent(python: Path | str, work: str, rows: int, columns: int, *, before: str = "") -> float:
    command = [str(python), "-c", MEASURED.format(work=work, before=before), str(rows), str(columns)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def run() -> list[Line]:
    """Time reports in turn, then detectors of sequences beside river's."""
    evidently = peer("evidently", "evidently==0.7.23", "pandas<3", "pyarrow")
    found = interleave(
        ROUNDS,
        {
            "ours": lambda: _spent(sys.executable, OURS, ROWS, COLUMNS, before=WITHOUT_PANDAS),
            "scipy": lambda: _spent(sys.executable, SCIPY, ROWS, COLUMNS),
            "evidently": lambda: _spent(evidently, EVIDENTLY, ROWS, COLUMNS),
            "many": lambda: _spent(sys.executable, OURS, MANY_ROWS, MANY_COLUMNS, before=WITHOUT_PANDAS),
        },
    )
    return [
        _beside(found["ours"], found["evidently"], "evidently 0.7.23", least=40),
        _beside(found["ours"], found["scipy"], "a loop over scipy", least=4),
        Line(
            what=f"drift report, {MANY_COLUMNS} columns x {MANY_ROWS:,} rows, one core",
            ours=found["many"],
            unit="s",
            reach="at most 5 s",
            reached=found["many"].median <= 5,
        ),
        *_sequences(),
    ]


def _beside(ours: Sample, theirs: Sample, name: str, *, least: float) -> Line:
    ratio = theirs.median / ours.median
    return Line(
        what=f"drift report, {COLUMNS} columns x {ROWS:,} rows",
        ours=ours,
        peer=theirs,
        peer_is=f"s, {name}",
        ratio=ratio,
        unit="s",
        reach=f"at least {least} times",
        reached=ratio >= least,
    )


def _peers() -> dict[str, tuple[Any, Callable[[], Any]]]:
    """Ours with river's settings, and what makes river's."""
    from river import drift
    from river.drift import binary

    return {
        "ADWIN": (detectors.ADWIN(), drift.ADWIN),
        "KSWIN": (detectors.KSWIN(seed=1), lambda: drift.KSWIN(seed=1)),
        "PageHinkley": (detectors.PageHinkley(two_sided=True), drift.PageHinkley),
        "DDM": (detectors.DDM(), binary.DDM),
        "EDDM": (detectors.EDDM(), binary.EDDM),
        "HDDMA": (detectors.HDDMA(), binary.HDDMA),
        "HDDMW": (detectors.HDDMW(fading=0.05), binary.HDDMW),
    }


def _errors() -> np.ndarray:
    """Errors whose rate is 0.1 and 0.3 in turn, 5,000 of each."""
    random = np.random.default_rng(0)
    return (random.random(EVENTS) < np.where(np.arange(EVENTS) // 5000 % 2, 0.3, 0.1)).astype(np.float64)


def _sequences() -> list[Line]:
    errors, lines = _errors(), []
    for name, (ours, make) in _peers().items():
        said: dict[str, list[int]] = {}

        def followed(detector: Any = ours, said: dict[str, list[int]] = said) -> float:
            start = time.perf_counter()
            alarms = detector.alarms(errors)
            spent = time.perf_counter() - start
            said["ours"] = [alarm.at for alarm in alarms]
            return spent * 1e6 / errors.size

        def updated(make: Callable[[], Any] = make, said: dict[str, list[int]] = said) -> float:
            detector, alarms, events = make(), [], errors.tolist()
            start = time.perf_counter()
            for index, error in enumerate(events):
                detector.update(error)
                if detector.drift_detected:
                    alarms.append(index)
            spent = time.perf_counter() - start
            said["river"] = alarms
            return spent * 1e6 / errors.size

        found = interleave(ROUNDS, {"ours": followed, "river": updated})
        if name != "KSWIN":  # it draws rows at random, each with its own generator
            assert said["ours"] == said["river"], f"{name}: our alarms {said['ours']}, river's {said['river']}"
        lines.append(
            Line(
                what=f"{name}, one event",
                ours=found["ours"],
                peer=found["river"],
                peer_is="µs, river",
                ratio=found["river"].median / found["ours"].median,
                unit="µs",
                reach=f"at most {LOST} times",
                reached=found["ours"].median <= LOST * found["river"].median,
            )
        )
    return lines
