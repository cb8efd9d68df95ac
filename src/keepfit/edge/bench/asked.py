"""From the words of a command line to an Experiment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keepfit.core.errors import Invalid, Refused, SpecInvalid
from keepfit.core.nouns import Lesson
from keepfit.core.protocols import Learner
from keepfit.core.service import Service
from keepfit.edge.named import learner_named, thing_named
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.learners.fine_tune import FineTune
from keepfit.learn.learners.joint import Joint
from keepfit.learn.scenarios import (
    Blurry,
    ClassIncremental,
    DataIncremental,
    DomainIncremental,
    Examples,
    Permuted,
    Recurring,
    Rotated,
    Scenario,
    TaskIncremental,
    TimeIncremental,
)
from keepfit.learn.scenarios.sources import digits, from_table, mnist
from keepfit.learn.tables import spread
from keepfit.loop.bench import Contender, Experiment, described

SCENARIOS: dict[str, type] = {
    "split": ClassIncremental,
    "task": TaskIncremental,
    "domain": DomainIncremental,
    "rotated": Rotated,
    "permuted": Permuted,
    "blurry": Blurry,
    "recurring": Recurring,
    "data": DataIncremental,
    "time": TimeIncremental,
}
"""The scenarios by the names they have on the command line."""

_ON = re.compile(r"(?P<scenario>.+?)(?:-(?P<source>digits|mnist))?", re.DOTALL)
_IMAGES = ("mnist.npz", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte",
           "train-images.idx3-ubyte.gz")  # fmt: skip


def experiment_of(
    learners: tuple[str, ...], *, on: str, data: Path | None, label: str, seeds: int, estimator: str
) -> Experiment:
    """The learners asked for and the baselines, on a scenario of the data, training the estimator."""
    from keepfit.edge.declare.declaration import installed

    match = _ON.fullmatch(on)
    assert match is not None  # noqa: S101  # anything but nothing matches
    scenario: Scenario = thing_named(match["scenario"], SCENARIOS)
    examples = examples_of(match["source"] or "", data, label)
    name = on if data is None or match["source"] else f"{on}-{data.stem}"
    asked = tuple(Contender(name=said, learner=learner_named(said)) for said in dict.fromkeys(learners))
    if estimator:
        trained = _estimator(estimator)
    else:
        trained = default_estimator(scenario, examples, [one.learner for one in asked])
    return Experiment(
        name=name,
        contenders=(*asked, *_missing(baselines(trained, examples), asked)),
        scenario=scenario,
        examples=examples,
        estimator=trained,
        seeds=seeds,
        environment=installed(),
    )


def examples_of(source: str, data: Path | None, label: str) -> Examples:
    """The examples a scenario is made of; Invalid where it is not said which."""
    if data is None:
        if source == "mnist":
            raise Invalid("-mnist needs --data FOLDER: mnist.npz, or the four files of MNIST (or Fashion-MNIST, …)")
        return digits()
    if data.suffix == ".npz" or (data.is_dir() and any((data / name).is_file() for name in _IMAGES)):
        return mnist(data)
    if source:
        raise Invalid(f"{data} is no folder in MNIST's format; leave '-{source}' out to learn from its rows")
    if not label:
        raise Invalid(f"which column of {data} is the label? name it with --label")
    from keepfit.data.read import read

    return from_table(read(data), label, name=data.stem)


def default_estimator(scenario: Scenario, examples: Examples, learners: Sequence[Learner]) -> Any:
    """What is trained where nothing else is asked for: a small network, or a linear classifier.

    A network with one hidden layer of 100 units, learnt in 10 epochs of batches of 32 by Adam with a rate of 0.005,
    unless only learners that train no networks were asked for.
    """
    if any(isinstance(one, FineTune) for one in learners) or not learners:
        from keepfit.learn.deep import MLP, Network

        images = isinstance(examples.train.X, np.ndarray)
        heads = "task" if isinstance(scenario, TaskIncremental) else None
        return Network(module=MLP((100,)), lr=0.005, batch=32, epochs=10, standardise=not images, heads=heads)
    return _linear(examples)


def _linear(examples: Examples) -> Any:
    """Numbers scaled and words one-hot, then logistic regression by stochastic gradient descent."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    final = SGDClassifier(loss="log_loss")
    if isinstance(examples.train.X, np.ndarray):
        return make_pipeline(StandardScaler(), final)
    numbers, words = make_column_selector(dtype_include="number"), make_column_selector(dtype_exclude="number")
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    coded = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=20)
    return make_pipeline(make_column_transformer((scaled, numbers), (coded, words)), final)


def baselines(estimator: Any, examples: Examples) -> tuple[Contender, ...]:
    """The two that always run: *naive* just learns what is new, *joint* all rows so far every time."""
    if type(estimator).__module__.startswith("keepfit.learn.deep"):
        return Contender(name="naive", learner=FineTune()), Contender(name="joint", learner=Joint())
    naive = WarmStart() if _goes_on(estimator, examples) else Refit()
    return Contender(name="naive", learner=naive), Contender(name="joint", learner=Refit(), together=True)


def _goes_on(estimator: Any, examples: Examples) -> bool:
    """Whether an estimator can go on with new rows: seen by trying it on a few."""
    few = examples.train.take(spread(len(examples.train), 200))
    lesson = Lesson(X=few.X, y=few.y, classes=examples.classes)
    try:
        WarmStart().learn(estimator, replace(lesson, parent=WarmStart().learn(estimator, lesson).model))
    except Refused:
        return False
    return True


def _missing(wanted: tuple[Contender, ...], asked: tuple[Contender, ...]) -> tuple[Contender, ...]:
    """The baselines that nobody asked for by name."""
    there = [(described(one.learner), one.together) for one in asked]
    return tuple(one for one in wanted if (described(one.learner), one.together) not in there)


def _estimator(said: str) -> Any:
    found = thing_named(said, {})
    if isinstance(found, Service):
        found = found.estimator
    lacking = [name for name in ("fit", "predict") if not callable(getattr(found, name, None))]
    if lacking:
        raise SpecInvalid(f"--estimator {said}: expected an object with fit and predict, found {found!r}")
    return found
