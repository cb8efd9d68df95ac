"""Does each learner reach on Split MNIST what was published of its method?

Ten digits as five experiences of two classes, one head of ten classes, a network with two hidden layers of 400 units,
batches of 128. Hsu et al. 2018 (scripts and agents of their Continual-Learning-Benchmark) train 4 epochs an
experience by Adam with a rate of 0.001. Their GEM follows plain descent with a rate of 0.01, on images in a frame and
standardised; leaves unseen classes out of the loss; inherits the loop of their rehearsal, so that remembered rows are
passed over beside new ones, repeated to be about as many; and keeps two sets of rows of every experience, each with a
margin of 0.5, since both classes store some when an experience ends: here one set of as many rows with a margin of 1.
Their MAS asks, with a strength of 1, how the mean of the ten squared scores moves, where Aljundi et al. and ours take
their sum: that is a strength of a tenth. It takes the slope of batches of all rows, where these take single rows.

Van de Ven and Tolias (the first code of their continual-learning, 2018) train 2,000 batches by one Adam that is never
begun anew, on classes shuffled by the seed. Their LwF is 1/k · cross-entropy + (1 - 1/k) · distillation at a
temperature of 2, among the classes seen, its mean over them; that of 2022 sums over them. Hsu et al. have no LwF in
their code, and its numbers (24.17 ± 0.33) stand beside those of generative methods that are van de Ven's: so it is
taken to be his, and the ± to be what his code prints, a standard error. Published means and intervals are read from
`published-results/split_mnist.csv` beside the images.

Known to differ: with the other methods of Hsu et al. Adam begins anew with every experience, and unseen classes take
part in the loss. To GEM's quadratic program they, as its authors, add 0.001 on the diagonal; here it is solved as it
is written.

`make bench-learn`, or `python -m benchmarks.literature [FOLDER [LEARNER ...]]`: FOLDER has mnist.npz or MNIST's four
files (`../shared/data/mnist` by default). It takes most of an hour on two cores and is not part of `make bench`; every
run is a fact in the ledger `.peers/literature.db`, so that a table that was stopped goes on where it was.
"""

from __future__ import annotations

import csv
import os
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import PEERS, ROOT, SHORT, Line, Sample, keep, show
from keepfit.core.clock import SystemClock
from keepfit.edge.named import learner_named
from keepfit.learn.scenarios import ClassIncremental, Examples
from keepfit.learn.scenarios.parts import Rows
from keepfit.learn.scenarios.sources import mnist
from keepfit.loop.bench import Contender, Experiment, bench
from keepfit.store.ledger import Ledger

SHARED = ROOT.parent / "shared" / "data"
FEW = 1000  # rows of a run that only shows that everything works


@dataclass(frozen=True)
class Protocol:
    """How a source trains: an experience for so many epochs or batches, by which optimiser, on what rows.

    `shuffle` draws the order of the classes by the seed; `framed` gives images a black frame to 32 x 32 and
    standardises them; `grows` leaves unseen classes out of the loss; `carries` never begins the optimiser anew.
    """

    epochs: int = 4
    iterations: int | None = None
    optimiser: str = "adam"
    lr: float = 1e-3
    shuffle: bool = False
    framed: bool = False
    grows: bool = False
    carries: bool = False


HSU = Protocol()
HSU_GEM = Protocol(optimiser="sgd", lr=0.01, framed=True, grows=True)
VAN_DE_VEN = Protocol(iterations=2000, shuffle=True, carries=True)


@dataclass(frozen=True)
class Published:
    """A line of the literature: our learner with their parameters, their source and what they call the method.

    `seeds` is how often it is run.
    """

    learner: str
    source: str
    method: str
    memory: str = "0"
    protocol: Protocol = HSU
    seeds: int = 3


