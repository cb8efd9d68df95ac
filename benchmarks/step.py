"""What does a step of experience replay cost, beside a loop written by hand and beside Avalanche?

Digits in five lessons of two classes each; the network, optimiser, batch and memory are the same. A step is 32 new rows
and 32 remembered ones. Ours is the whole of `learn` over its steps, the hand's loop its steps alone.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from benchmarks.harness import Line, Sample, either, interleave, peer
from keepfit.core.nouns import Lesson
from keepfit.learn.deep import MLP, Network
from keepfit.learn.learners.fine_tune import FineTune
from keepfit.learn.learners.replay import Replay

ROUNDS, EPOCHS = either(5, 2), either(20, 2)
BATCH, ROWS, HIDDEN, RATE = 32, 500, (100, 100), 1e-3
NEEDS = ("avalanche-lib==0.6.0", "torch==2.13.0", "torchvision==0.28.0", "scikit-learn")
PROGRAM = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import torch
try:
    import torchvision
except RuntimeError:  # one built for CUDA beside a torch for processors lacks its operators, which nothing here calls
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float most) -> Tensor")
from sklearn.datasets import load_digits
from avalanche.benchmarks.utils import AvalancheDataset, as_classification_dataset
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive, Replay
torch.set_num_threads(1)
batch, rows, epochs, rounds = map(int, sys.argv[1:5])
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)

class Data(torch.utils.data.TensorDataset):
    def __init__(self, x, t):
        super().__init__(x, t)
        self.targets = t.tolist()

def lessons():
    made = [as_classification_dataset(Data(X[m], y[m])) for k in range(5) for m in [(y // 2) == k]]
    return benchmark_from_datasets(train=made)

def measured(made, **more):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 100), torch.nn.ReLU(), torch.nn.Linear(100, 100), torch.nn.ReLU(),
                                torch.nn.Linear(100, 10))
    strategy = made(model=model, optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
                    criterion=torch.nn.CrossEntropyLoss(), train_mb_size=batch, train_epochs=epochs,
                    evaluator=EvaluationPlugin(loggers=[]), **more)
    spent = steps = 0
    for number, experience in enumerate(lessons().train_stream):
        start, before = time.perf_counter(), strategy.clock.train_iterations
        strategy.train(experience, num_workers=0)
        if number:
            spent += time.perf_counter() - start
            steps += strategy.clock.train_iterations - before
    return spent / steps * 1e6

print(json.dumps({"naive": [measured(Naive) for _ in range(rounds)],
                  "replay": [measured(Replay, mem_size=rows) for _ in range(rounds)]}))
"""


def _lessons() -> list[tuple[Any, Any]]:
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    return [(X[y // 2 == part], y[y // 2 == part]) for part in range(5)]


def _ours(learner: FineTune) -> float:
    estimator = Network(module=MLP(HIDDEN), lr=RATE, batch=BATCH, epochs=EPOCHS, standardise=False)
    parent, memory, spent, steps = None, None, 0.0, 0
    for number, (X, y) in enumerate(_lessons()):
        lesson = Lesson(X=X, y=y, classes=tuple(range(10)), parent=parent, memory=memory)
        start = time.perf_counter()
        learnt = learner.learn(estimator, lesson)
        if number:
            spent += time.perf_counter() - start
            steps += EPOCHS * -(-len(y) // BATCH)
        parent, memory = learnt.model, learnt.memory
    return spent / steps * 1e6


def _by_hand(*, replay: bool) -> float:
    """As one would write it: tensors, a permutation an epoch, torch's own Adam, a memory filled between lessons."""
    module = MLP(HIDDEN)((64,), 10)
    optimiser = torch.optim.Adam(module.parameters(), lr=RATE)
    kept_x, kept_y = torch.empty(0, 64), torch.empty(0, dtype=torch.int64)
    spent, steps = 0.0, 0
    for number, (rows, labels) in enumerate(_lessons()):
        X, y = torch.from_numpy(rows), torch.from_numpy(labels)
        start = time.perf_counter()
        for _ in range(EPOCHS):
            order = torch.randperm(len(y))
            for part in order.split(BATCH):
                x, t = X[part], y[part]
                if replay and len(kept_y):
                    drawn = torch.randint(len(kept_y), (BATCH,))
                    x, t = torch.cat([x, kept_x[drawn]]), torch.cat([t, kept_y[drawn]])
                optimiser.zero_grad()
                functional.cross_entropy(module(x), t).backward()
                optimiser.step()
                steps += number > 0
        spent += (time.perf_counter() - start) if number else 0.0
        kept_x, kept_y = torch.cat([kept_x, X]), torch.cat([kept_y, y])
        chosen = torch.randperm(len(kept_y))[:ROWS]
        kept_x, kept_y = kept_x[chosen], kept_y[chosen]
    return spent / steps * 1e6


def _avalanche() -> dict[str, Sample]:
    python = peer("avalanche", *NEEDS)
    command = [str(python), "-c", PROGRAM, str(BATCH), str(ROWS), str(EPOCHS), str(either(3, 1))]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: Sample(tuple(values)) for name, values in json.loads(found.splitlines()[-1]).items()}


def run() -> list[Line]:
    """Microseconds a step, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    measured: dict[str, Callable[[], float]] = {
        "naive": lambda: _ours(FineTune()),
        "naive by hand": lambda: _by_hand(replay=False),
        "replay": lambda: _ours(Replay(rows=ROWS)),
        "replay by hand": lambda: _by_hand(replay=True),
    }
    try:
        samples = interleave(ROUNDS, measured)
    finally:
        torch.set_num_threads(before)
    avalanche = _avalanche()
    return [*_lines("naive", samples, avalanche, asked=False), *_lines("replay", samples, avalanche, asked=True)]


def _lines(name: str, samples: dict[str, Sample], avalanche: dict[str, Sample], *, asked: bool) -> list[Line]:
    ours, hand, theirs = samples[name], samples[f"{name} by hand"], avalanche[name]
    by_hand, by_avalanche = ours.median / hand.median, theirs.median / ours.median
    return [
        Line(
            what=f"{name}: a step",
            ours=ours,
            peer=hand,
            peer_is="µs, torch by hand",
            ratio=by_hand,
            unit="µs",
            reach="at most 1.1 of the hand's" if asked else "",
            reached=by_hand <= 1.1 if asked else None,
        ),
        Line(
            what=f"{name}: a step",
            ours=ours,
            peer=theirs,
            peer_is="µs, Avalanche 0.6.0",
            ratio=by_avalanche,
            unit="µs",
            reach="2.5 × faster" if asked else "",
            reached=by_avalanche >= 2.5 if asked else None,
        ),
    ]
