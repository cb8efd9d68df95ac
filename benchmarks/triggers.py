"""Which policy updates a model best: does an adaptive one do as well as the best fixed period with half the updates?

Four histories that others published: prices of electricity, two made-up streams whose rule changes, an office that is
empty or not. Each with one quick learner and the same window for all policies. The peers are *update every N chunks*,
which learns from every known label, holds nothing out, judges nothing and is live at once. All policies share seeds;
the oracle's schedule with as many updates is found by dynamic programming. The data lies beside the repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import ROOT, Line, Sample, either
from benchmarks.kept import kept
from keepfit.data.read import read
from keepfit.edge.replay.compared import compare_file
from keepfit.loop.compare import Spread, spread
from keepfit.loop.replay import Terms

DATA = ROOT.parent / "shared" / "data"
SEEDS = either((0, 1, 2, 3, 4), (0,))
PERIODS = either((1, 2, 3, 5, 8, 12, 20), (2, 10))
ROWS = either(10**9, 4_000)
WITHIN = 0.005
MEASURED = ("metric", "updates", "regret", "cpu_seconds")

FILE = """
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from keepfit import Monitor, Recipe, Reference, Rollout, Service, Subject, Window, detectors, gates, triggers
from keepfit.data.read import read

def first():
    return read(Path(__file__).parent / "rows.parquet").slice(0, {first})

loss = Monitor(name="loss", on=Subject.LOSS, detector=detectors.CUSUM(), reference=Reference.RELEASE,
               window=Window(rows=50_000), stride=100, cooldown=timedelta(minutes=300))
base = Service(
    name="base", estimator={estimator}, data=first, label="class", metric="accuracy",
    recipe=Recipe(window=Window(rows={window}), holdout=100, refit=True),
    gates=(gates.Contract(), gates.Golden(), gates.Harmless(margin=0.05, minimum_rows=50)),
    rollout=Rollout(confirm_labels=0),
)
def of(name, *fire, monitors=()):
    return replace(base, name=name, triggers=fire, monitors=monitors)

policies = [
    of("decayed", triggers.Decayed(), monitors=(loss,)),
    of("avoidable", triggers.Avoidable(20)),
    of("avoidable-lately", triggers.Avoidable(20, lately=20)),
    of("rolling", triggers.Rolling(0.02)),
]{shown}
del base
"""


@dataclass(frozen=True)
class History:
    """One history: how its rows are read, the learner's source, how many rows come first and are learnt from."""

    name: str
    estimator: str
    first: int
    window: int
    chunk: str


TREE = "DecisionTreeClassifier(min_samples_leaf=20)"
LINE = "make_pipeline(StandardScaler(), SGDClassifier(loss='log_loss'))"
HISTORIES = (
    History("elec2", TREE, 2265, 2000, "200"),
    History("sea", LINE, 3000, 3000, "250"),
    History("agrawal_abrupt", TREE, 2000, 1000, "100"),
    History("occupancy", LINE, 2000, 2000, "100"),
)


def run() -> list[Line]:
    """Compare the policies on every history."""
    if not DATA.is_dir():
        return [Line(what="no ../shared/data beside the repository: nothing replayed", ours=Sample((0.0,)))]
    lines, reached = [], 0
    for history in HISTORIES:
        found = compared(history)
        best = max((one for one in found if one.name.startswith("every")), key=lambda one: one.metric.mean)
        ours = chosen(found, best)
        fits = ours.metric.mean >= best.metric.mean - WITHIN and 2 * ours.updates.mean <= best.updates.mean
        reached += fits
        lines += told(history.name, ours, best, fits=fits)
    verdict = Line(
        what="histories on which an adaptive policy does as well with half the updates",
        ours=Sample((float(reached),)),
        unit=f"of {len(HISTORIES)}",
        reach="at least 3",
        reached=reached >= 3,
    )
    return [*lines, verdict]


@dataclass(frozen=True)
class Entry:
    """One policy over all seeds; `simple` says that it is a fixed period, or none."""

    name: str
    simple: bool
    metric: Spread
    updates: Spread
    regret: Spread
    cpu_seconds: Spread


