"""The line to a model's own process on an event loop: frames out, frames in, nothing waited for."""

from __future__ import annotations

import socket
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Sequence

from keepfit.serve.frames import Buffer, Frame, Incoming


class Line:
    """Writes and reads one socket; tells of every frame, and once of the end, with what ended it."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        connection: socket.socket,
        *,
        heard: Callable[[Frame], None],
        lost: Callable[[Exception], None],
    ) -> None:
        connection.setblocking(False)
        self._loop = loop
        self._connection = connection
        self._heard = heard
        self._lost = lost
        self._incoming = Incoming()
        self._left: deque[memoryview] = deque()
        self._file = connection.fileno()
        loop.add_reader(self._file, self._read)

    def say(self, buffers: Sequence[Buffer]) -> None:
        """Send a frame, now or as soon as the other side takes it."""
        self._left.extend(memoryview(buffer) for buffer in buffers)
        self._write()
        if self._left:
            self._loop.add_writer(self._file, self._go_on)

    def close(self) -> None:
        """Let go of the socket, which stays open."""
        self._left.clear()
        self._loop.remove_reader(self._file)
        self._loop.remove_writer(self._file)

    def _go_on(self) -> None:
        self._write()
        if not self._left:
            self._loop.remove_writer(self._file)

    def _write(self) -> None:
        try:
            while self._left:
                sent = self._connection.send(self._left[0])
                if sent < len(self._left[0]):
                    self._left[0] = self._left[0][sent:]
                else:
                    self._left.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._left.clear()  # reading tells what happened

    def _read(self) -> None:
        try:
            frame = self._incoming.read(self._connection)
        except (EOFError, OSError, ValueError, MemoryError) as error:
            self._lost(error)
            return
        if frame is not None:
            self._heard(frame)
