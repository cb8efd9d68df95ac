"""Distinct: how many different values there are, from the smallest of their hashes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keepfit.data.profile.hashing import Hashes

HASHES = 4096
"""So many of the smallest hashes are kept: up to here counts are exact, beyond they have a standard error of 1.6 %."""

_WHOLE = 2.0**64
_AMPLE = 1.3


@dataclass(frozen=True)
class Distinct:
    """The smallest different hashes seen, ascending, as little-endian 64-bit words.

    Parts joined are the whole, bit for bit. Estimator and error: Bar-Yossef and others (2002), Beyer and others (2007).
    """

    hashes: bytes = b""

    @property
    def exact(self) -> bool:
        """Whether every different value was kept."""
        return len(self.hashes) < 8 * HASHES

    @property
    def count(self) -> int:
        """How many different values there are; see `error`."""
        if self.exact:
            return len(self.hashes) // 8
        return round((HASHES - 1) * _WHOLE / int.from_bytes(self.hashes[-8:], "little"))

    @property
    def error(self) -> float:
        """The relative standard error of `count`."""
        return 0.0 if self.exact else float((HASHES - 2) ** -0.5)

    def __or__(self, other: Distinct) -> Distinct:
        if not self.hashes or not other.hashes:
            return self if self.hashes else other
        return _smallest(np.concatenate([_words(self), _words(other)]))


def distinct(hashes: Hashes) -> Distinct:
    """What is different among hashes, which may repeat."""
    if hashes.size > 2 * HASHES:  # hashes are spread evenly, so it is known about where the smallest end
        bound = np.uint64(int(min(1.0, _AMPLE * HASHES / hashes.size) * (_WHOLE - 2**12)))
        found = _smallest(hashes[hashes < bound])
        if not found.exact:
            return found
    return _smallest(hashes)


def _smallest(hashes: Hashes) -> Distinct:
    ordered = np.sort(hashes)
    if ordered.size:
        ordered = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    return Distinct(ordered[:HASHES].astype("<u8", copy=False).tobytes())


def _words(found: Distinct) -> Hashes:
    return np.frombuffer(found.hashes, "<u8")
