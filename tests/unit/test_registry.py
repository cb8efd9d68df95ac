"""Declarations as plain data, and back: plug-ins come back where they are expected, and stay data elsewhere."""

from __future__ import annotations

import msgspec
import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.core.own import Own
from keepfit.core.protocols import Learner, Trigger
from keepfit.core.registry import canonical, from_plain, to_plain
from keepfit.core.service import Recipe
from keepfit.learn.learners import WarmStart
from keepfit.loop.pipeline import Work
from keepfit.watch.triggers import AnyOf, Labels

OWN = Own("mine:Mine", {"twist": 3})


@pytest.mark.parametrize("learner", [WarmStart(passes=3), OWN], ids=["registered", "own"])
def test_a_learner_comes_back(learner: Learner) -> None:
    """Alone, in a tuple, or in a recipe: what is stored is what is read, and nothing of one's own code is imported."""
    assert from_plain(Recipe, to_plain(Recipe(learner=learner))).learner == learner
    assert from_plain(tuple[Learner, ...], to_plain((learner,))) == (learner,)


def test_plug_ins_inside_plug_ins_come_back() -> None:
    """A trigger made of triggers is read whole."""
    nested = AnyOf((Labels(5), AnyOf((Labels(7),))))
    assert from_plain(tuple[Trigger, ...], to_plain((nested,))) == (nested,)


@pytest.mark.parametrize("learner", [WarmStart(passes=3), OWN], ids=["registered", "own"])
def test_work_has_the_same_key_where_it_is_done(learner: Learner) -> None:
    """A worker that reads its work as plain data knows it by the key under which it was ordered."""
    work = Work(
        step="train",
        service="s",
        update="u",
        specification="d",
        parameters={"recipe": to_plain(Recipe(learner=learner))},
    )
    read = from_plain(Work, msgspec.json.decode(canonical(work)))
    assert read.key == work.key
    assert canonical(read) == canonical(work)


def test_code_that_is_not_there_is_told() -> None:
    """A learner of one's own that the code has no more is refused by name, where it is to be made."""
    with pytest.raises(SpecInvalid, match="absent_module:Thing cannot be made"):
        Own("absent_module:Thing").made()
