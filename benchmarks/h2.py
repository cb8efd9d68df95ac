"""gRPC from plain sockets: a client so light that it is the server which is measured, not a Python client library.

One unary call at a time on each connection; headers are sent as literals, and the server is told to keep no table of
headers, so that its own come as literals too. Sources: RFC 9113 (HTTP/2), RFC 7541 (HPACK), grpc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

from struct import Struct

from benchmarks.load import Link

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM = _ACK = 1
_END_HEADERS = 4
_HEAD = 9  # bytes before a frame's payload
_LONGEST = 2**14  # bytes of a frame's payload, where nothing else was agreed
_WIDE = 2**30  # bytes the server may send before it is told to go on
_FINE = b"\x0bgrpc-status\x010"  # name and value, each after its length

_setting = Struct(">HI")
_word = Struct(">I")


def frame(kind: int, payload: bytes, *, flags: int = 0, stream: int = 0) -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + _word.pack(stream) + payload


def call(path: str, message: bytes) -> bytes:
    """The frames of a unary call, of which `Stream.send` makes those of the next stream."""
    block = b"\x83\x86" + _literal(4, path) + _literal(1, "bench")  # POST, http, :path, :authority
    block += _literal("te", "trailers") + _literal("content-type", "application/grpc")
    data = b"\x00" + _word.pack(len(message)) + message
    parts = [data[at : at + _LONGEST] for at in range(0, len(data), _LONGEST)]
    frames = [frame(_DATA, part) for part in parts[:-1]] + [frame(_DATA, parts[-1], flags=_END_STREAM)]
    return frame(_HEADERS, block, flags=_END_HEADERS) + b"".join(frames)


def _literal(name: int | str, value: str) -> bytes:
    """A header that no table shall keep, its name by number in the static table or in full; both shorter than 127."""
    named = bytes((name,)) if isinstance(name, int) else bytes((0, len(name))) + name.encode()
    return named + bytes((len(value),)) + value.encode()


class Stream(Link):
    """One connection, on which one stream follows the other."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        settings = _setting.pack(1, 0) + _setting.pack(2, 0) + _setting.pack(4, 2**31 - 1)
        hello = frame(_SETTINGS, settings) + frame(_WINDOW_UPDATE, _word.pack(_WIDE))
        self.socket.sendall(_PREFACE + hello)
        self._stream, self._taken, self._body = -1, 0, b""

    def send(self, data: bytes, turn: int, began: float) -> None:
        """Begin the next stream with what `call` made; `began` is when it was due."""
        self.turn, self.began, self._body = turn, began, b""
        self._stream += 2
        frames, at = bytearray(data), 0
        while at < len(data):
            _word.pack_into(frames, at + 5, self._stream)
            at += _HEAD + int.from_bytes(data[at : at + 3], "big")
        self.socket.sendall(frames)

    def receive(self) -> tuple[bytes, bytes] | None:
        """A status line as HTTP/1.1 would have it, with the trailers, and the message, once the stream has ended."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionResetError("the server closed the connection")
        self.buffer += part
        while len(self.buffer) >= _HEAD:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < _HEAD + length:
                return None
            kind, flags = self.buffer[3], self.buffer[4]
            stream = _word.unpack_from(self.buffer, 5)[0]
            payload, self.buffer = self.buffer[_HEAD : _HEAD + length], self.buffer[_HEAD + length :]
            if self._takes(kind, flags, payload) and stream == self._stream:
                fine = kind == _HEADERS and _FINE in payload
                return b"HTTP/1.1 %d " % (200 if fine else 500) + payload, self._body[5:]
        return None

    def _takes(self, kind: int, flags: int, payload: bytes) -> bool:
        """Take one frame; whether it ends its stream."""
        if kind == _DATA:
            self._body += payload
            self._taken += len(payload)
            if self._taken > _WIDE // 2:
                self.socket.sendall(frame(_WINDOW_UPDATE, _word.pack(self._taken)))
                self._taken = 0
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self.socket.sendall(frame(kind, payload if kind == _PING else b"", flags=_ACK))
        elif kind == _GOAWAY:
            raise ConnectionResetError("the server takes no more streams on this connection")
        return kind == _RST_STREAM or (kind in (_HEADERS, _DATA) and bool(flags & _END_STREAM))
