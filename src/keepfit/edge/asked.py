"""What callers ask of the control process: the bodies of its requests, and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keepfit.core.nouns import Conditions, Digest, Interference, SlotName


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
    """Put a Version into a Slot; `forced` overrides a missing or negative Verdict, for the reason given.

    A canary answers `share` (0 to 1) of the requests, drawn at random or by the value of the input `key`. A `major`
    beside the first one has Slots and callers of its own (`service@2`), so its Signature may break those of the first.
    """

    version: int
    reason: str = ""
    actor: str = "someone"
    forced: bool = False
    slot: SlotName = SlotName.LIVE
    share: float = 0.1
    key: str = ""
    major: int = 1


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """Swap back to the Version that was live before."""

    reason: str
    actor: str = "someone"
    major: int = 1


@dataclass(frozen=True, kw_only=True)
class Promote:
    """Have the canary or the shadow go live; `forced` as in a Swap."""

    slot: SlotName = SlotName.CANARY
    reason: str = ""
    actor: str = "someone"
    forced: bool = False
    major: int = 1


@dataclass(frozen=True, kw_only=True)
class Abort:
    """Empty the canary or the shadow Slot; with `live`, take a major beside the first one away."""

    slot: SlotName = SlotName.CANARY
    reason: str = ""
    actor: str = "someone"
    major: int = 1


@dataclass(frozen=True, kw_only=True)
class Register:
    """Make a Bundle of the store a Version, to be judged as a candidate is; `origin` says where it came from."""

    digest: Digest
    origin: str
    reason: str = ""
    actor: str = "someone"


@dataclass(frozen=True, kw_only=True)
class Forget:
    """Take the Records of these `ids` out of what learners remember, and say which Versions learnt from them.

    `entity` stands for all Records that have this value in the column which the Service names as `entity`.
    """

    ids: tuple[str, ...] = ()
    entity: str = ""
    reason: str = ""
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
    """A deed that the loop will carry out. `done` is None until it has an end; then `reason` tells it.

    `code` is the machine code of a runner's refusal.
    """

    request: str
    done: bool | None = None
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One Run: `state` is `running`, `finished` or `failed`; the rest as in `RunFinished`."""

    run: str
    step: str
    update: str
    state: str
    started: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    granted: Conditions | str = ""
    yields: int = 0
    held: float = 0.0
    interference: tuple[Interference, ...] = ()
    reason: str = ""
    result: dict[str, Any] | None = None
