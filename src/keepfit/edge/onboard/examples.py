"""Examples: inputs made from a Signature's types alone, for a model that comes without data.

The first are plain (nought, one, a seeded spread), so that any model answers them; the edges are the extremes of the
types, and what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.signature import MISSING_TIME, DType, Field
from keepfit.serve.wire.tables import numpy_type

Arrays = dict[str, NDArray[Any]]

PLAIN = 32
_SEED = 7
_WORDS = ("a", "b", "cat", "Rome", "x y", "ümlaut", "0")
_DAY = 86_400_000_000


def plain(fields: Sequence[Field], *, free: int = 1, rows: int = PLAIN, rounded: bool = False) -> Arrays:
    """`rows` records of ordinary values; free dimensions are `free` long.

    >>> plain([Field("x", DType.INT64)])["x"][:2].tolist()
    [0, 1]
    """
    rng = np.random.default_rng(_SEED)
    return {field.name: _plain(field, rng, _shape(field, free), rows, rounded) for field in fields}


def _shape(field: Field, free: int) -> tuple[int, ...]:
    return tuple(free if size < 0 else size for size in field.shape)


def _plain(field: Field, rng: np.random.Generator, shape: tuple[int, ...], rows: int, rounded: bool) -> NDArray[Any]:
    whole = (rows, *shape)
    dtype = numpy_type(field.dtype)
    if field.dtype is DType.BYTES:
        words = np.array(field.choices or (("0", "1", "2") if rounded else _WORDS), dtype=object)
        return words[rng.integers(0, len(words), whole)]
    if field.timestamp:
        return (rng.integers(10_000, 20_000, whole) * _DAY).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, whole).astype(dtype)
    values = rng.integers(0, 4, whole) if dtype.kind in "iu" else rng.normal(0.0, 1.0, whole)
    values[0] = 0
    values[1 : min(2, rows)] = 1
    return values.astype(dtype)


def edges(fields: Sequence[Field], base: Arrays) -> list[tuple[str, Arrays]]:
    """Single records, each the first of `base` but for one extreme, and what each tries."""
    first = {name: values[:1] for name, values in base.items()}
    made = []
    for what in ("smallest", "largest"):
        made.append((f"the {what} values of the types", {f.name: _extreme(f, first[f.name], what) for f in fields}))
    for field in fields:
        if field.nullable:
            made.append((f"'{field.name}' missing", {**first, field.name: _missing(field, first[field.name])}))
    gone = {f.name: _missing(f, first[f.name]) if f.nullable else first[f.name] for f in fields}
    if sum(field.nullable for field in fields) > 1:
        made.append(("everything missing that may be", gone))
    return made


def _extreme(field: Field, like: NDArray[Any], what: str) -> NDArray[Any]:
    dtype = like.dtype
    if field.choices:
        return np.full_like(like, field.choices[0 if what == "smallest" else -1])
    if field.dtype is DType.BYTES:
        return np.full_like(like, "" if what == "smallest" and field.nullable else "\u2400" * 1000)
    if dtype.kind == "b":
        return np.full_like(like, what == "largest")
    if field.timestamp:
        return np.full_like(like, -62_135_596_800_000_000 if what == "smallest" else 253_402_300_799_000_000)
    limits: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return np.full_like(like, limits.min if what == "smallest" else limits.max)


def _missing(field: Field, like: NDArray[Any]) -> NDArray[Any]:
    if field.dtype is DType.BYTES:
        return np.full_like(like, "")
    return np.full_like(like, MISSING_TIME if field.timestamp else np.nan)
