"""Bench: learners beside each other, each run done once, recorded, and ranked."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepfit.core.clock import SystemClock
from keepfit.core.errors import Invalid, KeepfitError, Refused
from keepfit.core.facts import Experimented
from keepfit.core.nouns import Learnt, Lesson
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.scenarios import Examples, Rotated, Rows, TimeIncremental
from keepfit.loop.apart import apart
from keepfit.loop.bench import Contender, Experiment, bench, experiments
from keepfit.store.ledger import Ledger

linear = pytest.importorskip("sklearn.linear_model")
CLOCK = SystemClock()


def _experiment(**given: Any) -> Experiment:
    random = np.random.default_rng(0)
    y = np.arange(400) % 4
    X = (np.eye(4)[y] + random.normal(0, 0.1, (400, 4))).astype(np.float32)
    parts: dict[str, Any] = {
        "name": "corners",
        "contenders": (
            Contender(name="naive", learner=WarmStart(passes=20)),
            Contender(name="joint", learner=Refit(), together=True),
        ),
        "scenario": Rotated((0.0, 90.0)),
        "examples": Examples(name="corners", train=Rows(X, y.astype(np.int64)), classes=(0, 1, 2, 3)),
        "estimator": linear.SGDClassifier(loss="log_loss"),
        "seeds": 2,
    }
    return Experiment(**{**parts, **given})


def test_runs_are_done_once(tmp_path: Path) -> None:
    """A second bench takes every run from the ledger, with the same result; what differs is run again."""
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        first = bench(_experiment(), clock=CLOCK, ledger=ledger)
        assert len(ledger.facts("", Experimented)) == 4
        again = bench(_experiment(), clock=CLOCK, ledger=ledger)
        assert len(ledger.facts("", Experimented)) == 4
        assert [one.reused for one in again.standings] == [2, 2]
        assert [one.measures for one in again.standings] == [one.measures for one in first.standings]
        assert [one.matrix for one in again.standings] == [one.matrix for one in first.standings]
        more = (*_experiment().contenders, Contender(name="once", learner=WarmStart(passes=1)))
        bench(_experiment(contenders=more, seeds=3), clock=CLOCK, ledger=ledger)
        assert len(ledger.facts("", Experimented)) == 4 + 2 + 3
        bench(_experiment(estimator=linear.SGDClassifier(loss="log_loss", alpha=0.1)), clock=CLOCK, ledger=ledger)
        assert len(ledger.facts("", Experimented)) == 9 + 4


def test_an_experiment_can_be_read_again(tmp_path: Path) -> None:
    """What the ledger holds of an experiment gives the same standings, NaN included."""
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        found = bench(_experiment(scenario=TimeIncremental(1), name="one"), clock=CLOCK, ledger=ledger)
        bench(_experiment(), clock=CLOCK, ledger=ledger)
        one, other = experiments(ledger)
        assert (one.name, other.name) == ("one", "corners")
        assert one.standing("naive").measures["ACC"] == found.standing("naive").measures["ACC"]
        assert np.isnan(one.standing("naive").measures["BWT"].mean)
        assert len(other.experiences) == 2


def test_processes_give_what_one_process_gives() -> None:
    """Two workers find what none finds, whatever order the runs end in."""
    told: list[int] = []
    here = bench(_experiment(), clock=CLOCK)
    there = bench(_experiment(), clock=CLOCK, workers=2, tell=lambda found: told.append(found.done))
    assert [one.matrix for one in there.standings] == [one.matrix for one in here.standings]
    assert told == [0, 1, 2, 3, 4]


@dataclass(frozen=True)
class Dies:
    """Its process is killed in the middle of a lesson."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        os.kill(os.getpid(), signal.SIGKILL)
        return Learnt(None)


def _act(work: int) -> int:
    if work == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if work == 2:
        raise Refused("not this one")
    return work * work


def test_a_process_that_dies_takes_nothing_with_it() -> None:
    """Work that is killed or refused is told as such, and all other work ends well."""
    found = dict(apart(_act, [0, 1, 2, 3, 4], 2))
    assert {key: value for key, value in found.items() if not isinstance(value, KeepfitError)} == {0: 0, 3: 9, 4: 16}
    killed, refused = found[1], found[2]
    assert isinstance(killed, Refused)
    assert killed.code == "killed"
    assert "-9" in str(killed)
    assert str(refused) == "not this one"


def test_a_learner_that_fails_is_ranked_last_and_tried_again(tmp_path: Path) -> None:
    """A failure is a fact with its reason, stops nobody else, and is not taken for a result the next time."""
    failing = Contender(name="dies", learner=Dies())
    with closing(Ledger(tmp_path / "ledger.db")) as ledger:
        experiment = _experiment(contenders=(failing, *_experiment().contenders), seeds=1)
        found = bench(experiment, clock=CLOCK, ledger=ledger, workers=2)
        assert found.standings[-1].name == "dies"
        assert found.standings[-1].failed == 1
        assert "-9" in found.standings[-1].reason
        bench(experiment, clock=CLOCK, ledger=ledger, workers=2)
        codes = [row.fact.code for row in ledger.facts("", Experimented) if row.fact.name == "dies"]
        assert codes == ["killed", "killed"]


def test_code_of_ones_own_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editing the file of one's own learner makes a run another run."""
    experiment = _experiment()
    mine = Contender(name="mine", learner=Dies())
    before = experiment.key(mine, 0)
    assert before == experiment.key(mine, 0)
    assert before != experiment.key(mine, 1)
    changed = tmp_path / "changed.py"
    changed.write_text("# other code")
    monkeypatch.setattr("inspect.getsourcefile", lambda cls: str(changed))
    assert experiment.key(mine, 0) != before
    assert experiment.key(experiment.contenders[0], 0) == _experiment().key(experiment.contenders[0], 0)


def test_names_must_differ_and_seeds_be_some() -> None:
    """Two contenders of one name, or no seed, are refused."""
    one = _experiment().contenders[0]
    with pytest.raises(Invalid, match="a name of its own"):
        _experiment(contenders=(one, replace(one, together=True)))
    with pytest.raises(Invalid, match="seeds"):
        _experiment(seeds=0)
