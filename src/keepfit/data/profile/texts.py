"""Measure texts, and bytes that should be texts: by their dictionary where values repeat, by their hashes where not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types

from keepfit.data.profile.distinct import distinct
from keepfit.data.profile.frequent import Frequent, frequent, survivors
from keepfit.data.profile.hashing import hash_texts, spans
from keepfit.data.profile.numbers import runs
from keepfit.data.profile.quantiles import Floats
from keepfit.data.profile.statistics import Lengths, Statistics, Weighted

_PROBE = 2048  # values looked at to see whether they repeat


def measure_texts(counted: Statistics, known: pa.Array, weights: Floats | None) -> Statistics:
    """Add to a count of rows and nulls what the texts say; `weights` are those of the texts given."""
    if types.is_dictionary(known.type):
        return _by_dictionary(counted, known, weights)
    if types.is_string_view(known.type):
        known = known.cast(pa.large_string())
    probe = known.slice(0, _PROBE)
    if weights is None and len(known) > _PROBE and len(pc.unique(probe)) > _PROBE // 2:
        return _by_hashes(counted, known)
    return _by_dictionary(counted, known.dictionary_encode(), weights)


def _by_dictionary(counted: Statistics, known: pa.DictionaryArray, weights: Floats | None) -> Statistics:
    codes = np.asarray(known.indices.to_numpy(zero_copy_only=False))
    counts = np.bincount(codes, minlength=len(known.dictionary))
    used = np.flatnonzero(counts)
    texts = known.dictionary if used.size == counts.size else known.dictionary.take(pa.array(used))
    if types.is_string_view(texts.type):
        texts = texts.cast(pa.large_string())
    counts = counts[used]
    sums: Floats | None = None
    if weights is not None:
        sums = np.bincount(codes, weights, len(known.dictionary))[used].astype(np.float64)
    filled = spans(texts)[1] > 0
    empty, unweighed = int(counts[~filled].sum()), 0.0
    if empty:
        texts, counts = texts.filter(pa.array(filled)), counts[filled]
        if sums is not None:
            unweighed, sums = float(sums[~filled].sum()), sums[filled]
    invalid = _invalid(texts)
    weighted = None
    if sums is not None:
        weighted = Weighted(float(sums.sum()), unweighed, frequent=_frequent(texts, sums))
    return replace(
        counted,
        missing=counted.missing + empty,
        empty=empty,
        invalid=int(counts[invalid].sum()),
        lengths=_lengths(texts, counts, invalid),
        distinct=distinct(hash_texts(texts)),
        frequent=_frequent(texts, counts),
        weighted=weighted,
    )


def _by_hashes(counted: Statistics, known: pa.Array) -> Statistics:
    filled = spans(known)[1] > 0
    empty = int(len(known) - filled.sum())
    texts = known.filter(pa.array(filled)) if empty else known
    hashes = hash_texts(texts)
    ordered = np.sort(hashes)
    starts, counts = runs(ordered)
    kept, less = survivors(counts)
    invalid = _invalid(texts)
    found = Frequent(shortfall=less)
    if kept.size:
        places = np.flatnonzero(np.isin(hashes, ordered[starts[kept]]))
        _, first, repeats = np.unique(hashes[places], return_index=True, return_counts=True)
        found = _frequent(texts.take(pa.array(places[first])), repeats - less, less)
    return replace(
        counted,
        missing=counted.missing + empty,
        empty=empty,
        invalid=int(invalid.sum()),
        lengths=_lengths(texts, None, invalid),
        distinct=distinct(ordered[starts]),
        frequent=found,
    )


def _invalid(texts: pa.Array) -> NDArray[np.bool_]:
    """Which of them are not UTF-8."""
    try:
        as_text(texts).validate(full=True)
    except pa.ArrowInvalid:
        return np.array([not _is_utf8(value) for value in as_bytes(texts).to_pylist()], np.bool_)
    return np.zeros(len(texts), np.bool_)


def as_bytes(texts: pa.Array) -> pa.Array:
    """Texts as the bytes they are."""
    large = types.is_large_string(texts.type) or types.is_large_binary(texts.type)
    return texts.view(pa.large_binary() if large else pa.binary())


def as_text(texts: pa.Array) -> pa.Array:
    """Bytes taken for texts, whatever they are."""
    large = types.is_large_string(texts.type) or types.is_large_binary(texts.type)
    return texts.view(pa.large_string() if large else pa.string())


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lengths(texts: pa.Array, counts: NDArray[np.int64] | None, invalid: NDArray[np.bool_]) -> Lengths:
    """Of the valid ones, each as often as it occurs."""
    texts = as_text(texts)
    if invalid.any():
        texts = texts.filter(pa.array(~invalid))
        counts = None if counts is None else counts[~invalid]
    if not len(texts):
        return Lengths()
    lengths = np.asarray(pc.utf8_length(texts).to_numpy(zero_copy_only=False)).astype(np.int64)
    count, total = (lengths.size, lengths.sum()) if counts is None else (counts.sum(), (counts * lengths).sum())
    return Lengths(int(count), int(total), int(lengths.min()), int(lengths.max()))


def _at(texts: pa.Array, places: NDArray[np.intp]) -> pa.Array:
    if places.size == len(texts):
        return texts
    return texts.take(pa.array(places.tolist(), pa.int64()))  # an array of numpy's would import numpy.ma: 50 ms


def _frequent(texts: pa.Array, counts: NDArray[Any], less: int | float = 0) -> Frequent:
    places, more = survivors(counts)
    values = [value.decode(errors="backslashreplace") for value in as_bytes(_at(texts, places)).to_pylist()]
    kept = (counts[places] - more).tolist()
    return frequent(dict(zip(values, kept, strict=True)), shortfall=less + more)
