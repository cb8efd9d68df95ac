"""Evidence, and what gates say of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    pass
from keepfit.core.nouns.data import Digest


@dataclass(frozen=True)
class Measure:
    """One metric on one slice: candidate, incumbent, and the interval of their difference.

    `difference` is candidate minus incumbent, turned so that positive is better; `low`/`high` bound it.
    Without an incumbent, `incumbent` and `difference` are None and the bounds are the candidate's own.
    """

    metric: str
    slice: str
    n: int
    candidate: float
    incumbent: float | None
    difference: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics × slices of a candidate, beside an incumbent, on one Dataset."""

    dataset: Digest
    candidate: Digest
    incumbent: Digest | None
    confidence: float
    resamples: int
    measures: tuple[Measure, ...]

    def measure(self, metric: str, slice: str = "all") -> Measure | None:
        """The Measure of a metric on a slice, or None where it was not evaluated."""
        return next((m for m in self.measures if m.metric == metric and m.slice == slice), None)


class Outcome(StrEnum):
    """PASS lets a Version in; HOLD waits for more evidence; REFUSE keeps it out."""

    PASS = "pass"
    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Ruling:
    """What one gate says, and why, with the numbers in the sentence."""

    gate: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Verdict:
    """All rulings on a Version: refuse if any refuses or none spoke, else hold if any holds, else pass."""

    outcome: Outcome
    rulings: tuple[Ruling, ...]


@dataclass(frozen=True)
class Evidence:
    """All a Gate may look at; None or an empty string means that there is none."""

    evaluation: Evaluation | None = None
    contract: str = ""
    contract_changes: tuple[str, ...] = ()
    golden_error: float | None = None
    golden_tolerance: float = 1e-4
    metric: str = ""
