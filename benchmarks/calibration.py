"""Do detectors stay silent without a change, and do they see one? False alarms and power on real data.

Without a change: random halves of n rows of one column. A column with fewer than n rows gives each of them more than
once, which changes nothing between the halves. With one: the second half, the window, is changed; a rise by one
standard deviation (of the middle 98 % of the rows) may be found by the window or by a second one. The columns are of
Chicago's and New York's taxi trips and of an electricity market; a detector that refuses a column is not asked about
it. Alarm: p at most 0.01 and effect at least 0.1, the defaults of a Monitor.

A full run writes the tables of `docs/howto/choose-a-detector.md` as well; `python -m benchmarks.calibration KS PSI`
measures some detectors and writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness import ROOT, SHORT, Line, Sample, either, show
from keepfit.core import registry
from keepfit.core.errors import SpecInvalid
from keepfit.core.protocols import Detector
from keepfit.data.read import read
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

SPLITS = either({50: 1000, 200: 1000, 1000: 200, 10_000: 53, 100_000: 4, 1_000_000: 1}, {50: 5, 200: 2})
"""How often each column is halved, per n."""
WINDOWS = either({100: 30, 500: 30, 5000: 5}, {100: 2})
"""How often each change is made to a window of each column, per rows of the window; the reference has as many."""

MOST, LEAST = 0.02, 0.99

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
    """What was counted of one detector: per n the share of false alarms by column; per change and rows those found."""

    false: dict[int, dict[str, float]] = field(default_factory=dict)
    power: dict[str, dict[int, float]] = field(default_factory=dict)


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


def alarm(detector: Detector, reference: Column, window: Column) -> bool:
    """Whether a Monitor with its defaults would fire on this subject alone."""
    score = detector.score(reference, window)
    return score.p_value <= 0.01 and score.effect >= 0.1


def measure(name: str, data: dict[str, Column]) -> Found:
    """Everything about one detector."""
    detector: Detector = registry.load("keepfit.detectors", name)()
    random = np.random.default_rng([SEED, crc32(name.encode())])
    asked = {of: column for of, column in data.items() if not _refuses(detector, column)}
    found = Found()
    for n, splits in SPLITS.items():
        found.false[n] = {
            of: sum(_false(detector, column, n, random) for _ in range(splits)) / splits for of, column in asked.items()
        }
    for change in CHANGES:
        some = [column for column in asked.values() if change.of(column)]
        if some and not _refuses(detector, change.to(some[0], random, 1.0)):
            found.power[change.name] = {
                rows: float(np.mean([_seen(detector, c, change, rows, random) for c in some for _ in range(times)]))
                for rows, times in WINDOWS.items()
            }
    return found


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
    return alarm(detector, rows[: n // 2], rows[n // 2 :])


def _seen(detector: Detector, column: Column, change: Change, rows: int, random: np.random.Generator) -> bool:
    drawn = draw(column, (1 + change.looks) * rows, random)
    spread = 0.0 if is_categorical(column) else _deviation(column)
    windows = (drawn[start : start + rows] for start in range(rows, drawn.size, rows))
    return any(alarm(detector, drawn[:rows], change.to(window, random, spread)) for window in windows)


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
    data = columns()
    found = {}
    for name in only or registry.names("keepfit.detectors"):
        found[name] = measure(name, data)
        print(f"  {false_row(name, found[name])}\n  {power_row(name, found[name])}", flush=True)
    if not SHORT and not only:
        write(found)
    return [line for name, one in found.items() for line in _lines(name, one)]


def _lines(name: str, found: Found) -> list[Line]:
    worst = [_worst(rates, SPLITS[n]) for n, rates in found.false.items()]
    lines = [
        Line(
            what=f"{name}, false alarms, worst column for each n from {min(SPLITS)} to {max(SPLITS):,}",
            ours=Sample(tuple(100 * rate for rate in worst)),
            unit="%",
            reach=f"at most {MOST:.0%}",
            reached=max(worst) <= MOST,
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


def _worst(rates: dict[str, float], splits: int) -> float:
    """Of the columns' rates the greatest, or of all columns together where each was halved a few times only."""
    return max(rates.values()) if splits >= 1000 else float(np.mean(list(rates.values())))


def false_row(name: str, found: Found) -> str:
    """A row of the first table: all columns together, then the worst one where it was halved 1,000 times."""
    cells = [
        f"{100 * np.mean(list(rates.values())):.2g}"
        + (f" / {100 * max(rates.values()):.2g}" if SPLITS[n] >= 1000 else "")
        for n, rates in found.false.items()
    ]
    return f"| {name} | {' | '.join(cells)} |"


def power_row(name: str, found: Found) -> str:
    """A row of the second table: per change the share found, one number per size of the windows."""
    cells = [
        " / ".join(f"{100 * share:.0f}" for share in found.power.get(change.name, {}).values()) or "–"
        for change in CHANGES
    ]
    return f"| {name} | {' | '.join(cells)} |"


def write(found: dict[str, Found]) -> None:
    """Put both tables between the marks on the how-to's page."""
    head = " | ".join(f"n = {n:,}" for n in SPLITS)
    changes = " | ".join(change.name for change in CHANGES)
    lines = [
        "False alarms in percent, all columns together; behind a slash the worst one, where each was halved 1,000 ×.",
        f"Each column was halved {_times()}.",
        "",
        f"| detector | {head} |",
        "|---" * (1 + len(SPLITS)) + "|",
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


def _times() -> str:
    return ", ".join(f"{times:,} × for n = {n:,}" for n, times in SPLITS.items())


if __name__ == "__main__":
    show(run(sys.argv[1:]))
