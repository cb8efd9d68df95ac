"""Categories as codes of a dictionary: every row is looked at once, and two samples are counted over one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_FLAGS = ("False", "True")
_BLOCK = 16_384
"""Rows that are looked up together, few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Coded:
    """The different texts of a sample, and which of them each row has; the code after the last is a missing one.

    The empty text is a missing one too.
    """

    names: pa.Array
    codes: NDArray[np.integer[Any]]

    def counts(self) -> NDArray[np.int64]:
        """How many rows have each name; the missing ones come last."""
        return np.bincount(self.codes, minlength=len(self.names) + 1)


class Texts(np.ndarray[Any, np.dtype[Any]]):
    """Text, one object per different text, that still knows its codes; so does what is taken from it by index.

    To a detector it is an array of objects like any other.
    """

    coded: Coded | None

    def __array_finalize__(self, whole: Any) -> None:
        """Views and results of arithmetic begin without codes."""
        self.coded = None

    def __getitem__(self, key: Any) -> Any:
        """Rows by index, with their codes."""
        found = super().__getitem__(key)
        if self.coded is not None and isinstance(found, Texts):
            found.coded = Coded(self.coded.names, self.coded.codes[key])
        return found


def texts(column: pa.ChunkedArray, *, filled: bool = True) -> Texts:
    """A column of text, of dictionaries of it, or of flags with holes, as detectors take it; None is a missing one.

    Without `filled` there are only codes: every object is None.
    """
    known = _flags(column) if pa.types.is_boolean(column.type) else _encoded(column)
    found: Texts = np.empty(known.codes.size, dtype=object).view(Texts)
    if not filled:
        found.coded = known
        return found
    names = np.append(known.names.to_numpy(zero_copy_only=False), np.array([None], dtype=object))
    for start in range(0, known.codes.size, _BLOCK):
        np.take(names, known.codes[start : start + _BLOCK], out=found[start : start + _BLOCK], mode="clip")
    found.coded = known
    return found


def coded(values: NDArray[Any]) -> Coded:
    """The values as text, coded; of numbers twelve digits count."""
    if isinstance(values, Texts) and values.coded is not None:
        return values.coded
    if values.dtype.kind == "b":
        return Coded(pa.array(_FLAGS, pa.large_string()), values.view(np.int8))
    if values.dtype.kind in "OUS":
        return _encoded(pa.chunked_array([_as_arrow(values)]))
    found, place = np.unique(values, return_inverse=True)
    few = _encoded(pa.chunked_array([pa.array([shown(value) for value in found.tolist()], pa.large_string())]))
    return Coded(few.names, few.codes[place])


def shared(*samples: NDArray[Any]) -> list[NDArray[np.int64]]:
    """The codes of the samples' values in one dictionary; missing ones are 0."""
    known = [coded(sample) for sample in samples]
    return [np.append(place + 1, 0)[side.codes] for side, place in zip(known, _places(known), strict=True)]


def counted(*samples: NDArray[Any]) -> NDArray[np.float64]:
    """How many rows of each sample (columns) have each value that any of them has (rows)."""
    known = [coded(sample) for sample in samples]
    places = _places(known)
    counts = np.zeros((1 + max((int(place.max(initial=-1)) + 1 for place in places), default=0), len(known)))
    for number, (side, place) in enumerate(zip(known, places, strict=True)):
        found = side.counts()
        counts[place + 1, number] = found[:-1]
        counts[0, number] = found[-1]
    return counts[counts.any(axis=1)]


def shown(value: object) -> str:
    """A value as a person would write it; a missing one is the empty text."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _places(known: list[Coded]) -> list[NDArray[np.int64]]:
    """Where the names of each side stand in the dictionary of all of them."""
    names = pa.concat_arrays([side.names for side in known]).dictionary_encode()
    places = names.indices.to_numpy().astype(np.int64)
    return np.split(places, np.cumsum([len(side.names) for side in known])[:-1])


def _encoded(column: pa.ChunkedArray) -> Coded:
    """The codes of a column, whose dictionary, if it brings one, may repeat itself or have holes."""
    if not pa.types.is_dictionary(column.type):
        view = pa.types.is_string_view(column.type)  # Arrow cannot encode these
        column = (column.cast(pa.large_string()) if view else column).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    names = whole.dictionary.cast(pa.large_string()).dictionary_encode()
    empty = pc.index(names.dictionary, pa.scalar("", pa.large_string())).as_py()
    missing = len(names.dictionary)
    codes = pc.fill_null(whole.indices.cast(pa.int32()), len(names)).to_numpy()
    if missing == len(names) and empty < 0:
        return Coded(names.dictionary, codes)
    place = pc.fill_null(names.indices, missing).to_numpy()
    return Coded(names.dictionary, np.append(np.where(place == empty, missing, place), missing)[codes])


def _flags(column: pa.ChunkedArray) -> Coded:
    codes = pc.fill_null(column.combine_chunks().cast(pa.int8()), len(_FLAGS))
    return Coded(pa.array(_FLAGS, pa.large_string()), codes.to_numpy())


def _as_arrow(values: NDArray[Any]) -> pa.Array:
    """Arrow takes text as it is; what is not text only is shown one by one."""
    try:
        return pa.array(values, type=pa.large_string(), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return pa.array(
            [shown(value).encode(errors="backslashreplace").decode() for value in values.tolist()], pa.large_string()
        )
