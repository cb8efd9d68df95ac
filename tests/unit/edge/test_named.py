"""What a command line names: learners by entry point, or of a file, with parameters that are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepfit.core.errors import NotFound, SpecInvalid
from keepfit.edge.bench.asked import SCENARIOS
from keepfit.edge.named import learner_named, thing_named
from keepfit.learn.learners import Refit, WarmStart
from keepfit.learn.scenarios import ClassIncremental, Recurring, Rotated


@pytest.mark.parametrize("said", ["WarmStart", "warm-start", "warmstart", "WARM_START", " warmstart "])
def test_case_and_hyphens_do_not_matter(said: str) -> None:
    """However it is written, a learner is found by its entry point."""
    assert learner_named(said) == WarmStart()
    assert learner_named("refit") == Refit()


def test_parameters_are_written_as_in_python() -> None:
    """Arguments are literals by name, or calls of known classes."""
    assert learner_named("WarmStart(passes=3, most=9)") == WarmStart(passes=3, most=9)
    assert thing_named("rotated(angles=(0, 90))", SCENARIOS) == Rotated((0, 90))
    assert thing_named("recurring(of=split(count=2), times=3)", SCENARIOS) == Recurring(ClassIncremental(2), 3)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("warmstart(pases=3)", "no parameter 'pases'; it has: passes, trees, most"),
        ("warmstart(passes='many')", "passes: expected int, found str 'many'"),
        ("warmstart(3)", "arguments go by name"),
        ("warmstart(passes=open('x'))", "there is no learner 'open'"),
        ("warmstart(passes=1+)", "cannot be read"),
        ("warmstart(passes=a.b)", "is no number, text, list"),
        ("2fast", "expected NAME"),
        ("nothing-like-it", "there is no learner 'nothing-like-it'; there are: "),
        ("absent.py:Thing", "there is no such file"),
    ],
)
def test_what_does_not_fit_is_said(said: str, told: str) -> None:
    """Nothing but constructors is run, and the message says which word is wrong and what there is instead."""
    with pytest.raises((SpecInvalid, NotFound)) as found:
        learner_named(said)
    assert told in str(found.value)


def test_a_learner_of_ones_own(tmp_path: Path) -> None:
    """FILE.py:NAME is a class of that file, made with its arguments, or an object of it."""
    file = tmp_path / "bench_named_mine.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    size: int = 1\n"
        "    def learn(self, estimator, lesson):\n"
        "        return None\n"
        "large = Mine(9)\n"
        "number = 3\n"
    )
    assert repr(learner_named(f"{file}:Mine(size=2)")) == "Mine(size=2)"
    assert repr(learner_named(f"{file}:large")) == "Mine(size=9)"
    with pytest.raises(SpecInvalid, match="takes no arguments"):
        learner_named(f"{file}:large(size=1)")
    with pytest.raises(SpecInvalid, match="an object with `learn"):
        learner_named(f"{file}:number")
    with pytest.raises(NotFound, match="it has: dataclass, Mine, large, number"):
        learner_named(f"{file}:Absent")
