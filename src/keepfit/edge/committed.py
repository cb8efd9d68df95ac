"""Which Versions a Deployment's Slots hold: one small file, and the acts that change it.

The file is renamed into place between the two phases of a swap: whatever is killed at whatever moment, after a restart
exactly what it says answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from keepfit.core.errors import Conflict, KeepfitError, Refused
from keepfit.core.nouns import Held, Placement, SlotName
from keepfit.core.registry import from_plain, to_plain

Placements = Mapping[int, Placement]
"""The Placement of every major."""


def read_committed(deployment: Path) -> Placements:
    """What is committed, empty before the first swap; Refused where the file is damaged."""
    path = deployment / "committed.json"
    try:
        found = json.loads(path.read_bytes())
        return {int(major): from_plain(Placement, placed) for major, placed in found.items()}
    except FileNotFoundError:
        return {1: Placement()}
    except (ValueError, AttributeError, KeepfitError) as error:
        raise Refused(f"{path} is damaged ({error}); remove it and swap a version in again", code="corrupt") from error


def write_committed(deployment: Path, placements: Placements) -> None:
    """Make this what answers after any crash."""
    write(deployment / "committed.json", plain(placements))


def plain(placements: Placements) -> dict[str, Any]:
    """Placements as JSON has them."""
    return {str(major): to_plain(placed) for major, placed in placements.items()}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON beside the file, fsync, rename, fsync the directory."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def swapped(placed: Placement, held: Held) -> Placement:
    """A Version goes live; the one that was stays to go back to. A canary or shadow that is promoted leaves its Slot.

    >>> one, two = Held(1, "a"), Held(2, "b")
    >>> now = swapped(Placement(live=one, canary=two, share=0.1), two)
    >>> now.live.version, now.previous.version, now.canary
    (2, 1, None)
    """
    if placed.canary == held:
        placed = cleared(placed, SlotName.CANARY)
    if placed.shadow == held:
        placed = cleared(placed, SlotName.SHADOW)
    return placed if placed.live == held else replace(placed, live=held, previous=placed.live)


def beside(placed: Placement, slot: SlotName, held: Held, *, share: float, key: str) -> Placement:
    """A Version goes into the canary or the shadow Slot; Conflict where it has no live one beside it, or is that."""
    if placed.live is None:
        raise Conflict(f"a {slot} stands beside a live version, and there is none; swap one in first", code="no_live")
    if placed.live == held:
        raise Conflict(f"v{held.version} is live already; a {slot} is another version", code="live_already")
    if slot is SlotName.CANARY:
        return replace(placed, canary=held, share=share, key=key)
    return replace(placed, shadow=held)


def cleared(placed: Placement, slot: SlotName) -> Placement:
    """The canary or shadow leaves."""
    if slot is SlotName.CANARY:
        return replace(placed, canary=None, share=0.0, key="")
    return replace(placed, shadow=None)


def back(placed: Placement) -> Placement:
    """The Version before goes live again; Conflict where there is none."""
    if placed.previous is None:
        raise Conflict("there is no previous version to go back to", code="no_previous")
    return swapped(placed, placed.previous)
