"""Bench: learners on a scenario, each with several seeds, in processes of their own; every run is a fact, and keyed.

A run that the ledger knows already (same code, learner, estimator, scenario, data, seed and environment) is not done
again.
"""

from __future__ import annotations

import hashlib
import inspect
import pickle
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from keepfit.core.errors import Invalid, KeepfitError, SpecInvalid
from keepfit.core.facts import Experimented
from keepfit.core.nouns import Digest
from keepfit.core.protocols import Clock, Learner
from keepfit.core.registry import digest_of, to_plain
from keepfit.learn.scenarios.parts import Examples, Scenario, delay_of
from keepfit.learn.walk import Walk, walk
from keepfit.loop.apart import apart
from keepfit.loop.pipeline import code_digest
from keepfit.loop.standings import Benched, Tried, standings
from keepfit.store.ledger import Ledger

NOBODY = ""
"""The Service of an Experiment's facts: it belongs to none."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A learner under the name it has in an Experiment; with `together` its lessons have all rows so far."""

    name: str
    learner: Learner
    together: bool = False

    def __post_init__(self) -> None:
        if not is_dataclass(self.learner):
            raise SpecInvalid(
                f"{self.name}: expected a frozen dataclass, whose fields are its parameters, found "
                f"{type(self.learner).__name__}"
            )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Who contends, on which scenario of which examples, training which estimator, how often.

    `environment` is the digest of the installed distributions, which the results depend on.
    """

    name: str
    contenders: tuple[Contender, ...]
    scenario: Scenario
    examples: Examples
    estimator: Any
    seeds: int = 5
    environment: Digest = ""

    def __post_init__(self) -> None:
        names = [one.name for one in self.contenders]
        if len(set(names)) < len(names):
            raise Invalid(f"each learner needs a name of its own in an experiment, found {names}")
        if self.seeds < 1:
            raise Invalid(f"seeds: expected 1 or more, found {self.seeds}")

    @cached_property
    def data(self) -> Digest:
        """The digest of the examples."""
        return hashlib.sha256(pickle.dumps(self.examples, protocol=5)).hexdigest()

    def key(self, one: Contender, seed: int) -> Digest:
        """The digest of all that decides the result of a contender with a seed."""
        parts = (described(one.learner), one.together, _estimator(self.estimator), described(self.scenario))
        return digest_of("bench", code_digest(), *parts, self.data, seed, self.environment)


@dataclass(frozen=True)
class _Run:
    """A contender with a seed, to be walked."""

    experiment: Experiment = field(repr=False)
    contender: Contender
    seed: int


Told = Callable[[Benched], None]


def bench(
    experiment: Experiment, *, clock: Clock, ledger: Ledger | None = None, workers: int = 0, tell: Told | None = None
) -> Benched:
    """Run every contender with every seed, those the ledger knows excepted, and rank them.

    `workers` processes work at a time; with 0 all runs in this one, where classes of a notebook are known too. `tell`
    is called with what is known whenever a run has ended. A learner that fails does not stop the others.
    """
    named = [one.name for one in experiment.scenario.experiences(experiment.examples, 0)]
    found: list[Tried] = []
    waiting: list[_Run] = []
    for seed in range(experiment.seeds):
        for one in experiment.contenders:
            known = _known(experiment, one, seed, ledger)
            if known is None:
                waiting.append(_Run(experiment, one, seed))
            else:
                found.append(known)

    def ranked() -> Benched:
        runs = experiment.seeds * len(experiment.contenders)
        return standings(experiment.name, named, found, seeds=experiment.seeds, runs=runs)

    tell = tell or (lambda benched: None)
    tell(ranked())
    for run, ended in apart(_walked, waiting, workers, preload=_modules(experiment)):
        tried = _tried(run, ended)
        if ledger is not None:
            ledger.append(_fact(run, tried, clock))
        found.append(tried)
        tell(ranked())
    return ranked()


def described(thing: Any) -> dict[str, Any]:
    """A learner or a scenario as plain data: class, parameters, and the digest of code that is not keepfit's."""
    cls = type(thing)
    plain = to_plain(thing)
    parameters = plain if isinstance(plain, dict) else {}
    return {"class": f"{cls.__module__}:{cls.__qualname__}", **parameters, **_own_code(cls)}


