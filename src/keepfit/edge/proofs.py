"""What is known of the Versions a runner has let in: that they load, reproduce their golden examples, and fit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from keepfit.core.nouns import Digest, Held, Placement, Preserve
from keepfit.core.service import Serving
from keepfit.edge.committed import Placements
from keepfit.serve.proving import Claim, prove


class Proofs:
    """Bytes that one copy of each Bundle takes; every front worker has a copy of its own.

    A Bundle is proved once: whatever has its digest is the same, and is verified whenever it is loaded.
    """

    def __init__(self, service: str, verified: Callable[[Digest], Path], serving: Serving, copies: int) -> None:
        self._service = service
        self._verified = verified
        self.serving = serving
        self._copies = copies
        self._memory: dict[Digest, int] = {}

    def settle(self, serving: Serving) -> None:
        """Let in by other settings from now on."""
        self.serving = serving

    def used(self, placements: Placements) -> int:
        """Bytes that these Versions take in all front workers, as far as they were proved here."""
        return sum(self._memory.get(held.digest, 0) for held in set(_all(placements))) * self._copies

    async def admit(self, wanted: Placements, before: Placements) -> None:
        """Prove the Versions that are new; Refused where one cannot be loaded, misses its examples, or has no room.

        What is let go first is room: the Versions to go back to which nobody wants any more and, where resources are
        preserved, everything that the new one replaces.
        """
        known = {held.digest for held in _all(before)} | self._memory.keys()
        fresh = [held for held in dict.fromkeys(_all(wanted)) if held.digest not in known]
        staying = {major: _staying(placed, wanted.get(major), self.serving) for major, placed in before.items()}
        freed = self.used(before) - self.used(staying)
        for held in fresh:
            directory = await asyncio.to_thread(self._verified, held.digest)
            claim = Claim(
                self._service,
                held,
                str(directory),
                copies=self._copies,
                used=self.used(staying),
                freed=freed,
                limit=self.serving.memory,
            )
            self._memory[held.digest] = (await prove(claim)).memory
            staying = {**staying, -held.version: Placement(held)}


def _all(placements: Placements) -> Iterator[Held]:
    for placed in placements.values():
        for held in (placed.live, placed.previous, placed.canary, placed.shadow):
            if held is not None:
                yield held


def _staying(placed: Placement, wanted: Placement | None, serving: Serving) -> Placement:
    """What of a Placement is still loaded while another one is prepared."""
    if wanted is None or wanted == placed:
        return placed
    if serving.preserve is Preserve.RESOURCES:
        return Placement(canary=placed.canary, shadow=placed.shadow)
    kept = placed.previous if placed.previous in set(_all({1: wanted})) else None
    return Placement(placed.live, kept, placed.canary, placed.shadow)
