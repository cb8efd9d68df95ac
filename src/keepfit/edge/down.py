"""down: ends the control process of a store and its runners, whichever of them still live."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing

from keepfit.core.errors import Unavailable
from keepfit.core.places import Places
from keepfit.edge.apply import holder
from keepfit.edge.serving import standing
from keepfit.loop.targets import Local
from keepfit.store.ledger import Ledger

_PATIENCE = 60.0  # seconds: a runner may take half a minute to answer what it has begun


def down(places: Places) -> Iterator[str]:
    """Stop what runs; one line for each thing stopped."""
    if not places.ledger.exists() and not standing(places):
        yield f"nothing was ever started in {places.root}"
        return
    process = holder(places)
    if process:
        os.kill(process, signal.SIGTERM)
        _wait(places, process)
        yield f"control (process {process}) stopped"
    target = Local(places=places)
    services = list(standing(places))
    if places.ledger.exists():
        with closing(Ledger(places.ledger, readonly=True)) as ledger:
            services += ledger.services()
    for service in services:
        runner = target.process(service) if service else 0
        if runner:
            target.stop(service)
            yield f"the runner of '{service}' (process {runner}) stopped"
    if not process:
        yield "no control process is running"


def _wait(places: Places, process: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while holder(places):
        if time.monotonic() > deadline:
            raise Unavailable(f"control (process {process}) did not end within {_PATIENCE:g} s; look at its output")
        time.sleep(0.05)
