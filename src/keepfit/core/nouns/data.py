"""Records, Labels and what names a part of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    pass


Digest = str
"""A lower-case hexadecimal SHA-256 of content."""
RECORD_ID = "_id"
RECORD_TIME = "_time"
RECORD_VERSION = "_version"
RECORD_TRACE = "_trace"
LABEL = "_label"
LABEL_TIME = "_label_time"
OUTPUT_PREFIX = "_out_"
"""Columns of a Dataset that are keepfit's own; a label column keeps its declared name only in source files."""


class Task(StrEnum):
    """What the label is, and therefore which outputs a model has.

    BINARY: `prediction` and `probability` (of the last class in order). MULTICLASS: `prediction` and
    `probabilities` (one per class, in order). REGRESSION: `prediction`.
    """

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Span:
    """A half-open interval [start, end) of a Service's Records by record time; the only way to name data."""

    service: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Dataset:
    """A frozen Span: an immutable Parquet blob named by its digest."""

    digest: Digest
    rows: int
    source: str


@dataclass(frozen=True)
class Window:
    """An amount of data, by rows or by time; neither means everything."""

    rows: int | None = None
    time: timedelta | None = None


@dataclass(frozen=True)
class Slice:
    """A named predicate on Records: a column equal to a value or inside [at_least, below).

    With neither, the slice stands for one slice per value of the column (at most `most` values, by count).
    """

    column: str
    equals: str | int | float | bool | None = None
    at_least: float | None = None
    below: float | None = None
    most: int = 20
