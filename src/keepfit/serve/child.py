"""The process of one Version whose model is code, or which is loaded aside: the only place where user code serves.

`python -m keepfit.serve.child DIRECTORY FD SERVER MEMORY PACE` holds itself to what it may do, loads the Bundle on a
thread that gives way to all others, which also answers the first question (the rehearsal), and then answers on its main
thread what comes over the socket FD until that is closed. SERVER is the process id it must not outlive, MEMORY its
bytes (0: what the machine has), PACE how fast it may go.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from keepfit.serve.confine import Granted, confine
from keepfit.serve.courtesy import Pace, pace_of, step_aside


class _Loading(threading.Thread):
    """Imports what answering needs, loads the Bundle and has it rehearsed, giving way where it is told to."""

    def __init__(self, connection: socket.socket, granted: Granted, pace: Pace) -> None:
        super().__init__(name="keepfit-load")
        self.hosted: Any = None
        self._connection = connection
        self._granted = granted
        self._pace = pace

    def run(self) -> None:
        loaded = step_aside() if self._pace is Pace.LOADING else pace_of()
        host = import_module("keepfit.serve.host")  # here, so that NumPy and its like are imported at this pace too
        self.hosted = host.opened(self._connection, replace(self._granted, loaded=loaded))
        if self.hosted is not None and self._pace is Pace.LOADING:
            self.hosted.serve(1)


def main(argv: list[str]) -> int:
    """Serve the Bundle in `argv[0]` on the inherited socket `argv[1]`; 1 where it could not be loaded."""
    directory, descriptor, server, memory, pace = argv
    os.dup2(2, 1)  # what a user's code prints belongs to the log
    connection = socket.socket(fileno=int(descriptor))
    connection.set_inheritable(False)
    os.register_at_fork(after_in_child=connection.close)  # what a model forks must neither read nor hold it
    granted = confine(Path(directory), server=int(server), memory=int(memory) or None)
    if pace == Pace.ASIDE:
        step_aside()
    loading = _Loading(connection, replace(granted, pace=pace_of()), Pace(pace))
    loading.start()
    loading.join()
    if loading.hosted is None:
        return 1
    gc.freeze()  # what is loaded stays, and need not be searched
    loading.hosted.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
