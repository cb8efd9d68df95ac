"""Do detectors stay silent without a change, and do they see one? False alarms and power on real data.

Without a change: random halves of n rows of one column. A column with fewer than n rows gives each of them more than
once, which changes nothing between the halves. With one: the second half, the window, is changed; a rise by one
standard deviation (of the middle 98 % of the rows) may be found by the window or by a second one. The columns are of
Chicago's and New York's taxi trips and of an electricity market; a detector that refuses a column is not asked about
it. Alarm: p at most 0.01 and effect at least 0.1, the defaults of a Monitor.

Tests of two samples go by how many rows have each value, so halves are drawn as such counts, which costs the same for
50 rows and for a million. Detectors of sequences need the rows; beyond 1,000 of them they are asked only about halves
in which the bound that judges every nomination would let some cut pass.

What has been counted is kept in `.peers/calibration.json`: a run that was ended goes on where it was; remove that file
to begin anew. A full run writes the tables of `docs/howto/choose-a-detector.md` as well; `python -m
benchmarks.calibration KS PSI` measures some detectors and writes no page.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from math import exp
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness import PEERS, ROOT, SHORT, Line, Sample, either, show
from keepfit.core import registry
from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.core.protocols import Detector
from keepfit.data.read import read
from keepfit.watch.pooled import Pooled, pooled
from keepfit.watch.samples import has_few_values, is_categorical, numbers
from keepfit.watch.tables import sample

DATA = ROOT.parent / "shared" / "data"
PAGE = ROOT / "docs" / "howto" / "choose-a-detector.md"
BEGIN, END = "<!-- tables: written by make bench ONLY=calibration -->", "<!-- end of tables -->"
SEED = 1

COLUMNS = {
    "chicago_taxi/tfdv_train.csv": "fare trip_miles trip_seconds tips pickup_latitude dropoff_census_tract "
    "trip_start_hour payment_type company",
    "nyc_yellow_2018/*.csv": "trip_distance tip_amount total_amount passenger_count store_and_fwd_flag "
    "pickup_location_id",
    "elec2/electricity_openml.csv": "nswprice nswdemand transfer class",
}
NAMES = ("pickup_location_id", "trip_start_hour")
"""Numbers that are names, and asked about as text."""

HALVES = either({50: 1000, 200: 1000, 1000: 1000, 10_000: 1000, 100_000: 1000, 1_000_000: 1000}, {50: 5, 20_000: 2})
"""How often each column is halved, per n."""
FEWER = either({1_000_000: 200}, {})
"""The same for detectors of sequences, which need every row in its order."""
SLOW = {"KSWIN": either({10_000: 50, 100_000: 5, 1_000_000: 0}, {20_000: 1})}
"""The same for the one of them that costs microseconds a row."""
COSTLY = ("Confidence", "Classifier", "MMD", "Wasserstein", "TFDV", "CUSUM", "KSWIN")
"""Come last: a run that ends early has the others."""
WINDOWS = either({100: 30, 500: 30, 5000: 5}, {100: 2})
"""How often each change is made to a window of each column, per rows of the window; the reference has as many."""

MOST, LEAST = 0.02, 0.99
P_VALUE, EFFECT = 0.01, 0.1
SHORTEST = 1000
"""Up to so many rows every detector of sequences is asked, whatever it could nominate."""

Column = NDArray[Any]


@dataclass(frozen=True)
class Change:
    """What is done to a window, and to which columns."""

    name: str
    of: Callable[[Column], bool]
    to: Callable[[Column, np.random.Generator, float], Column]
    looks: int = 1


@dataclass
class Found:
    """What was counted of one detector: per n and column false alarms and halves; per change and rows those found."""

    false: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)
    power: dict[str, dict[int, float]] = field(default_factory=dict)


@cache
def columns() -> dict[str, Column]:
    """The columns by name, as detectors take them."""
    found: dict[str, Column] = {}
    for files, names in COLUMNS.items():
        table = read(DATA / files)
        for name in names.split():
            found[name] = sample(table[name].cast(pa.string()) if name in NAMES else table[name])
    return found


def draw(column: Column, rows: int, random: np.random.Generator) -> Column:
    """Rows of a column by chance, each at most once where there are enough."""
    return column[random.choice(column.size, rows, replace=rows > column.size)]


def is_alarm(score: Score) -> bool:
    """Whether a Monitor with its defaults would fire on this subject alone."""
    return score.p_value <= P_VALUE and score.effect >= EFFECT


def falsely(name: str, data: dict[str, Column], n: int) -> dict[str, tuple[int, int]]:
    """By column the false alarms of one detector and how many halves of n rows were made; nothing where it is slow."""
    detector = _detector(name)
    times = _times(detector, name, n)
    random = np.random.default_rng([SEED, crc32(name.encode()), n])
    asked = {of: column for of, column in data.items() if times and not _refuses(detector, column)}
    return {of: (_alarms(detector, of, column, n, times, random), times) for of, column in asked.items()}


def seen(name: str, data: dict[str, Column]) -> dict[str, dict[int, float]]:
    """By change and rows of the window, the share that one detector finds."""
    detector, found = _detector(name), {}
    random = np.random.default_rng([SEED, crc32(name.encode())])
    asked = [column for column in data.values() if not _refuses(detector, column)]
    for change in CHANGES:
        some = [column for column in asked if change.of(column)]
        if some and not _refuses(detector, change.to(some[0], random, 1.0)):
            found[change.name] = {
                rows: float(np.mean([_seen(detector, c, change, rows, random) for c in some for _ in range(times)]))
                for rows, times in WINDOWS.items()
            }
    return found


def _detector(name: str) -> Detector:
    detector: Detector = registry.load("keepfit.detectors", name)()
    return detector


def _times(detector: Detector, name: str, n: int) -> int:
    fewer = {} if hasattr(detector, "compare") else FEWER | SLOW.get(name, {})
    return fewer.get(n, HALVES[n])


def _alarms(detector: Detector, of: str, column: Column, n: int, times: int, random: np.random.Generator) -> int:
    """How many of so many pairs of halves raise an alarm."""
    if hasattr(detector, "compare"):
        whole = pooled(column, column[:0])
        return sum(is_alarm(detector.compare(_halves(whole, n, random))) for _ in range(times))
    if hasattr(detector, "alarms") and n > SHORTEST and type(detector).__name__ not in SLOW:
        return _nominated(detector, of, n, times)
    return sum(_false(detector, column, n, random) for _ in range(times))


def _halves(whole: Pooled, n: int, random: np.random.Generator) -> Pooled:
    """Two halves of n rows drawn as `draw` does: how many rows of each value come is all that a test of two goes by."""
    rows, first = whole.counts[:, 0].astype(np.int64), n // 2
    if n <= rows.sum():
        old = random.multivariate_hypergeometric(rows, first, method="marginals")
        new = random.multivariate_hypergeometric(rows - old, n - first, method="marginals")
    else:
        old, new = (random.multinomial(size, rows / rows.sum()) for size in (first, n - first))
    there = old + new > 0
    return Pooled(
        None if whole.values is None else whole.values[there], np.stack([old, new], axis=1)[there].astype(np.float64)
    )


def _nominated(detector: Detector, of: str, n: int, times: int) -> int:
    """The same of a detector of sequences, which need not be asked where no cut that it may nominate can count."""
    first = n // 2
    return sum(is_alarm(detector.score(rows[:first], rows[first:])) for rows in _suspects(of, n, times))


@lru_cache(maxsize=64)
def _suspects(of: str, n: int, times: int) -> tuple[Column, ...]:
    """Those of so many times n rows of a column in which some cut may count; the same for every detector."""
    random = np.random.default_rng([SEED, crc32(of.encode()), n])
    values = numbers(columns()[of])
    known = values[np.isfinite(values)]
    _, codes = np.unique(known, return_inverse=True)
    drawn = (random.choice(known.size, n, replace=n > known.size) for _ in range(times))
    return tuple(known[rows] for rows in drawn if _may_count(codes[rows], n // 2))


def _may_count(codes: NDArray[np.int64], first: int) -> bool:
    """Whether any cut from `first` on could pass the bound that judges nominations (`keepfit.watch.sequential.risen`).

    The entropy in it is at most the chi-square distance (p - q)² / (q (1 - q)), which needs no logarithm.
    """
    counts = np.bincount(codes)
    middle = counts.cumsum() - counts / 2
    some = np.flatnonzero(counts)
    if some.size < 2:
        return False
    table = (middle - middle[some[0]]) / (middle[some[-1]] - middle[some[0]])
    mean = float(counts @ table) / codes.size
    away = (table[codes[first:]] - mean)[::-1].cumsum()
    evidence = float((away * away / np.arange(1, away.size + 1)).max()) / (mean * (1 - mean))
    return exp(-min(700.0, evidence)) * codes.size <= P_VALUE


def _refuses(detector: Detector, column: Column) -> bool:
    """Whether a detector says that these are not its matter: it is shown the first rows and the extreme ones."""
    some = np.arange(min(100, column.size))
    if not is_categorical(column):
        known = numbers(column)
        some = np.append(some, [np.nanargmin(known), np.nanargmax(known)])
    try:
        detector.score(column[some], column[some])
    except SpecInvalid:
        return True
    return False


def _false(detector: Detector, column: Column, n: int, random: np.random.Generator) -> bool:
    rows = draw(column, n, random)
    return is_alarm(detector.score(rows[: n // 2], rows[n // 2 :]))


def _seen(detector: Detector, column: Column, change: Change, rows: int, random: np.random.Generator) -> bool:
    drawn = draw(column, (1 + change.looks) * rows, random)
    spread = 0.0 if is_categorical(column) else _deviation(column)
    windows = (drawn[start : start + rows] for start in range(rows, drawn.size, rows))
    return any(is_alarm(detector.score(drawn[:rows], change.to(window, random, spread))) for window in windows)


def _deviation(column: Column) -> float:
    """The standard deviation without the outermost hundredth on either side, where a typing error may lie."""
    known = numbers(column)[: 10**5]
    low, high = np.nanquantile(known, [0.01, 0.99])
    return float(known[(known >= low) & (known <= high)].std())


def _many(column: Column) -> bool:
    return not is_categorical(column) and not has_few_values(column)


def _rise(by: float) -> Callable[[Column, np.random.Generator, float], Column]:
    return lambda window, random, deviation: numbers(window) + by * deviation


def _missing(share: float) -> Callable[[Column, np.random.Generator, float], Column]:
    return lambda window, random, _: np.where(random.random(window.size) < share, np.nan, numbers(window))


def _new(share: float) -> Callable[[Column, np.random.Generator, float], Column]:
    return lambda window, random, _: np.where(random.random(window.size) < share, "never seen", np.asarray(window))


CHANGES = (
    Change("+ 0.25 σ", _many, _rise(0.25)),
    Change("+ 0.5 σ", _many, _rise(0.5)),
    Change("+ 1 σ, 2 windows", _many, _rise(1.0), looks=2),
    Change("5 % more missing", _many, _missing(0.05)),
    Change("20 % more missing", _many, _missing(0.2)),
    Change("5 % a new value", is_categorical, _new(0.05)),
    Change("20 % a new value", is_categorical, _new(0.2)),
)


def run(only: Sequence[str] = ()) -> list[Line]:
    """Measure every detector; two lines for each, and the tables on the how-to's page where none was left out."""
    data, names, kept = columns(), only or registry.names("keepfit.detectors"), _Kept()
    found = {name: Found() for name in names}
    for name in sorted(names, key=lambda name: COSTLY.index(name) + 1 if name in COSTLY else 0):
        for n in HALVES:
            false = kept.counted(f"{name}, n = {n}", lambda name=name, n=n: falsely(name, data, n))  # type: ignore[misc]
            if false:
                found[name].false[n] = {of: (alarms, halves) for of, (alarms, halves) in false.items()}
    for name in names:
        power = kept.counted(f"{name}, power", lambda name=name: seen(name, data))  # type: ignore[misc]
        found[name].power = {change: {int(n): share for n, share in one.items()} for change, one in power.items()}
    if not SHORT and not only:
        write(found)
    return [line for name, one in found.items() for line in _lines(name, one)]


