"""Avalanche: a strategy of the library of that name, as a learner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keepfit.core.nouns import Learnt, Lesson
from keepfit.learn.learners.fine_tune import FineTune


@dataclass(frozen=True)
class Avalanche(FineTune):
    """Teach a Network by a strategy of avalanche-lib: `Avalanche(strategy="Replay", parameters={"mem_size": 500})`.

    `strategy` is a class of `avalanche.training.supervised`, or `module:Class` of one's own; `parameters` are what it
    takes beyond module, optimiser, batches and epochs, which are the Network's. What it and its plugins carry from
    experience to experience goes into the Memory: datasets as rows, so that a person's Records can be found and taken
    out; all else pickled, also rows that a plugin copied into tensors of its own (as its GEM does). A Lesson that was
    interrupted begins anew. Refused are strategies that need another module than a Network has, and what cannot be
    pickled. How much is remembered is the strategy's affair: its EWC, unless `online`, grows with every Lesson.
    """

    strategy: str = "Naive"
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows the strategy may remember."""
        return int(self.parameters.get("mem_size", 0))

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """A copy of the parent that the strategy has trained; MissingExtra where avalanche-lib is not installed."""
        from keepfit.learn.deep.avalanche import trained

        return trained(self, estimator, lesson)
