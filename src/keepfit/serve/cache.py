"""Cache: answers kept to be given again where the same Bundle is asked the same.

For models that cost more than a hash of their inputs, whose answer depends on nothing else; off unless a Service says
how many answers to keep. The digest of the Bundle is part of the key, so no swap has to clear anything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from struct import pack
from typing import Any, NamedTuple

from numpy.typing import NDArray

from keepfit.core.nouns import Digest

Arrays = dict[str, NDArray[Any]]


class Found(NamedTuple):
    """What was asked, and the answer kept for it, None where there is none."""

    key: bytes
    outputs: Arrays | None


class Cache:
    """The answers used latest: at most so many, of at most `size` bytes. Used from one event loop."""

    def __init__(self, entries: int, *, size: int = 2**26) -> None:
        self.hits = self.misses = 0
        self._most = entries
        self._size = size
        self._used = 0
        self._kept: OrderedDict[bytes, tuple[Arrays, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, digest: Digest, inputs: Mapping[str, NDArray[Any]], method: str = "predict") -> Found:
        """The answer of a Bundle's method to these inputs, in whatever order they come; nobody may write to it."""
        asked = key(digest, inputs, method)
        found = self._kept.get(asked)
        if found is None:
            self.misses += 1
            return Found(asked, None)
        self.hits += 1
        self._kept.move_to_end(asked)
        return Found(asked, found[0])

    def keep(self, asked: bytes, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Keep an answer under the key that `find` gave; those not used for the longest time make room."""
        copies: Arrays = {}
        for name, values in outputs.items():
            copies[name] = values.copy()  # what it may be a view of is not kept with it
            copies[name].setflags(write=False)
        size = sum(map(_weight, copies.values()))
        if size > self._size or not self._most:
            return
        _, before = self._kept.pop(asked, ({}, 0))
        self._used += size - before
        self._kept[asked] = copies, size
        while len(self._kept) > self._most or self._used > self._size:
            _, (_, gone) = self._kept.popitem(last=False)
            self._used -= gone


def key(digest: Digest, inputs: Mapping[str, NDArray[Any]], method: str = "predict") -> bytes:
    """The digest of Bundle, method and inputs: two that differ in any bit, type or shape have different ones."""
    told = blake2b(_said(digest) + _said(method), digest_size=24)
    for name in sorted(inputs):
        values = inputs[name]
        told.update(_said(name) + _said(values.dtype.str) + pack(f"<{values.ndim + 1}q", values.ndim, *values.shape))
        if values.dtype == object:
            told.update(b"".join(map(_said, values.reshape(-1).tolist())))
        else:
            told.update(values.tobytes())
    return told.digest()


def _said(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return pack("<q", len(data)) + data


def _weight(values: NDArray[Any]) -> int:
    return 200 + values.nbytes + (sum(map(len, values.reshape(-1).tolist())) if values.dtype == object else 0)
