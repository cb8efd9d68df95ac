"""The places of a Deployment, and how it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    pass
from keepfit.core.nouns.data import Digest


class SlotName(StrEnum):
    """The places of a Deployment.

    LIVE answers; CANARY answers a share of the requests in its stead; SHADOW gets a copy of the requests, and its
    answers are recorded and never returned.
    """

    LIVE = "live"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True)
class Held:
    """The Version a Slot holds."""

    version: int
    digest: Digest


@dataclass(frozen=True)
class Placement:
    """Which Versions the Slots of a Deployment hold; `previous` is the one live before, kept to go back to.

    The canary answers `share` (0 to 1) of the requests: drawn at random, or by the value of the input `key`, so that
    one value always gets the same Version.
    """

    live: Held | None = None
    previous: Held | None = None
    canary: Held | None = None
    shadow: Held | None = None
    share: float = 0.0
    key: str = ""


class Check(StrEnum):
    """What is done with a request that is out of line with the Service's Schema.

    OFF does not look, WARN counts it, REFUSE also refuses it where a Finding is an ERROR.
    """

    OFF = "off"
    WARN = "warn"
    REFUSE = "refuse"


class Preserve(StrEnum):
    """What a swap saves: AVAILABILITY holds the old and the new Version for a moment, RESOURCES only ever one."""

    AVAILABILITY = "availability"
    RESOURCES = "resources"


@dataclass(frozen=True)
class Rollout:
    """How a passed Version goes live and is watched afterwards.

    The live Version is judged again on `confirm_labels` labels that arrived for Records it answered; being
    worse than its predecessor by more than `margin` of the metric, beyond the interval, swaps it back.
    """

    confirm_labels: int = 500
    margin: float = 0.0
    automatic: bool = True