class _Kept:
    """What has been counted so far, in a file, so that a run that ended early goes on where it was."""

    def __init__(self) -> None:
        self.path = PEERS / "calibration.json"
        self.found: dict[str, Any] = {} if SHORT or not self.path.exists() else json.loads(self.path.read_text())

    def counted(self, what: str, count: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was counted before under this name, or is counted now."""
        if what not in self.found:
            start = time.process_time()
            self.found[what] = count()
            print(f"  {what}: {self.found[what]}, {time.process_time() - start:.0f} s of processor time", flush=True)
            if not SHORT:
                PEERS.mkdir(exist_ok=True)
                self.path.write_text(json.dumps(self.found))
        found: dict[str, Any] = self.found[what]
        return found


def _lines(name: str, found: Found) -> list[Line]:
    worst = [_worst(counted) for counted in found.false.values()]
    times = {n: next(iter(counted.values()))[1] for n, counted in found.false.items()}
    fewer = ", ".join(f"{many} for n = {n:,}" for n, many in times.items() if many < max(times.values()))
    lines = [
        Line(
            what=f"{name}, false alarms of the worst column for n = {min(times)} to {max(times):,}, "
            f"{max(times.values()):,} halves of each" + (f" ({fewer})" if fewer else ""),
            ours=Sample(tuple(100 * alarms / halves for alarms, halves in worst)),
            unit="%",
            reach=f"at most {MOST:.0%}",
            reached=all(alarms <= MOST * halves for alarms, halves in worst),
        )
    ]
    rise = found.power.get("+ 1 σ, 2 windows", {}).get(500)
    if rise is not None:
        lines.append(
            Line(
                what=f"{name}, a rise by 1 σ within 2 windows of 500 rows",
                ours=Sample((100 * rise,)),
                unit="%",
                reach=f"at least {LEAST:.0%}",
                reached=rise >= LEAST,
            )
        )
    return lines


def _worst(counted: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """False alarms and halves of the column with most alarms."""
    return max(counted.values())


def bound(alarms: int, halves: int) -> float:
    """The largest rate that would show so few alarms once in twenty times (Clopper & Pearson 1934)."""
    from scipy import stats

    return float(stats.beta.ppf(0.95, alarms + 1, halves - alarms)) if alarms < halves else 1.0


def false_row(name: str, found: Found) -> str:
    """A row of the first table; see `write`."""
    return f"| {name} | {' | '.join(_cell(found.false[n], HALVES[n]) if n in found.false else '–' for n in HALVES)} |"


def _cell(counted: dict[str, tuple[int, int]], usual: int) -> str:
    alarms, halves = _worst(counted)
    every = sum(one for one, _ in counted.values()) / sum(many for _, many in counted.values())
    few = f" ({halves} ×)" if halves < usual else ""
    return f"{100 * every:.2g} / {100 * alarms / halves:.2g} / {100 * bound(alarms, halves):.2g}{few}"


def power_row(name: str, found: Found) -> str:
    """A row of the second table: per change the share found, one number per size of the windows."""
    cells = [
        " / ".join(f"{100 * share:.0f}" for share in found.power.get(change.name, {}).values()) or "–"
        for change in CHANGES
    ]
    return f"| {name} | {' | '.join(cells)} |"


def write(found: dict[str, Found]) -> None:
    """Put both tables between the marks on the how-to's page."""
    head = " | ".join(f"n = {n:,}" for n in HALVES)
    changes = " | ".join(change.name for change in CHANGES)
    lines = [
        "False alarms in percent: all columns together / the worst column / the largest rate of that column that would",
        f"show so few once in twenty times (Clopper and Pearson). Each column was halved {max(HALVES.values()):,} ×",
        "for each n, less often only where that is said.",
        "",
        f"| detector | {head} |",
        "|---" * (1 + len(HALVES)) + "|",
        *(false_row(name, one) for name, one in found.items()),
        "",
        f"Changes found in percent, windows of {' / '.join(f'{n:,}' for n in WINDOWS)} rows and references as long.",
        "",
        f"| detector | {changes} |",
        "|---" * (1 + len(CHANGES)) + "|",
        *(power_row(name, one) for name, one in found.items()),
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END]) + after, encoding="utf-8")


if __name__ == "__main__":
    show(run(sys.argv[1:]))
