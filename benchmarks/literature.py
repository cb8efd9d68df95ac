"""Does each learner reach on Split MNIST what was published of its method?

The class-incremental protocol of Hsu et al. 2018 and of van de Ven and Tolias 2019: ten digits as five experiences of
two classes in their order, one head of ten classes, a network with two hidden layers of 400 units, Adam with a rate of
0.001, batches of 128. Hsu et al. train 4 epochs an experience and give intervals; van de Ven and Tolias 2,000 batches.
Published means and intervals are read from `published-results/split_mnist.csv` beside the images.

`make bench-learn`, or `python -m benchmarks.literature [FOLDER [LEARNER ...]]`: FOLDER has mnist.npz or MNIST's four
files (`../shared/data/mnist` by default). BENCH_SEEDS is how often each method is run (3). It takes minutes and is not
part of `make bench`.
"""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, SHORT, Line, Sample, keep, show
from keepfit.core.clock import SystemClock
from keepfit.edge.named import learner_named
from keepfit.learn.scenarios import ClassIncremental, Examples
from keepfit.learn.scenarios.sources import mnist
from keepfit.loop.bench import Contender, Experiment, bench

SHARED = ROOT.parent / "shared" / "data"
SEEDS = int(os.environ.get("BENCH_SEEDS", "1" if SHORT else "3"))
FEW = 1000  # rows of a run that only shows that everything works


@dataclass(frozen=True)
class Published:
    """A line of the literature: our learner with their parameters, their source and what they call the method."""

    learner: str
    source: str
    method: str
    memory: str = "0"


@dataclass(frozen=True)
class Budget:
    """How long an experience is learnt, in epochs or in batches."""

    epochs: int = 4
    iterations: int | None = None


BUDGETS = {"Hsu2018": Budget(epochs=4), "vandeVen2019": Budget(iterations=2000)}

TABLE = (
    Published("fine-tune", "Hsu2018", "Adam (naive)"),
    Published("ewc", "Hsu2018", "EWC"),
    Published("online-ewc", "Hsu2018", "Online EWC"),
    Published("si", "Hsu2018", "SI"),
    Published("mas", "Hsu2018", "MAS"),
    Published("lwf", "Hsu2018", "LwF"),
    Published("Replay(rows=1100, keep='balanced')", "Hsu2018", "Naive rehearsal", "1100"),
    Published("Replay(rows=4400, keep='balanced')", "Hsu2018", "Naive rehearsal-C", "4400"),
    Published("GEM(rows=4400)", "Hsu2018", "GEM", "4400"),
    Published("joint", "Hsu2018", "Offline (joint)", "all"),
    Published("ICaRL(rows=2000)", "vandeVen2019", "iCaRL", "2000"),
)


def main(arguments: list[str]) -> int:
    """Run the table on a folder's images; 1 where a method lies outside its published interval."""
    folder = Path(arguments[0]) if arguments else SHARED / "mnist"
    if not folder.exists():
        print(f"{folder} is not there: give a folder with mnist.npz, or with MNIST's four files", file=sys.stderr)
        return 2
    wanted = [one for one in TABLE if not arguments[1:] or one.learner in arguments[1:]]
    examples = _few(mnist(folder)) if SHORT else mnist(folder)
    lines = []
    for source in BUDGETS:
        lines += _measured(source, [one for one in wanted if one.source == source], examples)
    show(lines)
    if not SHORT and len(wanted) == len(TABLE):
        keep(Path(__file__).parent / "results" / "literature.json", lines)
    return 0 if all(line.reached is not False for line in lines) else 1


def _few(examples: Examples) -> Examples:
    rows = examples.train.take(range(FEW))  # type: ignore[arg-type]
    return Examples(name=examples.name, train=rows, test=examples.test, classes=examples.classes)


def _measured(source: str, wanted: list[Published], examples: Examples) -> list[Line]:
    from keepfit.learn.deep import MLP, Network

    if not wanted:
        return []
    budget = BUDGETS[source]
    network: Any = Network(
        module=MLP((400, 400)),
        batch=128,
        epochs=budget.epochs,
        iterations=50 if SHORT and budget.iterations else budget.iterations,
        standardise=False,
    )
    experiment = Experiment(
        name=f"split-mnist, {source}",
        contenders=tuple(Contender(name=one.learner, learner=learner_named(one.learner)) for one in wanted),
        scenario=ClassIncremental(5),
        examples=examples,
        estimator=network,
        seeds=SEEDS,
    )
    found = bench(experiment, clock=SystemClock(), workers=os.cpu_count() or 1, tell=_tell)
    return [_line(one, found.standing(one.learner)) for one in wanted]


def _tell(found: Any) -> None:
    told = ", ".join(f"{one.name} {100 * one.accuracy:.1f}" for one in found.standings)
    print(f"  {found.done} runs: {told}", file=sys.stderr, flush=True)


def _line(one: Published, found: Any) -> Line:
    published, interval = _published(one)
    ours = 100 * found.accuracy
    inside = None if interval is None else abs(ours - published) <= 2 * interval
    told = f"{published:g}" if interval is None else f"{published:g} ± {interval:g}"
    return Line(
        what=f"{one.learner}: {found.runs} seeds{f', {found.reason}' if found.reason else ''}",
        ours=Sample((ours,)),
        peer=Sample((published,)),
        peer_is=f"{one.method}, {one.source}",
        unit="%",
        reach=f"published {told}, within two intervals" if interval else f"published {told} without an interval",
        reached=inside,
    )


def _published(one: Published) -> tuple[float, float | None]:
    """The published mean and interval, class-incremental."""
    with (SHARED / "published-results" / "split_mnist.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (row["source"], row["method"]) == (one.source, one.method) and row["scenario"] == "class":
                return float(row["acc_pct"]), float(row["pm"]) if row["pm"] else None
    raise LookupError(f"split_mnist.csv has no class-incremental line of {one.method} by {one.source}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
