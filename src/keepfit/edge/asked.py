"""What callers ask of the control process: the bodies of its requests, and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keepfit.core.nouns import Digest


@dataclass(frozen=True, kw_only=True)
class Apply:
    """Put a stored Specification in force."""

    specification: Digest
    actor: str = "someone"


@dataclass(frozen=True, kw_only=True)
class Update:
    """Make a candidate now; `dataset` is the digest of a stored Dataset to train on instead of the recipe's window."""

    reason: str
    actor: str = "someone"
    dataset: Digest = ""


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Put a Version into the live Slot; `forced` overrides a missing or negative Verdict, for the reason given."""

    version: int
    reason: str = ""
    actor: str = "someone"
    forced: bool = False


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """Swap back to the Version that was live before."""

    reason: str
    actor: str = "someone"


@dataclass(frozen=True, kw_only=True)
class Approve:
    """Record a person's yes or no to a Version."""

    version: int
    yes: bool
    reason: str
    actor: str = "someone"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A deed that the loop will carry out. `done` is None until it has an end; then `reason` tells it."""

    request: str
    done: bool | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One Run: `state` is `running`, `finished` or `failed`."""

    run: str
    step: str
    update: str
    state: str
    started: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    granted: str = ""
    reason: str = ""
    result: dict[str, Any] | None = None
