"""Trace context: who called, and under which name what happened here can be found (https://www.w3.org/TR/trace-context).

Nothing is parsed where no header came, and what is not a valid `traceparent` is as if none had come.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_KEY = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_MEMBER = re.compile(rf"({_KEY})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")
_MEMBERS = 32  # that a tracestate may have
_NOTHING = (b"0" * 32, b"0" * 16)


class Trace(NamedTuple):
    """One request of a trace: the trace's id, our own span in it, the flags and the state that came with it."""

    id: str
    span: str
    flags: str = "00"
    state: str = ""

    @property
    def parent(self) -> str:
        """What whoever is called from here, or reads the Record later, takes for its parent.

        >>> Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01").parent
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
        """
        return f"00-{self.id}-{self.span}-{self.flags}"

    @property
    def headers(self) -> bytes:
        """The header lines of the answer, each ended by CRLF."""
        state = f"tracestate: {self.state}\r\n" if self.state else ""
        return f"traceparent: {self.parent}\r\n{state}".encode("latin-1")


def received(headers: Mapping[bytes, bytes]) -> Trace | None:
    """The caller's trace, with a span of our own; None where no valid one came. Header names are in lower case."""
    parent = headers.get(b"traceparent")
    if parent is None:
        return None
    match = _PARENT.fullmatch(parent)
    if match is None or match[1] == b"ff" or match[2] == _NOTHING[0] or match[3] == _NOTHING[1]:
        return None
    if match[1] == b"00" and match[5] is not None:  # later versions may append to it, this one ends here
        return None
    flags = "01" if int(match[4], 16) & 1 else "00"  # the other flags are not ours to pass on
    return Trace(match[2].decode(), _span(), flags, _state(headers.get(b"tracestate", b"")))


def begun() -> Trace:
    """A trace that begins here, which nobody records yet."""
    return Trace(f"{random.getrandbits(128) or 1:032x}", _span())


def _span() -> str:
    return f"{random.getrandbits(64) or 1:016x}"


def _state(given: bytes) -> str:
    """The list as it is passed on; empty where it is not one, as the specification wants it."""
    members = [member.strip(" \t") for member in given.decode("latin-1").split(",")]
    members = [member for member in members if member]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match}
    if len(members) > _MEMBERS or len(keys) < len(members):  # too many, not valid, or one twice
        return ""
    return ",".join(members)
