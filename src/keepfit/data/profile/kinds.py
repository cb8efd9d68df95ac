"""Kinds: what the values of a column are."""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa
from pyarrow import types


class Kind(StrEnum):
    """What the values of a column are; NOTHING stands for a column without any value."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"
    TENSOR = "tensor"
    OTHER = "other"
    NOTHING = "nothing"


NUMBERS = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.TIME})
"""Kinds with a range, moments and quantiles."""

_CHECKS = (
    (types.is_boolean, Kind.BOOLEAN),
    (types.is_integer, Kind.INTEGER),
    (types.is_floating, Kind.FLOAT),
    (types.is_decimal, Kind.FLOAT),
    (types.is_string, Kind.TEXT),
    (types.is_large_string, Kind.TEXT),
    (types.is_string_view, Kind.TEXT),
    (types.is_binary, Kind.TEXT),
    (types.is_large_binary, Kind.TEXT),
    (types.is_temporal, Kind.TIME),
    (types.is_list, Kind.TENSOR),
    (types.is_large_list, Kind.TENSOR),
    (types.is_fixed_size_list, Kind.TENSOR),
    (types.is_null, Kind.NOTHING),
)


def kind_of(kind: pa.DataType) -> Kind:
    """What values of an Arrow type are."""
    if types.is_dictionary(kind):
        return kind_of(kind.value_type)
    return next((found for check, found in _CHECKS if check(kind)), Kind.OTHER)
