"""A control process that starts one guarded Run and waits to be killed: `mortal_guard.py STORE RUN WORK`."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event

import msgspec

from keepfit.core.places import Places
from keepfit.core.registry import from_plain
from keepfit.edge.guard import Guarded
from keepfit.loop.executors import ProcessExecutor
from keepfit.loop.pipeline import Work


def main() -> None:
    places = Places(Path(sys.argv[1]))
    executor = Guarded(ProcessExecutor(places), places)
    work = from_plain(Work, msgspec.json.decode(Path(sys.argv[3]).read_bytes()))
    print(executor.start(sys.argv[2], work), flush=True)
    Event().wait()


if __name__ == "__main__":
    main()
