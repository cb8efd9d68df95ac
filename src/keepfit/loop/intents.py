"""Intents: what `plan` can want done; `perform` does it."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.facts import Requested
from keepfit.core.nouns import Digest, SlotName


@dataclass(frozen=True)
class Nothing:
    """There is nothing to do, for a reason."""

    reason: str


@dataclass(frozen=True)
class Watch:
    """Let these Monitors look at the Stream, in one Run."""

    monitors: tuple[str, ...]


@dataclass(frozen=True)
class Mark:
    """Let a Run measure how good the live Version is `on` its new labels, its new records, or both."""

    on: tuple[str, ...]


@dataclass(frozen=True)
class Compact:
    """Let a Run move the Stream's sealed segments, of this many Records by now, into Parquet."""

    records: int


@dataclass(frozen=True)
class Decide:
    """Remember that Triggers fire while an update is open, to begin another one afterwards."""

    reason: str


@dataclass(frozen=True)
class Open:
    """Begin an update, with `confirms` the re-judging of a live Version, with `bundle` the judging of what is given."""

    reason: str
    parent: int
    request: str = ""
    dataset: Digest = ""
    confirms: int = 0
    decided: bool = False
    bundle: Digest = ""
    origin: str = ""


@dataclass(frozen=True)
class Run:
    """Start the next step of the open update, or use the finished Run with its key."""

    step: str


@dataclass(frozen=True)
class Register:
    """Give the candidate's Bundle a number."""

    digest: Digest


@dataclass(frozen=True)
class Record:
    """Write the Verdict of the judge step on a Version."""

    version: int


@dataclass(frozen=True)
class Swap:
    """Put a Version into a Slot; `cause` is `promote`, `force`, `rollback`, `restore`, or `abort`: emptied."""

    version: int
    cause: str
    reason: str
    request: str = ""
    slot: str = SlotName.LIVE
    share: float = 0.0
    key: str = ""


@dataclass(frozen=True)
class Quarantine:
    """Keep a Version out of the live Slot from now on."""

    version: int
    reason: str
    evaluation: Digest


@dataclass(frozen=True)
class Approve:
    """Record that a person overrides the Verdict."""

    request: Requested


@dataclass(frozen=True)
class Forget:
    """Take Records out of every Memory of the Service, and say which Versions learnt from them."""

    request: Requested


@dataclass(frozen=True)
class Close:
    """End the open update; `unjudged` says that its Bundle gets this as its Verdict, having come to no other."""

    outcome: str
    reason: str
    unjudged: bool = False


@dataclass(frozen=True)
class Answer:
    """Tell a Requested deed's end."""

    request: str
    done: bool
    reason: str


Intent = (
    Nothing
    | Watch
    | Mark
    | Compact
    | Decide
    | Open
    | Run
    | Register
    | Record
    | Swap
    | Quarantine
    | Approve
    | Forget
    | Close
    | Answer
)
