"""What goes over the socket between a runner and a model's own process: a kind, a length, bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.signature import Field
from keepfit.serve.wire.tables import from_batch, to_batch

_HEAD = struct.Struct("!BQ")


class Kind(IntEnum):
    """What a frame carries: arrays as Arrow IPC, the word that the model is loaded, or why something failed."""

    ARRAYS = 1
    READY = 2
    FAULT = 3


def send(connection: socket.socket, kind: Kind, body: bytes = b"") -> None:
    """Write one frame; OSError when the other side is gone."""
    connection.sendall(_HEAD.pack(kind, len(body)) + body)


def receive(connection: socket.socket) -> tuple[Kind, bytes]:
    """Read one frame; EOFError when the other side is gone, TimeoutError after the socket's timeout."""
    kind, length = _HEAD.unpack(_exactly(connection, _HEAD.size))
    return Kind(kind), _exactly(connection, length)


def pack(fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays of some Fields as one Arrow IPC stream."""
    batch = to_batch(fields, arrays)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpack(fields: Sequence[Field], body: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a body made by `pack`."""
    with pa.ipc.open_stream(body) as reader:
        return from_batch(fields, reader.read_next_batch())


def _exactly(connection: socket.socket, length: int) -> bytes:
    buffer = bytearray(length)
    view, done = memoryview(buffer), 0
    while done < length:
        count = connection.recv_into(view[done:])
        if not count:
            raise EOFError("the other side closed the connection")
        done += count
    return bytes(buffer)
