"""A control loop that is killed at its first new fact: `mortal_loop.py STORE before|after`.

`before`: the deed is done, its fact is never written. `after`: the fact is written, nothing after it happens.
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

    def append(self, *facts: Fact) -> int:
        if sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(*facts)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process does not go on")


def main() -> None:
    places = Places(Path(sys.argv[1]))
    hands = Hands(
        places=places,
        ledger=MortalLedger(places.ledger),
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


if __name__ == "__main__":
    main()