TABLE = (
    Published("fine-tune", "Hsu2018", "Adam (naive)"),
    Published("ewc", "Hsu2018", "EWC"),
    Published("online-ewc", "Hsu2018", "Online EWC"),
    Published("si", "Hsu2018", "SI"),
    Published("MAS(strength=0.1, samples=100_000, batch=128)", "Hsu2018", "MAS", seeds=10),
    Published("LwF(grows=True)", "Hsu2018", "LwF", protocol=VAN_DE_VEN, seeds=10),
    Published("Replay(rows=1100, keep='balanced')", "Hsu2018", "Naive rehearsal", "1100"),
    Published("Replay(rows=4400, keep='balanced')", "Hsu2018", "Naive rehearsal-C", "4400"),
    Published("GEM(rows=4400, margin=1.0, rehearses=True)", "Hsu2018", "GEM", "4400", HSU_GEM),
    Published("joint", "Hsu2018", "Offline (joint)", "all"),
    Published("ICaRL(rows=2000)", "vandeVen2019", "iCaRL", "2000", VAN_DE_VEN),
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
    for alike in dict.fromkeys((one.protocol, one.seeds) for one in wanted):
        lines += _measured([one for one in wanted if (one.protocol, one.seeds) == alike], examples)
    show(lines)
    if not SHORT and len(wanted) == len(TABLE):
        keep(Path(__file__).parent / "results" / "literature.json", lines)
    return 0 if all(line.reached is not False for line in lines) else 1


def _few(examples: Examples) -> Examples:
    rows = examples.train.take(range(FEW))  # type: ignore[arg-type]
    return Examples(name=examples.name, train=rows, test=examples.test, classes=examples.classes)


def _framed(images: Rows) -> Rows:
    """Images of 28 x 28 in a black frame, less their mean, by their deviation: Hsu et al. write both as constants."""
    frame = ((0, 0), (2, 2), (2, 2))
    wide = np.pad(np.asarray(images.X).reshape(-1, 28, 28), frame).reshape(len(images), -1)
    return replace(images, X=(wide - np.float32(0.1)) / np.float32(0.2752))


def _measured(wanted: list[Published], examples: Examples) -> list[Line]:
    """The lines of one protocol that are run equally often."""
    from keepfit.learn.deep import MLP, Network

    protocol = wanted[0].protocol
    network: Any = Network(
        module=MLP((400, 400)),
        optimiser=protocol.optimiser,
        lr=protocol.lr,
        batch=128,
        epochs=protocol.epochs,
        iterations=50 if SHORT and protocol.iterations else protocol.iterations,
        grows=protocol.grows,
        carries=protocol.carries,
        standardise=False,
    )
    if protocol.framed:
        test = examples.test and _framed(examples.test)
        examples = replace(examples, train=_framed(examples.train), test=test)
    experiment = Experiment(
        name=f"split-mnist, {wanted[0].source}, {protocol.optimiser}",
        contenders=tuple(Contender(name=one.learner, learner=learner_named(one.learner)) for one in wanted),
        scenario=ClassIncremental(5, shuffle=protocol.shuffle),
        examples=examples,
        estimator=network,
        seeds=1 if SHORT else wanted[0].seeds,
    )
    PEERS.mkdir(exist_ok=True)
    with closing(Ledger(PEERS / "literature.db")) as ledger:
        found = bench(experiment, clock=SystemClock(), ledger=ledger, workers=os.cpu_count() or 1, tell=_tell)
    return [_line(one, found.standing(one.learner)) for one in wanted]


def _tell(found: Any) -> None:
    told = ", ".join(f"{one.name} {100 * one.accuracy:.1f}" for one in found.standings)
    print(f"  {found.done} runs: {told}", file=sys.stderr, flush=True)


def _line(one: Published, found: Any) -> Line:
    published, interval = _published(one)
    ours = 100 * found.accuracy
    spread = found.measures.get("ACC")
    inside = None if interval is None else abs(ours - published) <= 2 * interval
    told = f"{published:g}" if interval is None else f"{published:g} ± {interval:g}"
    return Line(
        what=f"{one.learner}: {found.runs} seeds, 95 % interval{f', {found.reason}' if found.reason else ''}",
        ours=Sample((100 * spread.low, ours, 100 * spread.high) if spread and spread.n > 1 else (ours,)),
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
