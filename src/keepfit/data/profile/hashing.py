"""Hashing: 64 well-mixed bits per value, many values at once, the same on every machine."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import types

Hashes = NDArray[np.uint64]

_EXACT = 2**53  # beyond it whole numbers differ that are one number as floats
_ROUNDS = 64  # words of 8 bytes hashed side by side; what is longer is rare, and hashed one by one
_TAILS = np.array([(1 << 8 * kept) - 1 for kept in range(9)], np.uint64)


def mix(words: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), in place."""
    spare = words >> np.uint64(30)
    words ^= spare
    words *= np.uint64(0xBF58476D1CE4E5B9)
    np.right_shift(words, np.uint64(27), out=spare)
    words ^= spare
    words *= np.uint64(0x94D049BB133111EB)
    np.right_shift(words, np.uint64(31), out=spare)
    words ^= spare
    return words


def hash_numbers(values: NDArray[Any]) -> Hashes:
    """Hashes of numbers; equal numbers of different types have equal hashes."""
    if values.dtype.kind not in "iu":
        return mix((values.astype(np.float64) + 0.0).view(np.uint64))  # + 0.0: there are two zeros
    hashes = values.astype(np.float64).view(np.uint64)
    if values.size and (int(values.max()) > _EXACT or int(values.min()) < -_EXACT):
        big = (values > _EXACT) | (values < -_EXACT) if values.dtype.kind == "i" else values > _EXACT
        hashes[big] = values[big].astype(np.uint64)
    return mix(hashes)


def hash_texts(texts: pa.Array) -> Hashes:
    """Hashes of texts or bytes, none of them null."""
    starts, lengths, data = spans(texts)
    hashes = mix(lengths.astype(np.uint64))
    words: Hashes = np.ndarray((data.size - 7,), "<u8", data, strides=(1,))
    places: NDArray[np.intp] = np.flatnonzero(lengths > 0)
    for turn in range(_ROUNDS):
        if not places.size:
            return hashes
        rest = lengths[places] - 8 * turn
        word = words[starts[places] + 8 * turn] & _TAILS[np.minimum(rest, 8)]
        hashes[places] = mix(hashes[places] ^ word)
        places = places[rest > 8]
    for place in places:
        start = int(starts[place]) + 8 * _ROUNDS
        rest_of_it = data[start : int(starts[place] + lengths[place])].tobytes()
        hashes[place] ^= np.uint64(int.from_bytes(hashlib.blake2b(rest_of_it, digest_size=8).digest(), "little"))
    return hashes


def spans(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Where each text starts, how many bytes it has, and the bytes with eight more at their end."""
    large = types.is_large_string(texts.type) or types.is_large_binary(texts.type)
    _, ends, data = texts.buffers()
    width = np.dtype(np.int64 if large else np.int32)
    if not len(texts):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.zeros(8, np.uint8)
    offsets = np.frombuffer(ends, width, len(texts) + 1, texts.offset * width.itemsize).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    padded = np.zeros(last - first + 8, np.uint8)
    if last > first:
        padded[:-8] = np.frombuffer(data, np.uint8, last - first, first)
    return offsets[:-1] - first, np.diff(offsets), padded