def _own_code(cls: type) -> dict[str, str]:
    if cls.__module__.partition(".")[0] == "keepfit":
        return {}
    with suppress(OSError, TypeError):
        file = inspect.getsourcefile(cls)
        if file is not None:
            return {"code": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
    return {"code": uuid.uuid4().hex}  # code that nobody can look at is never taken for the same


def _estimator(estimator: Any) -> Digest:
    return hashlib.sha256(pickle.dumps(estimator, protocol=5)).hexdigest()


def _modules(experiment: Experiment) -> tuple[str, ...]:
    """What the processes of an experiment all import: it is imported once, in the process they are forked from."""
    things = (experiment.estimator, experiment.scenario, *(one.learner for one in experiment.contenders))
    modules = ["keepfit.learn.walk", *(type(thing).__module__ for thing in things)]
    if type(experiment.estimator).__module__.startswith("keepfit.learn.deep"):
        modules.append("keepfit.learn.deep.study")  # which no learner imports before it learns
    return tuple(dict.fromkeys(modules))


def _walked(run: _Run) -> Walk:
    experiment = run.experiment
    with TemporaryDirectory(prefix="keepfit-bench-") as scratch:
        walked = walk(
            run.contender.learner,
            experiment.estimator,
            experiment.scenario.experiences(experiment.examples, run.seed),
            seed=run.seed,
            scratch=Path(scratch),
            together=run.contender.together,
        )
    return walked.delayed(delay_of(experiment.scenario))


def _tried(run: _Run, ended: Walk | KeepfitError) -> Tried:
    if isinstance(ended, KeepfitError):
        return Tried(run.contender.name, run.seed, code=ended.code, reason=str(ended))
    return Tried(run.contender.name, run.seed, ended)


def _fact(run: _Run, tried: Tried, clock: Clock) -> Experimented:
    experiment = run.experiment
    return Experimented(
        service=NOBODY,
        time=clock.now(),
        experiment=experiment.name,
        key=experiment.key(run.contender, run.seed),
        name=tried.name,
        seed=tried.seed,
        learner=to_plain(run.contender.learner),
        estimator=type(experiment.estimator).__name__,
        scenario=described(experiment.scenario),
        data=experiment.data,
        result=to_plain(tried.walk) if tried.walk else {},
        code=tried.code,
        reason=tried.reason,
    )


def _known(experiment: Experiment, one: Contender, seed: int, ledger: Ledger | None) -> Tried | None:
    """What the ledger has of a run; failures are tried again."""
    if ledger is None:
        return None
    fact = ledger.last(Experimented, NOBODY, subject=experiment.key(one, seed))
    if fact is None or fact.code:
        return None
    return Tried(one.name, seed, walk_of(fact), reused=True)


def walk_of(fact: Experimented) -> Walk:
    """The walk a fact tells of."""
    return msgspec.convert(fact.result, Walk, strict=False)  # not strict: a ledger spells NaN


def experiments(ledger: Ledger) -> Iterator[Benched]:
    """Every Experiment of a ledger by name, its latest runs ranked; the newest last."""
    facts: dict[str, dict[tuple[str, int], Experimented]] = {}
    for row in ledger.facts(NOBODY, Experimented):
        fact = row.fact
        runs = facts.pop(fact.experiment, {})  # so that the newest experiment comes last
        facts[fact.experiment] = {**runs, (fact.name, fact.seed): fact}
    for name, runs in facts.items():
        tried = [
            Tried(fact.name, fact.seed, code=fact.code, reason=fact.reason)
            if fact.code
            else Tried(fact.name, fact.seed, walk_of(fact), reused=True)
            for fact in runs.values()
        ]
        yield standings(name, (), tried, seeds=1 + max(one.seed for one in tried), runs=len(tried))
