"""CRC-32C (Castagnoli) of many byte strings at once.

The checksum is linear: zeros before the data do not change it while its register starts at zero, and the checksum of
two pieces follows from those of each. So all strings are cut into chunks of one size, which are summed side by side.
Starting the register at all ones is the same as inverting the first four bytes (RFC 3720, appendix B.4 has examples).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78
_CHUNK = 128
_ONES = np.uint32(0xFFFFFFFF)

Words = NDArray[np.uint32]


def crc32c(data: Sequence[bytes]) -> list[int]:
    """The checksum of each byte string.

    >>> hex(crc32c([b"123456789"])[0])
    '0xe3069283'
    """
    sizes = np.array([max(1, -(-len(one) // _CHUNK)) for one in data], np.intp)
    ends = np.cumsum(sizes)
    padded = np.zeros((int(ends[-1]) if len(data) else 0, _CHUNK), np.uint8)
    flat = padded.reshape(-1)
    for one, end in zip(data, ends.tolist(), strict=True):
        stop = end * _CHUNK
        flat[stop - len(one) : stop] = np.frombuffer(one, np.uint8)
        if len(one) >= 4:
            flat[stop - len(one) : stop - len(one) + 4] ^= 0xFF
    sums = _folded(_chunks(padded), ends - sizes, sizes)
    return [int(total ^ _ONES) if len(one) >= 4 else _short(one) for one, total in zip(data, sums, strict=True)]


def _chunks(padded: NDArray[np.uint8]) -> Words:
    """The register after each chunk, from zero; eight bytes at a time."""
    tables = _slices()
    register = np.zeros(len(padded), np.uint32)
    for start in range(0, _CHUNK, 8):
        block = padded[:, start : start + 8]
        low = register ^ np.ascontiguousarray(block[:, :4]).view("<u4").reshape(-1)
        register = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF]
        register ^= tables[4][low >> 24]
        for place in range(4):
            register ^= tables[3 - place][block[:, 4 + place]]
    return register


def _folded(chunks: Words, starts: NDArray[np.intp], sizes: NDArray[np.intp]) -> Words:
    """The register after the chunks of each string."""
    shift = _shift()
    register = np.zeros(len(starts), np.uint32)
    active: NDArray[np.intp] = np.arange(len(starts))
    for turn in range(int(sizes.max(initial=0))):
        active = active[sizes[active] > turn]
        old = register[active]
        moved = shift[0][old & 0xFF] ^ shift[1][old >> 8 & 0xFF] ^ shift[2][old >> 16 & 0xFF] ^ shift[3][old >> 24]
        register[active] = moved ^ chunks[starts[active] + turn]
    return register


def _short(data: bytes) -> int:
    register, table = 0xFFFFFFFF, _slices()[0]
    for byte in data:
        register = register >> 8 ^ int(table[(register ^ byte) & 0xFF])
    return register ^ 0xFFFFFFFF


@cache
def _slices() -> Words:
    """For each byte, the register after it and 0 to 7 zeros more."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    found = [table]
    for _ in range(7):
        found.append(found[-1] >> 8 ^ table[found[-1] & 0xFF])
    return np.stack(found)


@cache
def _shift() -> Words:
    """For each byte of a register, the register after a chunk of zeros."""
    table = _slices()[0]
    found = np.stack([np.arange(256, dtype=np.uint32) << np.uint32(8 * place) for place in range(4)])
    for _ in range(_CHUNK):
        found = found >> 8 ^ table[found & 0xFF]
    return found