def compared(history: History) -> list[Entry]:
    """All policies over one history; every seed is kept once it is done."""
    found = [kept("triggers", f"{history.name}-{seed}", partial(_replayed, history, seed)) for seed in SEEDS]
    return [
        Entry(one["name"], one["simple"], *(spread([seed[place][name] for seed in found]) for name in MEASURED))
        for place, one in enumerate(found[0])
    ]


def _replayed(history: History, seed: int) -> list[dict[str, Any]]:
    """What every policy came to with one seed."""
    with TemporaryDirectory() as folder:
        rows, file = Path(folder) / "rows.parquet", Path(folder) / f"{history.name}.py"
        pq.write_table(READERS[history.name]().slice(0, ROWS), rows)
        fields = {name: getattr(history, name) for name in ("estimator", "first", "window")}
        file.write_text(FILE.format(**fields, shown=either("", "[:2]")), encoding="utf-8")
        terms = Terms(chunk=history.chunk, step=timedelta(minutes=1), periods=PERIODS)
        found = compare_file(file, rows, terms=terms, seeds=(seed,), oracle=True, tell=lambda line: None)
    return [
        {"name": one.name, "simple": one.simple, **{name: getattr(one, name).mean for name in MEASURED}}
        for one in found.entries
    ]


def chosen(found: list[Entry], best: Entry) -> Entry:
    """The adaptive policy that is as good with the fewest updates, else the best one."""
    adaptive = [one for one in found if not one.simple]
    good = [one for one in adaptive if one.metric.mean >= best.metric.mean - WITHIN]
    return min(good, key=lambda one: one.updates.mean) if good else max(adaptive, key=lambda one: one.metric.mean)


def told(name: str, ours: Entry, best: Entry, *, fits: bool) -> list[Line]:
    """Accuracy and updates of the two."""
    return [
        Line(
            what=f"{name}: accuracy of {ours.name} (regret {ours.regret.mean:.3f})",
            ours=Sample((100 * ours.metric.low, 100 * ours.metric.mean, 100 * ours.metric.high)),
            peer=Sample((100 * best.metric.low, 100 * best.metric.mean, 100 * best.metric.high)),
            peer_is=f"% {best.name} chunks (regret {best.regret.mean:.3f})",
            unit="%",
            reach="at most 0.5 points less",
            reached=fits or None,
        ),
        Line(
            what=f"{name}: updates for that",
            ours=Sample((ours.updates.mean,)),
            peer=Sample((best.updates.mean,)),
            peer_is=f"{best.name} chunks",
            ratio=ours.updates.mean / best.updates.mean,
            reach="at most half",
            reached=fits or None,
        ),
    ]


def _elec2() -> pa.Table:
    return read(DATA / "elec2" / "electricity_openml.csv")


def _sea() -> pa.Table:
    rows = np.loadtxt(DATA / "sea" / "SEA_training_data.csv", delimiter=",")
    label = np.loadtxt(DATA / "sea" / "SEA_training_class.csv", dtype=np.int64)
    return pa.table({"x1": rows[:, 0], "x2": rows[:, 1], "x3": rows[:, 2], "class": label})


def _agrawal() -> pa.Table:
    return read(DATA / "agrawal_abrupt" / "agr_a_20k.csv")


def _occupancy() -> pa.Table:
    """The three files in order of time; each has its row numbers under another name, or none."""
    names = ("Temperature", "Humidity", "Light", "CO2", "HumidityRatio", "Occupancy")
    parts = []
    for file in ("datatest", "datatraining", "datatest2"):
        lines = (DATA / "occupancy" / f"{file}.txt").read_text(encoding="utf-8").splitlines()[1:]
        parts.append(np.array([line.split(",")[-len(names) :] for line in lines], dtype=np.float64))
    rows = np.concatenate(parts)
    columns = {name: rows[:, place] for place, name in enumerate(names[:-1])}
    return pa.table({**columns, "class": rows[:, -1].astype(np.int64)})


READERS = {"elec2": _elec2, "sea": _sea, "agrawal_abrupt": _agrawal, "occupancy": _occupancy}
