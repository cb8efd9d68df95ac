"""A control loop that is killed at its first new fact: `mortal_loop.py STORE before|after...`.

`before`: the deed is done, its fact is never written. `after`: the fact is written, nothing after it happens. Several
words are as many lives, one after the other, each of which ends so.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from pathlib import Path

from keepfit.core.clock import SystemClock
from keepfit.core.facts import Fact
from keepfit.core.places import Places
from keepfit.loop.executors import ProcessExecutor
from keepfit.loop.perform import Hands
from keepfit.loop.targets import Local
from keepfit.loop.turn import Loop
from keepfit.store.ledger import Ledger


class MortalLedger(Ledger):
    """Writes at most one transaction in its life."""

    when = ""

    def append(self, *facts: Fact) -> int:
        if self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(*facts)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process does not go on")


def live(places: Places, when: str) -> None:
    """One life."""
    ledger = MortalLedger(places.ledger)
    ledger.when = when
    hands = Hands(
        places=places,
        ledger=ledger,
        clock=SystemClock(),
        executor=ProcessExecutor(places),
        target=Local(places=places),
        new_id=lambda: uuid.uuid4().hex[:12],
    )
    loop = Loop(hands)
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        loop.turn()
        time.sleep(0.02)


def main() -> None:
    places = Places(Path(sys.argv[1]))
    for when in sys.argv[2:-1]:
        child = os.fork()
        if not child:
            live(places, when)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"a life that was to end {when} its first fact ended otherwise"
    live(places, sys.argv[-1])


if __name__ == "__main__":
    main()
