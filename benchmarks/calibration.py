"""False alarms and power of drift detectors on real data: `python -m benchmarks.calibration [SPLITS] [DETECTOR ...]`.

Null: random halves of n rows of one file, over all its columns. Power: the second half has its numbers shifted by one
standard deviation. Alarm: p at most 0.01 and effect at least 0.1, the defaults of a Monitor.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keepfit.core import registry
from keepfit.core.errors import SpecInvalid
from keepfit.core.protocols import Detector
from keepfit.data.read import read
from keepfit.watch.samples import numbers

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SIZES = (50, 200, 1000)


def subjects() -> list[NDArray[np.float64]]:
    """The numeric columns of Chicago's and New York's taxi trips."""
    found = []
    for name in ("chicago_taxi/tfdv_train.csv", "nyc_yellow_2018/*01*.csv"):
        table = read(DATA / name)
        columns = [numbers(np.asarray(table[c].to_numpy())) for c in table.column_names if _numeric(table[c].type)]
        found += [values for values in columns if np.unique(values[np.isfinite(values)]).size > 1]
    return found


def _numeric(kind: object) -> bool:
    return str(kind) in ("double", "float", "int64", "int32")


def _alarm(detector: Detector, old: NDArray[np.float64], new: NDArray[np.float64]) -> bool:
    score = detector.score(old, new)
    return score.p_value <= 0.01 and score.effect >= 0.1


def rates(detector: Detector, columns: list[NDArray[np.float64]], n: int, splits: int) -> tuple[float, float]:
    """The shares of false alarms and of shifts found."""
    random = np.random.default_rng(n)
    false = found = 0
    for trial in range(splits):
        rows = random.permutation(columns[trial % len(columns)])[:n]
        old, new = rows[: n // 2], rows[n // 2 :]
        false += _alarm(detector, old, new)
        found += _alarm(detector, old, new + float(np.nanstd(rows)))
    return false / splits, found / splits


def main(splits: int, only: list[str]) -> None:
    """Print a row per detector: false alarms / shifts found, in percent, per n."""
    columns = subjects()
    print(f"| detector | {' | '.join(f'n = {n:,}' for n in SIZES)} |")
    for name in only or registry.names("keepfit.detectors"):
        detector = registry.load("keepfit.detectors", name)()
        try:
            cells = [rates(detector, columns, n, splits) for n in SIZES]
        except SpecInvalid:
            continue
        shown = " | ".join(f"{false:.1%} / {found:.0%}" for false, found in cells)
        print(f"| {name} | {shown} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, sys.argv[2:])
